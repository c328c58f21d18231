#include "cli/rotation_call.h"

namespace warren::cli {

RotationCall::RotationCall(v1::Control::Stub& stub, const v1::KeyRotateRequest& request, grpc::CompletionQueue& queue)
    : network_(request.network()), taken_(std::chrono::steady_clock::now()) {
    reader_ = stub.AsyncKeyRotate(&context_, request, &queue, this);
}

RotationCall::Turn RotationCall::advance(bool ok) {
    Turn turn = Turn::kNothing;
    switch (stage_) {
        case Stage::kStarting:
            stage_ = Stage::kReading;
            break;
        case Stage::kReading:
            if (ok) {
                latest_ = incoming_;
                taken_ = std::chrono::steady_clock::now();
                turn = Turn::kMessage;
            }
            break;
        case Stage::kFinishing:
            stage_ = Stage::kOver;
            return Turn::kOver;
        case Stage::kOver:
            return Turn::kNothing;
    }
    if (ok) {
        reader_->Read(&incoming_, this);
    } else {
        stage_ = Stage::kFinishing;
        reader_->Finish(&status_, this);
    }
    return turn;
}

base::Duration RotationCall::elapsed() const {
    const auto known = base::Duration(latest_ ? latest_->elapsed_ms() : 0);
    if (latest_ && latest_->done()) {
        return known;
    }
    return known + std::chrono::duration_cast<base::Duration>(std::chrono::steady_clock::now() - taken_);
}

}  // namespace warren::cli
