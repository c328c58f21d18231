#include "cli/text.h"

#include <algorithm>

namespace warren::cli {

namespace {

constexpr std::size_t kShortId = 12;

bool begins_code_point(char c) {
    return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
}

base::Time at(std::int64_t unix_ms) {
    return base::Time(base::Duration(unix_ms));
}

}  // namespace

std::string printable(std::string_view text) {
    std::string safe(text);
    for (std::size_t i = 0; i < safe.size(); ++i) {
        const auto byte = static_cast<unsigned char>(safe[i]);
        if (byte < 0x20 || byte == 0x7f) {
            safe[i] = ' ';
        } else if (byte == 0xc2 && i + 1 < safe.size() && static_cast<unsigned char>(safe[i + 1]) < 0xa0) {
            safe.replace(i, 2, " ");  // U+0080 to U+009f: control characters too, some terminals obey them
        }
    }
    return safe;
}

std::string paint(std::string_view text, Tone tone, bool colour) {
    if (!colour || text.empty()) {
        return std::string(text);
    }
    switch (tone) {
        case Tone::kPlain:
            return std::string(text);
        case Tone::kGood:
            return fmt::format("\x1b[32m{}\x1b[0m", text);
        case Tone::kCaution:
            return fmt::format("\x1b[33m{}\x1b[0m", text);
        case Tone::kBad:
            return fmt::format("\x1b[31m{}\x1b[0m", text);
    }
    return std::string(text);
}

std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_code_point));
}

std::string clip(std::string_view text, std::size_t width) {
    std::size_t end = 0;
    for (std::size_t used = 0; end < text.size(); ++end) {
        used += begins_code_point(text[end]) ? 1U : 0U;
        if (used > width) {
            break;
        }
    }
    return std::string(text.substr(0, end));
}

std::string short_id(std::string_view id) {
    return std::string(id.substr(0, kShortId));
}

std::string age(std::int64_t unix_ms, const View& view) {
    return unix_ms == 0 ? "" : base::format_age(view.now - at(unix_ms));
}

std::string moment(std::int64_t unix_ms, const View& view) {
    return unix_ms == 0 ? "" : fmt::format("{} ({} ago)", base::format_utc(at(unix_ms)), age(unix_ms, view));
}

namespace {

// `over` is what happened at a time that has passed.
std::string deadline(std::int64_t unix_ms, std::string_view over, const View& view) {
    if (unix_ms == 0) {
        return "";
    }
    const base::Duration left = at(unix_ms) - view.now;
    return left > base::Duration::zero()
               ? fmt::format("{} (in {})", base::format_utc(at(unix_ms)), base::format_age(left))
               : fmt::format("{} ({} {} ago)", base::format_utc(at(unix_ms)), over, age(unix_ms, view));
}

}  // namespace

std::string expiry(std::int64_t unix_ms, const View& view) {
    return deadline(unix_ms, "expired", view);
}

std::string due(std::int64_t unix_ms, const View& view) {
    return deadline(unix_ms, "due", view);
}

std::string count_of(std::size_t number, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", number, number == 1 ? one : many);
}

}  // namespace warren::cli
