#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "manager/dispatch.h"

namespace warren::manager {

// The answer to a call that reports again and again. The core's thread queues reports, gRPC's threads send them; it
// ends with the last report, with the caller, or at once when the caller was removed or revoked.
struct ReportCaller {
    std::string name;  // for events
    std::optional<certs::Identity> identity;
};

template <typename Message>
class ReportStream final : public grpc::ServerWriteReactor<Message> {
  public:
    // Takes a report; no other follows the last.
    using Report = std::function<void(const Message&, bool last)>;
    // Begins the reporting, on the core's thread, and returns how to end it. An error ends the call.
    using Begin = std::function<base::Result<std::function<void()>>(Core&, Report)>;

    // Owns itself, until gRPC is done with it and the reporting is ended.
    static ReportStream* start(std::shared_ptr<const Dispatch::Target> target, ReportCaller caller, Begin how) {
        auto self = std::make_shared<ReportStream>(std::move(target), std::move(caller), std::move(how));
        self->self_ = self;
        asio::post(*self->target_->loop, [self] { self->begin(); });
        return self.get();
    }

    ReportStream(std::shared_ptr<const Dispatch::Target> target, ReportCaller caller, Begin how)
        : target_(std::move(target)), caller_(std::move(caller)), begin_(std::move(how)) {}

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
            if (self->stop_) {
                self->stop_();
            }
            if (self->watched_) {
                self->target_->core->end_watch(*self->watched_);
            }
        });
    }

  private:
    // Whoever takes nothing for so long is cut off, and can ask again.
    static constexpr std::size_t kMaxBacklog = 1000;

    std::shared_ptr<const Dispatch::Target> target_;
    ReportCaller caller_;
    Begin begin_;
    std::function<void()> stop_;            // the core's thread only
    std::optional<LastingCallId> watched_;  // likewise
    std::shared_ptr<ReportStream> self_;
    std::mutex mutex_;
    std::deque<Message> queue_;  // a message stays where it is while gRPC sends it
    bool writing_ = false;
    bool last_queued_ = false;
    bool finished_ = false;

    base::Status try_begin() {
        WARREN_TRY(target_->core->check_caller(caller_.identity));
        WARREN_TRY_ASSIGN(stop_,
                          begin_(*target_->core, [this](const Message& message, bool last) { add(message, last); }));
        if (caller_.identity) {
            watched_ = target_->core->watch_caller(*caller_.identity, [this](const base::Error& why) { refuse(why); });
        }
        return {};
    }

    void begin() {
        target_->core->set_caller(caller_.name);
        if (auto begun = try_begin(); !begun) {
            refuse(begun.error());
        }
        target_->ran();
    }

    void refuse(const base::Error& why) {
        if (why.code() == base::Code::kDenied) {
            target_->core->note_refusal(Refusal::kStranger, caller_.name, why);
        }
        const std::lock_guard guard(mutex_);
        end(proto::to_grpc(why));
    }

    void add(const Message& message, bool last) {
        const std::lock_guard guard(mutex_);
        if (last_queued_) {
            return;
        }
        queue_.push_back(message);
        last_queued_ = last;
        if (queue_.size() > kMaxBacklog) {
            end(proto::to_grpc({base::Code::kAborted, "the caller takes nothing"}));
        } else {
            advance();
        }
    }

    void advance() {
        if (writing_ || finished_) {
            return;
        }
        if (!queue_.empty()) {
            writing_ = true;
            this->StartWrite(&queue_.front());
        } else if (last_queued_) {
            end(grpc::Status::OK);
        }
    }

    void end(const grpc::Status& status) {
        if (!finished_) {
            finished_ = true;
            this->Finish(status);
        }
    }
};

// A call that is refused before it began.
template <typename Message>
class RefusedReport final : public grpc::ServerWriteReactor<Message> {
  public:
    explicit RefusedReport(const base::Error& why) { this->Finish(proto::to_grpc(why)); }
    void OnDone() override { delete this; }
};

}  // namespace warren::manager
