#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace warren::base {

// So many at once, and then one each `refill`.
struct Rate {
    std::uint32_t burst = 1;
    Duration refill = std::chrono::seconds(1);
};

// What of a rate is used up. A value, one time in size; full when new. A clock that is set back only refills it.
class TokenBucket {
  public:
    // Takes one. Nothing: done; else it is empty, and one will be there so much later.
    std::optional<Duration> take(const Rate& rate, Time now) {
        const Time latest = now + rate.refill * rate.burst;
        full_at_ = std::min(full_at_, latest);
        const Time full_at = std::max(full_at_, now) + rate.refill;
        if (full_at > latest) {
            return full_at - latest;
        }
        full_at_ = full_at;
        return std::nullopt;
    }
    [[nodiscard]] bool is_full(Time now) const { return full_at_ <= now; }

  private:
    Time full_at_{};
};

}  // namespace warren::base
