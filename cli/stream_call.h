#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <chrono>
#include <functional>
#include <memory>

#include "cli/interrupt.h"

namespace warren::cli {

// A call that is answered again and again, driven from one thread: between answers it looks for ^C and lets the caller
// do what time brings.
template <typename Message>
class StreamCall {
  public:
    // Makes the call: a generated AsyncXxx with its request bound.
    using Start =
        std::function<std::unique_ptr<grpc::ClientAsyncReader<Message>>(grpc::ClientContext*, grpc::CompletionQueue*)>;

    explicit StreamCall(const Start& start) : reader_(start(&context_, &queue_)) {}
    ~StreamCall() {
        queue_.Shutdown();
        void* tag = nullptr;
        bool ok = false;
        while (queue_.Next(&tag, &ok)) {
        }
    }
    StreamCall(const StreamCall&) = delete;
    StreamCall& operator=(const StreamCall&) = delete;

    // Until the daemon ends the stream, or ^C does. `tick` comes about ten times a second.
    grpc::Status run(const InterruptWatch& watch, const std::function<void(const Message&)>& take,
                     const std::function<void()>& tick) {
        grpc::Status status;
        bool ok = wait(watch, tick);  // for the call to begin
        while (ok) {
            reader_->Read(&incoming_, nullptr);
            ok = wait(watch, tick);
            if (ok) {
                take(incoming_);
            }
        }
        reader_->Finish(&status, nullptr);
        wait(watch, tick);
        return status;
    }

  private:
    // How often a live line's clock moves and ^C is looked for.
    static constexpr auto kTick = std::chrono::milliseconds(100);

    // For the one operation under way. False: it failed, the stream is at its end.
    bool wait(const InterruptWatch& watch, const std::function<void()>& tick) {
        void* tag = nullptr;
        bool ok = false;
        while (true) {
            switch (queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kTick)) {
                case grpc::CompletionQueue::GOT_EVENT:
                    return ok;
                case grpc::CompletionQueue::SHUTDOWN:
                    return false;
                case grpc::CompletionQueue::TIMEOUT:
                    if (watch.interrupted()) {
                        context_.TryCancel();
                    }
                    tick();
                    break;
            }
        }
    }

    grpc::ClientContext context_;
    grpc::CompletionQueue queue_;
    std::unique_ptr<grpc::ClientAsyncReader<Message>> reader_;
    Message incoming_;
};

}  // namespace warren::cli
