#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <mutex>
#include <utility>

namespace warren::agent {

// The way of gRPC's callbacks to the loop. Their threads may run when the loop is gone already, at the end of the
// daemon, so the owner cuts the way when it lets go.
class LoopHandle {
  public:
    explicit LoopHandle(asio::io_context& loop) : loop_(&loop) {}

    // Any thread. After cut() the work is dropped.
    template <typename Work>
    void post(Work work) {
        const std::lock_guard guard(mutex_);
        if (loop_ != nullptr) {
            asio::post(*loop_, std::move(work));
        }
    }
    // When it returns, nobody uses the loop any more.
    void cut() {
        const std::lock_guard guard(mutex_);
        loop_ = nullptr;
    }

  private:
    std::mutex mutex_;
    asio::io_context* loop_;
};

}  // namespace warren::agent
