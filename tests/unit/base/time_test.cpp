#include "base/time.h"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

using namespace std::chrono_literals;

TEST(ParseDuration, TakesUnitsAndSums) {
    EXPECT_EQ(parse_duration("d", "0"), 0ms);
    EXPECT_EQ(parse_duration("d", "500ms"), 500ms);
    EXPECT_EQ(parse_duration("d", "1h30m"), 90min);
    EXPECT_EQ(parse_duration("d", "7d"), 168h);
}

TEST(ParseDuration, Refuses) {
    for (const auto* bad : {"", "12", "h", "-1h", "1x", "1h 2m", "99999999999d"}) {
        EXPECT_FALSE(parse_duration("--expires", bad)) << bad;
    }
    EXPECT_EQ(parse_duration("--expires", "soon").error().message(),
              "--expires 'soon': must be a duration such as 90s, 30m, 12h or 7d");
}

TEST(FormatAge, HasTwoUnitsAtMost) {
    EXPECT_EQ(format_age(250ms), "250 ms");
    EXPECT_EQ(format_age(1250ms), "1.2 s");
    EXPECT_EQ(format_age(59s), "59 s");
    EXPECT_EQ(format_age(125s), "2m 5s");
    EXPECT_EQ(format_age(26h), "1d 2h");
    EXPECT_EQ(format_age(-5s), "0 ms");
}

TEST(ParseMoment, TakesTimesAndDurations) {
    const Time now(1'800'000'000'000ms);
    const Time noon(1'769'860'800'000ms);
    EXPECT_EQ(parse_moment("--since", "2026-01-31T12:00:00Z", now), noon);
    EXPECT_EQ(parse_moment("--since", "2026-01-31 12:00:00 UTC", now), noon);
    EXPECT_EQ(parse_moment("--since", "2026-01-31 12:00:00", now), noon);
    EXPECT_EQ(parse_moment("--since", "2026-01-31", now), noon - 12h);
    EXPECT_EQ(parse_moment("--since", "90m", now), now - 90min);
    EXPECT_EQ(parse_moment("--since", format_utc(now), now), now);
}

TEST(ParseMoment, Refuses) {
    for (const auto* bad : {"", "yesterday", "2026-02-30", "2026-13-01", "2026-1-31", "2026-01-31T24:00:00",
                            "2026-01-31T12:00", "2026-01-31T12:00:00+01:00", "2026-01-31x", "12:00:00"}) {
        EXPECT_FALSE(parse_moment("--since", bad, Time())) << bad;
    }
    EXPECT_EQ(parse_moment("--since", "noon", Time()).error().message(),
              "--since 'noon': must be a time such as 2026-01-31T12:00:00Z, or how long ago, such as 2h");
}

TEST(FormatUtc, CutsToTheSecond) {
    EXPECT_EQ(format_utc(Time(1'800'000'000'999ms)), "2027-01-15 08:00:00 UTC");
}

}  // namespace
}  // namespace warren::base
