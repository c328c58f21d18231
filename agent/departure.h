#pragma once

#include "agent/agent.h"
#include "base/result.h"

namespace warren::agent {

// Tells a manager that this node leaves its cluster; `force` also with endpoints on it. Waits for the network, so not
// on the loop's thread. kUnavailable: no manager can be told. kDenied: managers count it among the cluster's nodes no
// more. Anything else is the manager's refusal.
[[nodiscard]] base::Status announce_departure(const Membership& membership, bool force);

}  // namespace warren::agent
