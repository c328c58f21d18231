#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/terminal.h"

namespace warren::cli {

// Asks for a rotation and shows how it goes, until the old epoch is retired. kDone only when the new epoch is active on
// every member that can be reached. ^C ends the showing, not the rotation.
[[nodiscard]] Exit rotate(const Connection& connection, const KeyRotate& command, Format format,
                          const Terminal& terminal);

// The same for several networks, `command.at_once` at a time, with a table of what became of each at the end. One that
// fails does not keep the rest; ^C, or a daemon that is gone, does.
[[nodiscard]] Exit rotate_all(const Connection& connection, const KeyRotate& command,
                              const std::vector<std::string>& networks, Format format, const Terminal& terminal);

}  // namespace warren::cli
