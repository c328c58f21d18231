#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"

namespace warren::cli {

// What a text tells about the state of things; shown as a colour where colours are shown at all.
enum class Tone : std::uint8_t { kPlain, kGood, kCaution, kBad };

// How people are shown things.
struct View {
    base::Time now;  // that ages are relative to
    bool colour = false;
};

// Text from elsewhere, safe for a terminal and on one line: control characters become spaces, UTF-8 stays.
[[nodiscard]] std::string printable(std::string_view text);
[[nodiscard]] std::string paint(std::string_view text, Tone tone, bool colour);

// Columns that printable text takes on a terminal, counting each code point as one.
[[nodiscard]] std::size_t columns(std::string_view text);
// The beginning of a text, at most `width` columns.
[[nodiscard]] std::string clip(std::string_view text, std::size_t width);

// The first 12 digits, which commands take as well as the whole.
[[nodiscard]] std::string short_id(std::string_view id);

// Times are those of the API: milliseconds since 1970, 0 = never, shown as "" (which tables show as "-").
[[nodiscard]] std::string age(std::int64_t unix_ms, const View& view);     // "2m 5s"
[[nodiscard]] std::string moment(std::int64_t unix_ms, const View& view);  // "2026-01-31 12:00:00 UTC (2m 5s ago)"
[[nodiscard]] std::string expiry(std::int64_t unix_ms, const View& view);  // "2026-01-31 12:00:00 UTC (in 89d 23h)"

[[nodiscard]] std::string due(std::int64_t unix_ms, const View& view);  // "2026-01-31 12:00:00 UTC (in 45d 2h)"

// 3, "member", "members" -> "3 members"
[[nodiscard]] std::string count_of(std::size_t number, std::string_view one, std::string_view many);
template <typename Range>
[[nodiscard]] std::string joined(const Range& parts, std::string_view separator = ", ") {
    std::string text;
    for (const auto& part : parts) {
        text.append(text.empty() ? std::string_view() : separator).append(part);
    }
    return text;
}

}  // namespace warren::cli
