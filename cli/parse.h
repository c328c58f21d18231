#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"

namespace warren::cli {

// What parsing takes from outside the command line.
struct Environment {
    std::string warren_host;        // WARREN_HOST; empty: not set
    std::string working_directory;  // that a relative --netns path is relative to
};

// `arguments` without the program's name. The error is a usage error, complete with the help to look at. Values are
// checked only as far as they have to be understood here; their rules are the daemon's.
[[nodiscard]] base::Result<Invocation> parse(const std::vector<std::string>& arguments, const Environment& environment);

}  // namespace warren::cli
