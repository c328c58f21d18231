#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "cli/parse.h"
#include "cli/terminal.h"

namespace warren::cli {

// The whole program: parse, call, show. Everything that goes wrong is one line on `terminal.err`.
[[nodiscard]] Exit run(const std::vector<std::string>& arguments, const Environment& environment, Terminal terminal);

// Writes "warren: <error>" and says which exit code it is.
Exit refuse(const Terminal& terminal, const base::Error& error);

}  // namespace warren::cli
