#include "agent/local_service.h"

#include <algorithm>
#include <asio/post.hpp>

#include "base/log.h"
#include "proto/status.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};

void refuse(grpc::ServerUnaryReactor* reactor) {
    reactor->Finish(proto::to_grpc(
        base::Error(base::Code::kUnavailable, "warrend is being stopped; whether it was done is not known")));
}

}  // namespace

bool LocalService::take(grpc::ServerUnaryReactor* reactor) {
    const std::lock_guard guard(mutex_);
    return waiting_.erase(reactor) != 0;
}

void LocalService::stop() {
    std::set<grpc::ServerUnaryReactor*> left;
    {
        const std::lock_guard guard(mutex_);
        stopped_ = true;
        left.swap(waiting_);
    }
    std::ranges::for_each(left, refuse);
}

// `call` gets a function to answer with, once, on the loop; gRPC's request and reply live until then.
template <typename Reply, typename Call>
grpc::ServerUnaryReactor* LocalService::posted(grpc::CallbackServerContext* context, Reply* reply, Call call) {
    auto* reactor = context->DefaultReactor();
    {
        const std::lock_guard guard(mutex_);
        if (stopped_) {
            refuse(reactor);
            return reactor;
        }
        waiting_.insert(reactor);
    }
    asio::post(*loop_, [this, reactor, reply, call = std::move(call)] {
        call(Respond<Reply>([this, reactor, reply](base::Result<Reply> result) {
            if (!take(reactor)) {
                return;
            }
            if (!result) {
                reactor->Finish(proto::to_grpc(result.error()));
                return;
            }
            *reply = *std::move(result);
            reactor->Finish(grpc::Status::OK);
        }));
    });
    return reactor;
}

void LocalService::log_change(const grpc::CallbackServerContext& context, std::string_view what) const {
    kLog.info("{} asked for by {}", what, who_ ? who_(context.peer()) : context.peer());
}

grpc::ServerUnaryReactor* LocalService::ClusterInit(grpc::CallbackServerContext* context,
                                                    const v1::ClusterInitRequest* request,
                                                    v1::ClusterInfoReply* reply) {
    log_change(*context, "cluster init");
    return posted(context, reply, [this, request](auto respond) { entry_.init(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::ClusterJoin(grpc::CallbackServerContext* context,
                                                    const v1::ClusterJoinRequest* request,
                                                    v1::ClusterInfoReply* reply) {
    log_change(*context, "cluster join");
    return posted(context, reply, [this, request](auto respond) { entry_.join(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::ClusterLeave(grpc::CallbackServerContext* context,
                                                     const v1::ClusterLeaveRequest* request,
                                                     v1::ClusterLeaveReply* reply) {
    log_change(*context, "cluster leave");
    return posted(context, reply, [this, request](auto respond) { entry_.leave(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::ClusterLock(grpc::CallbackServerContext* context,
                                                    const v1::ClusterLockRequest* request,
                                                    v1::ClusterLockReply* reply) {
    log_change(*context, "cluster lock");
    return posted(context, reply, [this, request](auto respond) { respond(entry_.lock(*request)); });
}

grpc::ServerUnaryReactor* LocalService::ClusterUnlock(grpc::CallbackServerContext* context,
                                                      const v1::ClusterUnlockRequest* request,
                                                      v1::ClusterUnlockReply* reply) {
    log_change(*context, "cluster unlock");
    return posted(context, reply, [this, request](auto respond) { respond(entry_.unlock(*request)); });
}

grpc::ServerUnaryReactor* LocalService::KekRotate(grpc::CallbackServerContext* context,
                                                  const v1::KekRotateRequest* /*request*/, v1::KekRotateReply* reply) {
    log_change(*context, "cluster kek rotate");
    return posted(context, reply, [this](auto respond) { respond(entry_.rotate_kek()); });
}

grpc::ServerUnaryReactor* LocalService::ClusterInfo(grpc::CallbackServerContext* context,
                                                    const v1::ClusterInfoRequest* /*request*/,
                                                    v1::ClusterInfoReply* reply) {
    return posted(context, reply, [this](auto respond) { respond(agent_->info()); });
}

grpc::ServerUnaryReactor* LocalService::NetworkConnect(grpc::CallbackServerContext* context,
                                                       const v1::NetworkConnectRequest* request,
                                                       v1::NetworkConnectReply* reply) {
    log_change(*context, "network connect");
    return posted(context, reply, [this, request](auto respond) { agent_->connect(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::NetworkDisconnect(grpc::CallbackServerContext* context,
                                                          const v1::NetworkDisconnectRequest* request,
                                                          v1::NetworkDisconnectReply* reply) {
    log_change(*context, "network disconnect");
    return posted(context, reply, [this, request](auto respond) { agent_->disconnect(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::Doctor(grpc::CallbackServerContext* context,
                                               const v1::DoctorRequest* /*request*/, v1::DoctorReply* reply) {
    return posted(context, reply, [this](auto respond) { agent_->doctor(std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::NetworkVerify(grpc::CallbackServerContext* context,
                                                      const v1::NetworkVerifyRequest* request,
                                                      v1::NetworkVerifyReply* reply) {
    log_change(*context, "network verify");
    return posted(context, reply, [this, request](auto respond) { agent_->verify(*request, std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::CertShow(grpc::CallbackServerContext* context,
                                                 const v1::CertShowRequest* /*request*/, v1::CertShowReply* reply) {
    return posted(context, reply, [this](auto respond) { respond(agent_->certificate()); });
}

grpc::ServerUnaryReactor* LocalService::CertRenew(grpc::CallbackServerContext* context,
                                                  const v1::CertRenewRequest* /*request*/, v1::CertShowReply* reply) {
    log_change(*context, "cert renew");
    return posted(context, reply, [this](auto respond) { agent_->renew_certificate(std::move(respond)); });
}

grpc::ServerUnaryReactor* LocalService::Status(grpc::CallbackServerContext* context, const v1::StatusRequest* request,
                                               v1::StatusReply* reply) {
    return posted(context, reply, [this, request](auto respond) {
        v1::StatusReply status;
        agent_->status(*request, status);
        entry_.add_status(status);
        respond(std::move(status));
    });
}

}  // namespace warren::agent
