#include "agent/repairs.h"

#include <gtest/gtest.h>

namespace warren::agent {
namespace {

using namespace std::chrono_literals;

const base::Moment kNow{std::chrono::hours(500'000)};

TEST(Repairs, AnAccidentIsPutRightAtOnce) {
    Repairs repairs;
    for (int i = 0; i < 9; ++i) {
        EXPECT_FALSE(repairs.note(kNow + i * 100ms, ""));
    }
    EXPECT_EQ(repairs.fought(kNow + 1s), 0U);
    for (int i = 1; i < 20; ++i) {
        EXPECT_FALSE(repairs.note(kNow + i * 5min, "")) << "now and then is no fight";
    }
}

TEST(Repairs, AFightIsSpacedOutMoreAndMore) {
    Repairs repairs;
    auto now = kNow;
    for (int i = 0; i < 9; ++i) {
        EXPECT_FALSE(repairs.note(now += 10ms, ""));
    }
    base::Duration pause = 0s;
    for (int i = 0; i < 10; ++i) {
        const auto next = repairs.note(now, "");
        ASSERT_TRUE(next);
        EXPECT_GE(*next - now, pause);
        pause = *next - now;
        now = *next;
    }
    EXPECT_EQ(pause, 30s);
    EXPECT_EQ(repairs.fought(now), 19U);
}

TEST(Repairs, TheLastOneWhoIsKnownIsNamed) {
    Repairs repairs;
    EXPECT_EQ(repairs.last_by(), "");
    (void)repairs.note(kNow, "process 7 (nft)");
    EXPECT_EQ(repairs.last_by(), "process 7 (nft)");
    (void)repairs.note(kNow + 1s, "");
    EXPECT_EQ(repairs.last_by(), "") << "who did something earlier need not have done this";
}

TEST(Repairs, AFightThatTheOtherGaveUpIsOver) {
    Repairs repairs;
    for (int i = 0; i < 12; ++i) {
        (void)repairs.note(kNow, "");
    }
    EXPECT_GT(repairs.fought(kNow + 1min), 0U);
    EXPECT_EQ(repairs.fought(kNow + 5min), 0U);
    EXPECT_FALSE(repairs.note(kNow + 5min, "")) << "and what comes later is an accident again";
}

}  // namespace
}  // namespace warren::agent
