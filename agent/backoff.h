#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "base/random.h"
#include "base/time.h"

namespace warren::agent {

inline constexpr base::Duration kFirstRetry = std::chrono::milliseconds(200);
inline constexpr base::Duration kLastRetry = std::chrono::seconds(10);

// How long to wait after so many failures: doubling, with a random part so that a cluster does not come back all at
// once.
inline base::Duration backoff(int failures, base::Duration longest = kLastRetry) {
    const auto full = std::min(longest, kFirstRetry * (1 << std::min(failures, 6)));
    return full / 2 + base::Duration(static_cast<std::int64_t>(base::random_u64() % 1000) * full.count() / 2000);
}

}  // namespace warren::agent
