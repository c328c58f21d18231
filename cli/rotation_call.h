#pragma once

#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "base/time.h"
#include "proto/control.grpc.pb.h"

namespace warren::cli {

// One call of KeyRotate. The caller owns the queue, and hands every event of it to the call that is its tag; the call
// must live until is_over(), or until the queue is drained.
class RotationCall {
  public:
    RotationCall(v1::Control::Stub& stub, const v1::KeyRotateRequest& request, grpc::CompletionQueue& queue);

    // What an event of the queue was about. kMessage: latest() is new.
    enum class Turn : std::uint8_t { kNothing, kMessage, kOver };
    Turn advance(bool ok);
    void cancel() { context_.TryCancel(); }

    [[nodiscard]] const std::string& network() const { return network_; }
    [[nodiscard]] bool is_over() const { return stage_ == Stage::kOver; }
    [[nodiscard]] const grpc::Status& status() const { return status_; }
    [[nodiscard]] const std::optional<v1::RotationProgress>& latest() const { return latest_; }
    // Of the rotation: what the daemon said, and what has passed since.
    [[nodiscard]] base::Duration elapsed() const;

  private:
    enum class Stage : std::uint8_t { kStarting, kReading, kFinishing, kOver };

    std::string network_;
    Stage stage_ = Stage::kStarting;
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientAsyncReader<v1::RotationProgress>> reader_;
    v1::RotationProgress incoming_;
    std::optional<v1::RotationProgress> latest_;
    std::chrono::steady_clock::time_point taken_;
    grpc::Status status_;
};

}  // namespace warren::cli
