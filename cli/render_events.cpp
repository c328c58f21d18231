#include <fmt/format.h>

#include "cli/render.h"

namespace warren::cli {

namespace {

// A stream's columns can't be as wide as the widest cell that is to come: a longer one moves the rest of its line.
std::string line(std::string_view time, std::string_view kind, std::string_view network, std::string_view node,
                 std::string_view what) {
    constexpr std::size_t kTime = 23;
    constexpr std::size_t kKind = 18;
    constexpr std::size_t kName = 12;
    const auto cell = [](std::string_view text, std::size_t width) {
        std::string padded = text.empty() ? "-" : printable(text);
        padded.append(width - std::min(width, columns(padded)), ' ');
        return padded + "   ";
    };
    return cell(time, kTime) + cell(kind, kKind) + cell(network, kName) + cell(node, kName) + printable(what) + "\n";
}

}  // namespace

std::string events_header() {
    return line("TIME", "KIND", "NETWORK", "NODE", "WHAT");
}

std::string event_line(const v1::Event& event) {
    const auto time = base::format_utc(base::Time(base::Duration(event.time_unix_ms())));
    const auto by = event.by().empty() ? "" : " (by " + event.by() + ")";
    return line(time, event.kind(), event.network(), event.node(), event.text() + by);
}

}  // namespace warren::cli
