#pragma once

#include "cli/command.h"
#include "cli/terminal.h"

namespace warren::cli {

// Shows the cluster's events. Following goes on, from where it was, when the daemon goes and comes back; ^C ends it
// well.
[[nodiscard]] Exit events(const Destination& destination, const Events& command, Format format,
                          const Terminal& terminal);

}  // namespace warren::cli
