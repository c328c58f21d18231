#pragma once

#include <cstdint>

#include "base/time.h"
#include "certs/leaf.h"

// When a node renews its certificate: pure decisions, so that node, tests and `cert show` agree.
namespace warren::certs {

// When the leaf was issued; its validity begins earlier, for the sake of slow clocks.
[[nodiscard]] base::Time issue_time(const Leaf& leaf);

// A random point in 50 to 80 % of the leaf's life, counted from its issue. It follows from the serial number, which is
// random: the nodes of a cluster spread out, and a node that restarts keeps to its time.
[[nodiscard]] base::Time renewal_time(const Leaf& leaf);

// From then on a renewal that does not come off is worth an operator's attention: a day after its time, or half of what
// was left then if that is less.
[[nodiscard]] base::Time renewal_overdue(const Leaf& leaf);

// How long after the `failures`th failure (from 1) to try again: doubling from seconds to an hour, but not so long that
// few tries are left before the leaf expires; a random half of it, so that nodes that failed together part.
[[nodiscard]] base::Duration renewal_backoff(int failures, const Leaf& leaf, base::Time now, std::uint64_t dice);

}  // namespace warren::certs
