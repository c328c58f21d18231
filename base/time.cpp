#include "base/time.h"

#include <fmt/chrono.h>

#include <array>
#include <charconv>

namespace warren::base {

namespace {

struct Unit {
    std::string_view suffix;
    Duration length;
};

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// "ms" before "m": the longest suffix that fits is the one meant.
constexpr std::array<Unit, 5> kUnits{
    {{"ms", milliseconds(1)}, {"s", seconds(1)}, {"m", minutes(1)}, {"h", hours(1)}, {"d", hours(24)}}};
constexpr Duration kLongest = hours(24) * 36500;

}  // namespace

Time system_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

Result<Duration> parse_duration(std::string_view what, std::string_view text) {
    const auto bad = [&] {
        return fail(Code::kInvalid, "{} '{}': must be a duration such as 90s, 30m, 12h or 7d", what, text);
    };
    if (text == "0") {
        return Duration::zero();
    }
    std::string_view rest = text;
    Duration total{};
    do {
        std::int64_t count = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
        if (error != std::errc{} || count < 0) {
            return bad();
        }
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const Unit* unit = nullptr;
        for (const Unit& candidate : kUnits) {
            if (rest.starts_with(candidate.suffix) &&
                (unit == nullptr || candidate.suffix.size() > unit->suffix.size())) {
                unit = &candidate;
            }
        }
        if (unit == nullptr || count > kLongest / unit->length) {
            return bad();
        }
        rest.remove_prefix(unit->suffix.size());
        total += unit->length * count;
    } while (!rest.empty());
    return total;
}

std::string format_age(Duration age) {
    if (age < Duration::zero()) {
        age = Duration::zero();
    }
    if (age < seconds(1)) {
        return fmt::format("{} ms", age.count());
    }
    if (age < seconds(10)) {
        return fmt::format("{}.{} s", age.count() / 1000, age.count() % 1000 / 100);
    }
    const auto s = std::chrono::duration_cast<seconds>(age).count();
    if (s < 60) {
        return fmt::format("{} s", s);
    }
    if (s < 3600) {
        return fmt::format("{}m {}s", s / 60, s % 60);
    }
    if (s < 86400) {
        return fmt::format("{}h {}m", s / 3600, s % 3600 / 60);
    }
    return fmt::format("{}d {}h", s / 86400, s % 86400 / 3600);
}

std::string format_utc(Time time) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
    return fmt::format("{:%F %T} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

}  // namespace warren::base
