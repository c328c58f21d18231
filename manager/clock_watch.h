#pragma once

#include <chrono>
#include <optional>

#include "base/time.h"

namespace warren::manager {

// Notices that the wall clock was set: between two looks it moved by other than the steady clock. A host that slept
// looks the same, and is meant to: who sleeps has not waited.
class ClockWatch {
  public:
    // By how much it was set since the last time that this was not zero; zero below a tenth of a second, which may be
    // the time between the readings.
    [[nodiscard]] base::Duration look(base::Time wall, std::chrono::steady_clock::time_point steady) {
        const auto ahead =
            wall.time_since_epoch() - std::chrono::duration_cast<base::Duration>(steady.time_since_epoch());
        if (!ahead_) {
            ahead_ = ahead;
        }
        const auto by = ahead - *ahead_;
        if (by < kLeast && by > -kLeast) {
            return base::Duration::zero();
        }
        ahead_ = ahead;
        return by;
    }

  private:
    static constexpr base::Duration kLeast{100};

    std::optional<base::Duration> ahead_;  // of the steady clock
};

}  // namespace warren::manager
