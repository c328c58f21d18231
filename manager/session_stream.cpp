#include <deque>
#include <mutex>

#include "manager/services.h"
#include "proto/secrets.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// An agent that takes nothing for so long is cut: it comes back and gets a snapshot, which is smaller than the backlog.
constexpr std::size_t kMaxBacklog = 10000;

// The stream of one agent. The core's thread queues messages, gRPC's threads send them and post what arrives.
//
// gRPC owns the stream until OnDone(); the core holds the sink for as long as it has the session. The link between them
// is cut under the lock, by whoever goes first.
class Stream;

class StreamSink final : public SessionSink {
  public:
    StreamSink(Stream* stream, std::string peer) : stream_(stream), peer_(std::move(peer)) {}
    void send(v1::FromManager message) override;
    void close(const base::Error& why) override;
    [[nodiscard]] std::string peer() const override { return peer_; }

    void detach() {
        const std::lock_guard guard(mutex_);
        stream_ = nullptr;
    }

  private:
    std::mutex mutex_;
    Stream* stream_;
    std::string peer_;
};

class Stream final : public grpc::ServerBidiReactor<v1::FromAgent, v1::FromManager> {
  public:
    Stream(std::shared_ptr<const Dispatch::Target> target, certs::Identity identity, std::string peer)
        : target_(std::move(target)),
          session_(std::make_shared<Opened>()),
          sink_(std::make_shared<StreamSink>(this, std::move(peer))) {
        asio::post(*target_->loop, [target = target_, session = session_, sink = sink_, identity] {
            auto opened = target->core->session_opened(identity, sink);
            if (opened) {
                session->id = *opened;
            } else {
                sink->close(opened.error());
            }
        });
        StartRead(&incoming_);
    }

    void send(v1::FromManager message) {
        const std::lock_guard guard(mutex_);
        if (finished_) {
            return;
        }
        outgoing_.push_back(std::move(message));
        if (outgoing_.size() > kMaxBacklog) {
            finish(base::Error(base::Code::kAborted, "the agent takes nothing"));
        } else {
            advance();
        }
    }
    void close(const base::Error& why) {
        const std::lock_guard guard(mutex_);
        finish(why);
    }

    void OnReadDone(bool ok) override {
        if (!ok) {
            close(base::Error(base::Code::kAborted, "the agent ended the stream"));
            return;
        }
        {
            const std::lock_guard guard(mutex_);  // one read at a time, but of any thread
            asio::post(*target_->loop, [target = target_, session = session_, message = std::move(incoming_)] {
                if (session->id) {
                    target->core->session_message(*session->id, message);
                    target->ran();
                }
            });
            incoming_.Clear();
        }
        StartRead(&incoming_);
    }

    void OnWriteDone(bool ok) override {
        const std::lock_guard guard(mutex_);
        wipe(outgoing_.front());
        outgoing_.pop_front();
        writing_ = false;
        if (!ok) {
            finish(base::Error(base::Code::kAborted, "the agent is gone"));
        } else {
            advance();
        }
    }

    void OnCancel() override { close(base::Error(base::Code::kAborted, "the agent is gone")); }

    void OnDone() override {
        sink_->detach();
        asio::post(*target_->loop, [target = target_, session = session_] {
            if (session->id) {
                target->core->session_closed(*session->id);
                target->ran();
            }
        });
        for (auto& message : outgoing_) {
            wipe(message);
        }
        delete this;
    }

  private:
    // Set and read on the core's thread only.
    struct Opened {
        std::optional<SessionId> id;
    };

    std::shared_ptr<const Dispatch::Target> target_;
    std::shared_ptr<Opened> session_;
    std::shared_ptr<StreamSink> sink_;
    v1::FromAgent incoming_;
    std::mutex mutex_;
    std::deque<v1::FromManager> outgoing_;  // a message stays where it is while gRPC sends it
    bool writing_ = false;
    bool finished_ = false;

    static void wipe(v1::FromManager& message) {
        if (message.has_snapshot()) {
            proto::wipe_secrets(*message.mutable_snapshot()->mutable_content());
        } else if (message.has_delta()) {
            proto::wipe_secrets(*message.mutable_delta());
        }
    }

    void advance() {
        if (!writing_ && !finished_ && !outgoing_.empty()) {
            writing_ = true;
            StartWrite(&outgoing_.front());
        }
    }

    void finish(const base::Error& why) {
        if (!finished_) {
            finished_ = true;
            kLog.debug("a session ends: {}", why.message());
            Finish(proto::to_grpc(why));
        }
    }
};

void StreamSink::send(v1::FromManager message) {
    const std::lock_guard guard(mutex_);
    if (stream_ != nullptr) {
        stream_->send(std::move(message));
    }
}

void StreamSink::close(const base::Error& why) {
    const std::lock_guard guard(mutex_);
    if (stream_ != nullptr) {
        stream_->close(why);
    }
}

class RefusedStream final : public grpc::ServerBidiReactor<v1::FromAgent, v1::FromManager> {
  public:
    explicit RefusedStream(const base::Error& why) { Finish(proto::to_grpc(why)); }
    void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerBidiReactor<v1::FromAgent, v1::FromManager>* SessionsService::Open(grpc::CallbackServerContext* context) {
    auto target = dispatch_->admit(*context, "/warren.v1.Sessions/Open", Dispatch::Access::kRemote);
    if (!target) {
        return new RefusedStream(target.error());
    }
    const auto identity = Dispatch::identity_of(*context, Dispatch::Access::kRemote);
    if (!identity) {
        return new RefusedStream(base::Error(base::Code::kDenied, "a session needs a client certificate"));
    }
    return new Stream(*std::move(target), *identity, context->peer());
}

grpc::ServerUnaryReactor* SessionsService::Leave(grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
                                                 v1::LeaveReply* reply) {
    // Who leaves is who the certificate says; admit() lets nobody in without one.
    const auto caller = Dispatch::identity_of(*context, Dispatch::Access::kRemote).value_or(certs::Identity{});
    return dispatch_->unary(
        *context, context->peer(), "/warren.v1.Sessions/Leave", Dispatch::Access::kRemote,
        [caller](Core& core, const v1::LeaveRequest& asked) { return core.leave(caller, asked); }, request, reply);
}

}  // namespace warren::manager
