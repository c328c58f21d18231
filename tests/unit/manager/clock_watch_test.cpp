#include "manager/clock_watch.h"

#include <gtest/gtest.h>

namespace warren::manager {
namespace {

using namespace std::chrono_literals;

class ClockWatchTest : public testing::Test {
  protected:
    base::Time wall_{std::chrono::hours(500'000)};
    std::chrono::steady_clock::time_point steady_{std::chrono::hours(3)};
    ClockWatch watch_;

    base::Duration look(base::Duration wall, base::Duration steady) {
        wall_ += wall;
        steady_ += steady;
        return watch_.look(wall_, steady_);
    }
};

TEST_F(ClockWatchTest, TimeThatPassesIsNoSetting) {
    EXPECT_EQ(look(0s, 0s), 0s);
    EXPECT_EQ(look(1h, 1h), 0s);
    EXPECT_EQ(look(5s, 5s), 0s);
}

TEST_F(ClockWatchTest, TellsHowFarTheClockWasSetOnce) {
    (void)look(0s, 0s);
    EXPECT_EQ(look(1h + 5s, 5s), 1h);
    EXPECT_EQ(look(5s, 5s), 0s);
    EXPECT_EQ(look(5s - 2h, 5s), -2h);
    EXPECT_EQ(look(5s, 5s), 0s);
}

TEST_F(ClockWatchTest, SmallDifferencesAreToldWhenTheyAddUp) {
    (void)look(0s, 0s);
    EXPECT_EQ(look(5060ms, 5s), 0s);
    EXPECT_EQ(look(5060ms, 5s), 120ms);
    EXPECT_EQ(look(5060ms, 5s), 0s);
}

}  // namespace
}  // namespace warren::manager
