#include "agent/session_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <mutex>
#include <utility>

#include "agent/loop_handle.h"
#include "certs/grpc_credentials.h"
#include "proto/session.grpc.pb.h"
#include "proto/status.h"

namespace warren::agent {

base::Result<std::shared_ptr<grpc::Channel>> make_channel(const certs::NodeIdentity& self, const std::string& manager) {
    WARREN_TRY_ASSIGN(auto credentials, certs::member_credentials(self));
    grpc::ChannelArguments arguments;
    // A dead path is noticed by heartbeats; these bound how long gRPC itself waits between its attempts to connect, and
    // for one of them ("min" is its word for that): a host that boots answers no SYN at first.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
    arguments.SetMaxReceiveMessageSize(-1);  // a snapshot is as large as its network
    return grpc::CreateCustomChannel(manager, credentials, arguments);
}

// Alive until gRPC is done with it and its owner has let go: it holds itself until OnDone().
class SessionClient::Stream final : public grpc::ClientBidiReactor<v1::FromAgent, v1::FromManager>,
                                    public std::enable_shared_from_this<Stream> {
  public:
    Stream(asio::io_context& loop, const std::shared_ptr<grpc::Channel>& channel, SessionEvents events)
        : loop_(loop),
          listener_(std::make_shared<Listener>(Listener{.events = std::move(events)})),
          stub_(v1::Sessions::NewStub(channel)) {}

    void start() {
        self_ = shared_from_this();
        stub_->async()->Open(&context_, this);
        // Messages may be written at any time until the end, so gRPC must not take a quiet moment for the end.
        AddHold();
        StartRead(&incoming_);
        StartCall();
    }

    void send(v1::FromAgent message) {
        const std::lock_guard guard(mutex_);
        if (!ended_) {
            outgoing_.push_back(std::move(message));
            advance();
        }
    }

    // The owner goes: nothing is to be told to it any more.
    void abandon() {
        listener_->listens = false;
        loop_.cut();
        context_.TryCancel();
        end();
    }

    void OnReadDone(bool ok) override {
        if (!ok) {
            end();
            return;
        }
        loop_.post([listener = listener_, message = std::move(incoming_)]() mutable {
            if (listener->listens) {
                listener->events.message(std::move(message));
            }
        });
        incoming_.Clear();
        StartRead(&incoming_);
    }

    void OnWriteDone(bool ok) override {
        const std::lock_guard guard(mutex_);
        outgoing_.pop_front();
        writing_ = false;
        if (ok) {
            advance();
        }
    }

    void OnDone(const grpc::Status& status) override {
        loop_.post([listener = listener_, status] {
            if (listener->listens) {
                listener->events.ended(status.ok()
                                           ? base::Error(base::Code::kUnavailable, "the manager ended the session")
                                           : proto::from_grpc(status));
            }
        });
        self_.reset();
    }

  private:
    // Touched on the loop only, and still there when one of its own calls lets go of the stream.
    struct Listener {
        SessionEvents events;
        bool listens = true;
    };

    LoopHandle loop_;
    std::shared_ptr<Listener> listener_;
    std::unique_ptr<v1::Sessions::Stub> stub_;
    grpc::ClientContext context_;
    std::shared_ptr<Stream> self_;
    v1::FromManager incoming_;
    std::mutex mutex_;
    std::deque<v1::FromAgent> outgoing_;  // a message stays where it is while gRPC sends it
    bool writing_ = false;
    bool ended_ = false;

    void advance() {
        if (!writing_ && !ended_ && !outgoing_.empty()) {
            writing_ = true;
            StartWrite(&outgoing_.front());
        }
    }

    void end() {
        const std::lock_guard guard(mutex_);
        if (!ended_) {
            ended_ = true;
            RemoveHold();
        }
    }
};

SessionClient::SessionClient(asio::io_context& loop, const std::shared_ptr<grpc::Channel>& channel,
                             SessionEvents events)
    : stream_(std::make_shared<Stream>(loop, channel, std::move(events))) {
    stream_->start();
}

SessionClient::~SessionClient() {
    stream_->abandon();
}

void SessionClient::send(v1::FromAgent message) {
    stream_->send(std::move(message));
}

}  // namespace warren::agent
