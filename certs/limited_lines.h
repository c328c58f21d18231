#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/token_bucket.h"

namespace warren::certs {

// Log lines that anybody can cause: a stranger who knocks on the port must not fill the disk. After the first twenty,
// one a second, which says how many there were beside it. Any thread.
class LimitedLines {
  public:
    void say(const base::Log& log, std::string_view text) {
        const std::lock_guard guard(mutex_);
        if (lines_.take(kLines, base::system_now())) {
            ++unsaid_;
            return;
        }
        const auto unsaid = std::exchange(unsaid_, 0);
        log.info("{}{}", text, unsaid == 0 ? "" : fmt::format(" (and {} more lines)", unsaid));
    }

  private:
    static constexpr base::Rate kLines{.burst = 20, .refill = std::chrono::seconds(1)};

    std::mutex mutex_;
    base::TokenBucket lines_;
    std::uint64_t unsaid_ = 0;
};

}  // namespace warren::certs
