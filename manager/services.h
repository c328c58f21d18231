#pragma once

#include "manager/report_stream.h"
#include "manager/source_limit.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/control.grpc.pb.h"
#include "proto/session.grpc.pb.h"

// The gRPC services, each a thin layer over the core. All belong to manager::Server and hold nothing but the way there.
namespace warren::manager {

class BootstrapService final : public v1::Bootstrap::CallbackService {
  public:
    explicit BootstrapService(const Dispatch& dispatch) : dispatch_(&dispatch) {}

    grpc::ServerUnaryReactor* GetRoots(grpc::CallbackServerContext* context, const v1::GetRootsRequest* request,
                                       v1::GetRootsReply* reply) override;
    grpc::ServerUnaryReactor* IssueCertificate(grpc::CallbackServerContext* context,
                                               const v1::IssueCertificateRequest* request,
                                               v1::IssueCertificateReply* reply) override;
    grpc::ServerUnaryReactor* GetChallenge(grpc::CallbackServerContext* context, const v1::GetChallengeRequest* request,
                                           v1::GetChallengeReply* reply) override;
    grpc::ServerUnaryReactor* Readmit(grpc::CallbackServerContext* context, const v1::ReadmitRequest* request,
                                      v1::ReadmitReply* reply) override;

  private:
    const Dispatch* dispatch_;
    SourceLimit limit_;

    // Strangers: limited by where they call from, and every refusal noted.
    template <typename Request, typename Reply>
    grpc::ServerUnaryReactor* call(grpc::CallbackServerContext* context, const char* method,
                                   base::Result<Reply> (Core::*function)(const Request&), const Request* request,
                                   Reply* reply);
};

class SessionsService final : public v1::Sessions::CallbackService {
  public:
    explicit SessionsService(const Dispatch& dispatch) : dispatch_(&dispatch) {}

    grpc::ServerBidiReactor<v1::FromAgent, v1::FromManager>* Open(grpc::CallbackServerContext* context) override;
    grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
                                    v1::LeaveReply* reply) override;

  private:
    const Dispatch* dispatch_;
};

class ControlService final : public v1::Control::CallbackService {
  public:
    ControlService(const Dispatch& dispatch, Dispatch::Access access) : dispatch_(&dispatch), access_(access) {}

    // Who calls, from the connection's name; for the log lines and events of changes.
    void set_caller(std::function<std::string(const std::string&)> who) { who_ = std::move(who); }

    grpc::ServerUnaryReactor* TokenShow(grpc::CallbackServerContext* context, const v1::TokenShowRequest* request,
                                        v1::TokenShowReply* reply) override;
    grpc::ServerUnaryReactor* TokenRotate(grpc::CallbackServerContext* context, const v1::TokenRotateRequest* request,
                                          v1::TokenShowReply* reply) override;
    grpc::ServerUnaryReactor* NodeList(grpc::CallbackServerContext* context, const v1::NodeListRequest* request,
                                       v1::NodeListReply* reply) override;
    grpc::ServerUnaryReactor* NodeInspect(grpc::CallbackServerContext* context, const v1::NodeInspectRequest* request,
                                          v1::Node* reply) override;
    grpc::ServerUnaryReactor* CertIssue(grpc::CallbackServerContext* context, const v1::CertIssueRequest* request,
                                        v1::CertIssueReply* reply) override;
    grpc::ServerUnaryReactor* CertList(grpc::CallbackServerContext* context, const v1::CertListRequest* request,
                                       v1::CertListReply* reply) override;
    grpc::ServerUnaryReactor* CertRevoke(grpc::CallbackServerContext* context, const v1::CertRevokeRequest* request,
                                         v1::CertListReply* reply) override;
    grpc::ServerWriteReactor<v1::NodeRemoveProgress>* NodeRemove(grpc::CallbackServerContext* context,
                                                                 const v1::NodeRemoveRequest* request) override;
    grpc::ServerUnaryReactor* NetworkCreate(grpc::CallbackServerContext* context,
                                            const v1::NetworkCreateRequest* request, v1::Network* reply) override;
    grpc::ServerUnaryReactor* NetworkList(grpc::CallbackServerContext* context, const v1::NetworkListRequest* request,
                                          v1::NetworkListReply* reply) override;
    grpc::ServerUnaryReactor* NetworkInspect(grpc::CallbackServerContext* context,
                                             const v1::NetworkInspectRequest* request, v1::Network* reply) override;
    grpc::ServerUnaryReactor* NetworkRemove(grpc::CallbackServerContext* context,
                                            const v1::NetworkRemoveRequest* request,
                                            v1::NetworkRemoveReply* reply) override;
    grpc::ServerUnaryReactor* EndpointList(grpc::CallbackServerContext* context, const v1::EndpointListRequest* request,
                                           v1::EndpointListReply* reply) override;
    grpc::ServerUnaryReactor* KeyList(grpc::CallbackServerContext* context, const v1::KeyListRequest* request,
                                      v1::KeyListReply* reply) override;
    grpc::ServerUnaryReactor* KeyStatus(grpc::CallbackServerContext* context, const v1::KeyStatusRequest* request,
                                        v1::KeyStatusReply* reply) override;
    grpc::ServerUnaryReactor* CaShow(grpc::CallbackServerContext* context, const v1::CaShowRequest* request,
                                     v1::CaShowReply* reply) override;
    grpc::ServerUnaryReactor* CaRotate(grpc::CallbackServerContext* context, const v1::CaRotateRequest* request,
                                       v1::CaShowReply* reply) override;
    grpc::ServerUnaryReactor* NetworkUpdate(grpc::CallbackServerContext* context,
                                            const v1::NetworkUpdateRequest* request, v1::Network* reply) override;
    grpc::ServerUnaryReactor* KeyHistory(grpc::CallbackServerContext* context, const v1::KeyHistoryRequest* request,
                                         v1::KeyHistoryReply* reply) override;
    grpc::ServerUnaryReactor* KeyAbort(grpc::CallbackServerContext* context, const v1::KeyAbortRequest* request,
                                       v1::KeyAbortReply* reply) override;
    grpc::ServerWriteReactor<v1::RotationProgress>* KeyRotate(grpc::CallbackServerContext* context,
                                                              const v1::KeyRotateRequest* request) override;
    grpc::ServerWriteReactor<v1::EventsReply>* Events(grpc::CallbackServerContext* context,
                                                      const v1::EventsRequest* request) override;

  private:
    const Dispatch* dispatch_;
    Dispatch::Access access_;
    std::function<std::string(const std::string&)> who_;

    template <typename Request, typename Reply>
    grpc::ServerUnaryReactor* call(grpc::CallbackServerContext* context, const char* method,
                                   base::Result<Reply> (Core::*function)(const Request&), const Request* request,
                                   Reply* reply);
    template <typename Message>
    grpc::ServerWriteReactor<Message>* stream(grpc::CallbackServerContext* context, const char* method,
                                              typename ReportStream<Message>::Begin begin);
    [[nodiscard]] std::string caller(const grpc::CallbackServerContext& context) const;
    void log_change(const grpc::CallbackServerContext& context, std::string_view method) const;
};

}  // namespace warren::manager
