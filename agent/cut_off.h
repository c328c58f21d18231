#pragma once

#include <string>
#include <vector>

#include "agent/view.h"
#include "base/ids.h"

namespace warren::agent {

// The peers that this node can send nothing to because they missed key rotations: they lack the active epoch, and what
// they have is retired. A line for each, for people. Newcomers, whose keys are on their way, are not among them. Pure.
[[nodiscard]] std::vector<std::string> cut_off_peers(const NetworkView& view, const base::NodeId& self);

}  // namespace warren::agent
