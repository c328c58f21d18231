#include "cli/live.h"

#include <fmt/format.h>

#include <ostream>

namespace warren::cli {

void LiveLines::go_to_first() {
    terminal_.out << '\r';
    if (drawn_ > 1) {
        terminal_.out << fmt::format("\x1b[{}A", drawn_ - 1);
    }
}

void LiveLines::draw(const std::vector<std::string>& lines) {
    go_to_first();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const std::size_t width = terminal_.width == 0 ? lines[i].size() : terminal_.width - 1;
        terminal_.out << (i == 0 ? "" : "\n") << clip(lines[i], width) << "\x1b[K";
    }
    if (lines.size() < drawn_) {
        terminal_.out << "\x1b[J";
    }
    terminal_.out << std::flush;
    drawn_ = lines.size();
}

void LiveLines::finish() {
    if (drawn_ != 0) {
        terminal_.out << '\n' << std::flush;
    }
    drawn_ = 0;
}

void LiveLines::clear() {
    if (drawn_ != 0) {
        go_to_first();
        terminal_.out << "\x1b[J" << std::flush;
    }
    drawn_ = 0;
}

}  // namespace warren::cli
