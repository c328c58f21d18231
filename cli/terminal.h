#pragma once

#include <cstddef>
#include <iosfwd>

#include "cli/text.h"

namespace warren::cli {

// Where output goes, and what it may look like there. The streams outlive it.
struct Terminal {
    std::ostream& out;
    std::ostream& err;
    View view;              // of `out`; its time is when the program began
    bool live = false;      // `out` is a terminal whose last line can be redrawn
    std::size_t width = 0;  // of it, in columns; 0: not known
};

}  // namespace warren::cli
