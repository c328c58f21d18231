#pragma once

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/terminal.h"

namespace warren::cli {

// Asks for a rotation and shows how it goes, until the old epoch is retired. ^C ends the showing, not the rotation.
[[nodiscard]] Exit rotate(const Connection& connection, const KeyRotate& command, Format format,
                          const Terminal& terminal);

}  // namespace warren::cli
