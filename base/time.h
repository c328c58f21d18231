#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace warren::base {

// Wall-clock time in whole milliseconds: what is stored, signed and shown.
using Time = std::chrono::sys_time<std::chrono::milliseconds>;
using Duration = std::chrono::milliseconds;

// Where time comes from at the edge; everything pure takes a Time as an argument.
using Clock = std::function<Time()>;
[[nodiscard]] Time system_now();

// A moment of this process's steady clock, which nobody sets: what is only waited for. A host that slept has not
// waited.
using Moment = std::chrono::time_point<std::chrono::steady_clock, Duration>;
[[nodiscard]] Moment steady_now();

// "90s", "12h", "7d", "1h30m", "500ms"; "0" is zero. `what` names the field in the error.
[[nodiscard]] Result<Duration> parse_duration(std::string_view what, std::string_view text);

// Two units at most, for people: "3d 4h", "12m 5s", "1.2 s" below ten seconds, "250 ms" below one.
[[nodiscard]] std::string format_age(Duration age);

// "2026-01-31 12:00:00 UTC"
[[nodiscard]] std::string format_utc(Time time);

// A moment of the past as people type it: "2026-01-31", "2026-01-31T12:00:00Z", "2026-01-31 12:00:00 UTC" or without
// the zone, which is UTC in any case; or a duration, which counts back from `now`.
[[nodiscard]] Result<Time> parse_moment(std::string_view what, std::string_view text, Time now);

}  // namespace warren::base
