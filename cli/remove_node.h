#pragma once

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/terminal.h"

namespace warren::cli {

// `warren node rm`: until all that the node knew is gone, or those are left who can't confirm it.
[[nodiscard]] Exit remove_node(const Connection& connection, const NodeRemove& command, Format format,
                               const Terminal& terminal);

}  // namespace warren::cli
