#pragma once

#include <chrono>
#include <mutex>
#include <string_view>

#include "base/log.h"
#include "base/token_bucket.h"

namespace warren::certs {

// Log lines that anybody can cause: a stranger who knocks on the port must not fill the disk. After the first twenty,
// one a second, which says how many there were beside it. Any thread.
class LimitedLines {
  public:
    void say(const base::Log& log, std::string_view text) {
        const std::lock_guard guard(mutex_);
        if (const auto unsaid = lines_.pass(kLines, base::system_now())) {
            log.info("{}{}", text, *unsaid == 0 ? "" : fmt::format(" (and {} more lines)", *unsaid));
        }
    }

  private:
    static constexpr base::Rate kLines{.burst = 20, .refill = std::chrono::seconds(1)};

    std::mutex mutex_;
    base::TellingRate lines_;
};

}  // namespace warren::certs
