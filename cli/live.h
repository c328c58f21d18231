#pragma once

#include <string>
#include <vector>

#include "cli/terminal.h"

namespace warren::cli {

// A few lines at the end of a terminal that are drawn anew in place. Only for terminals that can (Terminal::live).
class LiveLines {
  public:
    explicit LiveLines(const Terminal& terminal) : terminal_(terminal) {}

    // At least one line. They are cut to the terminal's width, since a line that wraps could not be drawn anew.
    void draw(const std::vector<std::string>& lines);
    // Leaves the lines as they are; what is written next begins below them.
    void finish();
    // Takes them away; what is written next is in their place.
    void clear();

  private:
    const Terminal& terminal_;
    std::size_t drawn_ = 0;

    void go_to_first();
};

}  // namespace warren::cli
