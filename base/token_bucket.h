#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

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

// A rate for what is told to people: what there is no room for is counted, and said with the next that is let through.
class TellingRate {
  public:
    // One more. Lets it through, with how many were held back before it; or holds it back: nothing.
    std::optional<std::uint64_t> pass(const Rate& rate, Time now) {
        if (bucket_.take(rate, now)) {
            ++held_back_;
            return std::nullopt;
        }
        return std::exchange(held_back_, 0);
    }
    // How many were held back, if any were and there is room now to say so.
    std::optional<std::uint64_t> flush(const Rate& rate, Time now) {
        if (held_back_ == 0 || bucket_.take(rate, now)) {
            return std::nullopt;
        }
        return std::exchange(held_back_, 0);
    }

  private:
    TokenBucket bucket_;
    std::uint64_t held_back_ = 0;
};

}  // namespace warren::base
