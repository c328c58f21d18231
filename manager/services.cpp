#include "manager/services.h"

#include <deque>
#include <mutex>

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};

}  // namespace

grpc::ServerUnaryReactor* BootstrapService::GetRoots(grpc::CallbackServerContext* context,
                                                     const v1::GetRootsRequest* request, v1::GetRootsReply* reply) {
    return dispatch_->unary(*context, "/warren.v1.Bootstrap/GetRoots", Dispatch::Access::kRemote, &Core::roots, request,
                            reply);
}

grpc::ServerUnaryReactor* BootstrapService::IssueCertificate(grpc::CallbackServerContext* context,
                                                             const v1::IssueCertificateRequest* request,
                                                             v1::IssueCertificateReply* reply) {
    return dispatch_->unary(*context, "/warren.v1.Bootstrap/IssueCertificate", Dispatch::Access::kRemote,
                            &Core::issue_certificate, request, reply);
}

void ControlService::log_change(const grpc::CallbackServerContext& context, std::string_view method) const {
    kLog.info("{} asked for by {}", method, who_ ? who_(context.peer()) : context.peer());
}

template <typename Request, typename Reply>
grpc::ServerUnaryReactor* ControlService::call(grpc::CallbackServerContext* context, const char* method,
                                               base::Result<Reply> (Core::*function)(const Request&),
                                               const Request* request, Reply* reply) {
    return dispatch_->unary(*context, std::string("/warren.v1.Control/") + method, access_, function, request, reply);
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

namespace {

// The stream of one `key rotate`. The core's thread queues reports, gRPC's threads send them; it ends with the rotation
// or with the caller.
class RotationStream final : public grpc::ServerWriteReactor<v1::RotationProgress> {
  public:
    // Owns itself, until gRPC is done with it and the watch is ended.
    static RotationStream* start(std::shared_ptr<const Dispatch::Target> target, v1::KeyRotateRequest request) {
        auto self = std::make_shared<RotationStream>(std::move(target), std::move(request));
        self->self_ = self;
        asio::post(*self->target_->loop, [self] { self->begin(); });
        return self.get();
    }

    RotationStream(std::shared_ptr<const Dispatch::Target> target, v1::KeyRotateRequest request)
        : target_(std::move(target)), request_(std::move(request)) {}

    void OnWriteDone(bool ok) override {
        const std::lock_guard guard(mutex_);
        queue_.pop_front();
        writing_ = false;
        if (!ok) {
            end(grpc::Status::CANCELLED);
        } else {
            advance();
        }
    }
    void OnCancel() override {
        const std::lock_guard guard(mutex_);
        end(grpc::Status::CANCELLED);
    }
    void OnDone() override {
        // After begin(), which was posted before; on the core's thread, which add() runs on.
        asio::post(*target_->loop, [self = std::move(self_)] {
            if (self->watch_) {
                self->target_->core->end_watch(*self->watch_);
            }
        });
    }

  private:
    std::shared_ptr<const Dispatch::Target> target_;
    v1::KeyRotateRequest request_;
    std::optional<RotationWatchId> watch_;  // the core's thread only
    std::shared_ptr<RotationStream> self_;
    std::mutex mutex_;
    std::deque<v1::RotationProgress> queue_;  // a message stays where it is while gRPC sends it
    bool writing_ = false;
    bool last_queued_ = false;
    bool finished_ = false;

    void begin() {
        auto watch =
            target_->core->key_rotate(request_, [this](const v1::RotationProgress& progress) { add(progress); });
        if (watch) {
            watch_ = *watch;
        } else {
            const std::lock_guard guard(mutex_);
            end(proto::to_grpc(watch.error()));
        }
        target_->ran();
    }

    void add(const v1::RotationProgress& progress) {
        const std::lock_guard guard(mutex_);
        if (last_queued_) {
            return;
        }
        queue_.push_back(progress);
        last_queued_ = progress.done() || request_.detach();
        advance();
    }

    void advance() {
        if (writing_ || finished_) {
            return;
        }
        if (!queue_.empty()) {
            writing_ = true;
            StartWrite(&queue_.front());
        } else if (last_queued_) {
            end(grpc::Status::OK);
        }
    }

    void end(const grpc::Status& status) {
        if (!finished_) {
            finished_ = true;
            Finish(status);
        }
    }
};

// A call that is refused before it began.
class RefusedStream final : public grpc::ServerWriteReactor<v1::RotationProgress> {
  public:
    explicit RefusedStream(const base::Error& why) { Finish(proto::to_grpc(why)); }
    void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerWriteReactor<v1::RotationProgress>* ControlService::KeyRotate(grpc::CallbackServerContext* context,
                                                                          const v1::KeyRotateRequest* request) {
    log_change(*context, "key rotate");
    auto target = dispatch_->admit(*context, "/warren.v1.Control/KeyRotate", access_);
    if (!target) {
        return new RefusedStream(target.error());
    }
    return RotationStream::start(*std::move(target), *request);
}

}  // namespace warren::manager
