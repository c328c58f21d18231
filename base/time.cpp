#include "base/time.h"

#include <fmt/chrono.h>

#include <array>
#include <charconv>
#include <optional>

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

Moment steady_now() {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
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

namespace {

// Takes exactly `digits` digits off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
    int number = 0;
    const auto part = text.substr(0, digits);
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc{} || end != part.data() + digits || number < 0) {
        return std::nullopt;
    }
    text.remove_prefix(digits);
    return number;
}

bool take_one_of(std::string_view& text, std::string_view characters) {
    if (text.empty() || characters.find(text.front()) == std::string_view::npos) {
        return false;
    }
    text.remove_prefix(1);
    return true;
}

// "12:00:00", and the zone, if any, behind it.
std::optional<Duration> time_of_day(std::string_view text) {
    constexpr int kHours = 24;
    constexpr int kSixty = 60;
    const auto hour = take_number(text, 2);
    const auto minute = hour && take_one_of(text, ":") ? take_number(text, 2) : std::nullopt;
    const auto second = minute && take_one_of(text, ":") ? take_number(text, 2) : std::nullopt;
    if (!second || *hour >= kHours || *minute >= kSixty || *second >= kSixty) {
        return std::nullopt;
    }
    const bool in_utc = text.empty() || text == "Z" || text == " UTC";
    return in_utc ? std::optional<Duration>(hours(*hour) + minutes(*minute) + seconds(*second)) : std::nullopt;
}

std::optional<Time> parse_date(std::string_view text) {
    const auto year = take_number(text, 4);
    const auto month = year && take_one_of(text, "-") ? take_number(text, 2) : std::nullopt;
    const auto day = month && take_one_of(text, "-") ? take_number(text, 2) : std::nullopt;
    if (!day) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    const auto clock = text.empty() ? Duration::zero() : take_one_of(text, "T ") ? time_of_day(text) : std::nullopt;
    if (!date.ok() || !clock) {
        return std::nullopt;
    }
    return Time(std::chrono::sys_days(date)) + *clock;
}

}  // namespace

Result<Time> parse_moment(std::string_view what, std::string_view text, Time now) {
    if (const auto date = parse_date(text)) {
        return *date;
    }
    const auto ago = parse_duration(what, text);
    if (!ago) {
        return fail(Code::kInvalid, "{} '{}': must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h",
                    what, text);
    }
    return now - *ago;
}

}  // namespace warren::base
