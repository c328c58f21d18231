#include "manager/services.h"

#include "manager/report_stream.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};

}  // namespace

template <typename Request, typename Reply>
grpc::ServerUnaryReactor* BootstrapService::call(grpc::CallbackServerContext* context, const char* method,
                                                 base::Result<Reply> (Core::*function)(const Request&),
                                                 const Request* request, Reply* reply) {
    const auto peer = context->peer();
    if (auto allowed = limit_.take(peer, base::system_now()); !allowed) {
        if (const auto target = dispatch_->target()) {
            target->core->refusals().note(Refusal::kRate, peer, allowed.error().message(), base::system_now());
        }
        auto* reactor = context->DefaultReactor();
        reactor->Finish(proto::to_grpc(allowed.error()));
        return reactor;
    }
    const auto noted = [peer, function](Core& core, const Request& asked) {
        auto result = (core.*function)(asked);
        // Who may not is noted by unary(); here who asks for what can't be.
        if (!result && result.error().code() != base::Code::kDenied) {
            core.refusals().note(Refusal::kJoin, peer, result.error().message(), base::system_now());
        }
        return result;
    };
    return dispatch_->unary(*context, peer, std::string("/warren.v1.Bootstrap/") + method, Dispatch::Access::kRemote,
                            noted, request, reply);
}

grpc::ServerUnaryReactor* BootstrapService::GetRoots(grpc::CallbackServerContext* context,
                                                     const v1::GetRootsRequest* request, v1::GetRootsReply* reply) {
    return call(context, "GetRoots", &Core::roots, request, reply);
}

grpc::ServerUnaryReactor* BootstrapService::IssueCertificate(grpc::CallbackServerContext* context,
                                                             const v1::IssueCertificateRequest* request,
                                                             v1::IssueCertificateReply* reply) {
    return call(context, "IssueCertificate", &Core::issue_certificate, request, reply);
}

grpc::ServerUnaryReactor* BootstrapService::GetChallenge(grpc::CallbackServerContext* context,
                                                         const v1::GetChallengeRequest* request,
                                                         v1::GetChallengeReply* reply) {
    return call(context, "GetChallenge", &Core::get_challenge, request, reply);
}

grpc::ServerUnaryReactor* BootstrapService::Readmit(grpc::CallbackServerContext* context,
                                                    const v1::ReadmitRequest* request, v1::ReadmitReply* reply) {
    return call(context, "Readmit", &Core::readmit, request, reply);
}

std::string ControlService::caller(const grpc::CallbackServerContext& context) const {
    return who_ ? who_(context.peer()) : context.peer();
}

void ControlService::log_change(const grpc::CallbackServerContext& context, std::string_view method) const {
    kLog.info("{} asked for by {}", method, caller(context));
}

template <typename Request, typename Reply>
grpc::ServerUnaryReactor* ControlService::call(grpc::CallbackServerContext* context, const char* method,
                                               base::Result<Reply> (Core::*function)(const Request&),
                                               const Request* request, Reply* reply) {
    return dispatch_->unary(*context, caller(*context), std::string("/warren.v1.Control/") + method, access_, function,
                            request, reply);
}

grpc::ServerUnaryReactor* ControlService::TokenShow(grpc::CallbackServerContext* context,
                                                    const v1::TokenShowRequest* request, v1::TokenShowReply* reply) {
    log_change(*context, "token show");
    return call(context, "TokenShow", &Core::token_show, request, reply);
}

grpc::ServerUnaryReactor* ControlService::TokenRotate(grpc::CallbackServerContext* context,
                                                      const v1::TokenRotateRequest* request,
                                                      v1::TokenShowReply* reply) {
    log_change(*context, "token rotate");
    return call(context, "TokenRotate", &Core::token_rotate, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NodeList(grpc::CallbackServerContext* context,
                                                   const v1::NodeListRequest* request, v1::NodeListReply* reply) {
    return call(context, "NodeList", &Core::node_list, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NodeInspect(grpc::CallbackServerContext* context,
                                                      const v1::NodeInspectRequest* request, v1::Node* reply) {
    return call(context, "NodeInspect", &Core::node_inspect, request, reply);
}

grpc::ServerUnaryReactor* ControlService::CertIssue(grpc::CallbackServerContext* context,
                                                    const v1::CertIssueRequest* request, v1::CertIssueReply* reply) {
    log_change(*context, "cert issue");
    return call(context, "CertIssue", &Core::cert_issue, request, reply);
}

grpc::ServerUnaryReactor* ControlService::CertList(grpc::CallbackServerContext* context,
                                                   const v1::CertListRequest* request, v1::CertListReply* reply) {
    return call(context, "CertList", &Core::cert_list, request, reply);
}

grpc::ServerUnaryReactor* ControlService::CertRevoke(grpc::CallbackServerContext* context,
                                                     const v1::CertRevokeRequest* request, v1::CertListReply* reply) {
    log_change(*context, "cert revoke");
    return call(context, "CertRevoke", &Core::cert_revoke, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NetworkCreate(grpc::CallbackServerContext* context,
                                                        const v1::NetworkCreateRequest* request, v1::Network* reply) {
    log_change(*context, "network create");
    return call(context, "NetworkCreate", &Core::network_create, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NetworkList(grpc::CallbackServerContext* context,
                                                      const v1::NetworkListRequest* request,
                                                      v1::NetworkListReply* reply) {
    return call(context, "NetworkList", &Core::network_list, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NetworkInspect(grpc::CallbackServerContext* context,
                                                         const v1::NetworkInspectRequest* request, v1::Network* reply) {
    return call(context, "NetworkInspect", &Core::network_inspect, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NetworkRemove(grpc::CallbackServerContext* context,
                                                        const v1::NetworkRemoveRequest* request,
                                                        v1::NetworkRemoveReply* reply) {
    log_change(*context, "network rm");
    return call(context, "NetworkRemove", &Core::network_remove, request, reply);
}

grpc::ServerUnaryReactor* ControlService::EndpointList(grpc::CallbackServerContext* context,
                                                       const v1::EndpointListRequest* request,
                                                       v1::EndpointListReply* reply) {
    return call(context, "EndpointList", &Core::endpoint_list, request, reply);
}

grpc::ServerUnaryReactor* ControlService::KeyList(grpc::CallbackServerContext* context,
                                                  const v1::KeyListRequest* request, v1::KeyListReply* reply) {
    return call(context, "KeyList", &Core::key_list, request, reply);
}

grpc::ServerUnaryReactor* ControlService::KeyStatus(grpc::CallbackServerContext* context,
                                                    const v1::KeyStatusRequest* request, v1::KeyStatusReply* reply) {
    return call(context, "KeyStatus", &Core::key_status, request, reply);
}

grpc::ServerUnaryReactor* ControlService::CaShow(grpc::CallbackServerContext* context, const v1::CaShowRequest* request,
                                                 v1::CaShowReply* reply) {
    return call(context, "CaShow", &Core::ca_show, request, reply);
}

grpc::ServerUnaryReactor* ControlService::CaRotate(grpc::CallbackServerContext* context,
                                                   const v1::CaRotateRequest* request, v1::CaShowReply* reply) {
    log_change(*context, "ca rotate");
    return call(context, "CaRotate", &Core::ca_rotate, request, reply);
}

grpc::ServerUnaryReactor* ControlService::KeyAbort(grpc::CallbackServerContext* context,
                                                   const v1::KeyAbortRequest* request, v1::KeyAbortReply* reply) {
    log_change(*context, "key rotate --abort");
    return call(context, "KeyAbort", &Core::key_abort, request, reply);
}

grpc::ServerUnaryReactor* ControlService::KeyHistory(grpc::CallbackServerContext* context,
                                                     const v1::KeyHistoryRequest* request, v1::KeyHistoryReply* reply) {
    return call(context, "KeyHistory", &Core::key_history, request, reply);
}

grpc::ServerUnaryReactor* ControlService::NetworkUpdate(grpc::CallbackServerContext* context,
                                                        const v1::NetworkUpdateRequest* request, v1::Network* reply) {
    log_change(*context, "network update");
    return call(context, "NetworkUpdate", &Core::network_update, request, reply);
}

template <typename Message>
grpc::ServerWriteReactor<Message>* ControlService::stream(grpc::CallbackServerContext* context, const char* method,
                                                          typename ReportStream<Message>::Begin begin) {
    auto target = dispatch_->admit(*context, std::string("/warren.v1.Control/") + method, access_);
    if (!target) {
        return new RefusedReport<Message>(target.error());
    }
    return ReportStream<Message>::start(
        *std::move(target), {.name = caller(*context), .identity = Dispatch::identity_of(*context, access_)},
        std::move(begin));
}

grpc::ServerWriteReactor<v1::NodeRemoveProgress>* ControlService::NodeRemove(grpc::CallbackServerContext* context,
                                                                             const v1::NodeRemoveRequest* request) {
    log_change(*context, "node rm");
    using Stream = ReportStream<v1::NodeRemoveProgress>;
    return stream<v1::NodeRemoveProgress>(
        context, "NodeRemove",
        [request = *request](Core& core, const Stream::Report& report) -> base::Result<std::function<void()>> {
            WARREN_TRY_ASSIGN(const auto watch,
                              core.node_remove(request, [report](const v1::NodeRemoveProgress& progress) {
                                  report(progress, progress.done());
                              }));
            return [&core, watch] { core.end_watch(watch); };
        });
}

grpc::ServerWriteReactor<v1::RotationProgress>* ControlService::KeyRotate(grpc::CallbackServerContext* context,
                                                                          const v1::KeyRotateRequest* request) {
    log_change(*context, "key rotate");
    using Stream = ReportStream<v1::RotationProgress>;
    return stream<v1::RotationProgress>(
        context, "KeyRotate",
        [request = *request](Core& core, const Stream::Report& report) -> base::Result<std::function<void()>> {
            const auto detach = request.detach();
            WARREN_TRY_ASSIGN(const auto watch,
                              core.key_rotate(request, [report, detach](const v1::RotationProgress& progress) {
                                  report(progress, progress.done() || detach);
                              }));
            return [&core, watch] { core.end_watch(watch); };
        });
}

grpc::ServerWriteReactor<v1::EventsReply>* ControlService::Events(grpc::CallbackServerContext* context,
                                                                  const v1::EventsRequest* request) {
    using Stream = ReportStream<v1::EventsReply>;
    return stream<v1::EventsReply>(
        context, "Events",
        [request = *request](Core& core, const Stream::Report& report) -> base::Result<std::function<void()>> {
            const auto follow = request.follow();
            WARREN_TRY_ASSIGN(const auto watch, core.events(request, [report, follow](const v1::EventsReply& reply) {
                report(reply, !follow);
            }));
            return [&core, watch] { core.end_events(watch); };
        });
}

}  // namespace warren::manager
