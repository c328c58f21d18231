#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/keymgr/bench.h"

// What a clock that is set does to a rotation: nothing.
namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using std::chrono::hours;
using std::chrono::milliseconds;

class RotationClock : public testing::TestWithParam<base::Duration>, public Bench {
  protected:
    void set_clock(base::Duration by) {
        now += by;
        state = clock_set(state, by);
        for (Member& one : members) {
            one.last_seen += by;
        }
    }
};

TEST_P(RotationClock, NeitherShortensNorLengthensTheGrace) {
    rotate_until_draining(join());
    ASSERT_EQ(stage(1), Stage::kDraining);
    now += settings.grace / 2;
    set_clock(GetParam());
    step();
    EXPECT_EQ(stage(1), Stage::kDraining) << "packets are on their way";
    now += settings.grace / 2 - milliseconds(1);
    step();
    EXPECT_EQ(stage(1), Stage::kDraining);
    now += milliseconds(1);
    step();
    EXPECT_EQ(stage(1), Stage::kRetired);
}

TEST_P(RotationClock, ChangesNoPatienceWithAMember) {
    const auto a = join();
    join();
    ask();
    acknowledge(a);
    now += settings.patience / 2;
    set_clock(GetParam());
    step();
    EXPECT_EQ(state.active, Epoch(1)) << "b is connected, and may still install the next";
    now += settings.patience / 2;
    step();
    EXPECT_EQ(state.active, Epoch(2));
}

TEST_P(RotationClock, ChangesNoStragglersTime) {
    const auto a = join();
    lose(join());
    ask();
    for (int i = 0; i < 20 && stage(1) != Stage::kKept; ++i) {
        acknowledge(a);
        step();
        now += settings.grace;
    }
    acknowledge(a);
    step();
    ASSERT_EQ(stage(1), Stage::kKept);
    set_clock(GetParam());
    step();
    EXPECT_EQ(stage(1), Stage::kKept);
    now += settings.straggler_limit;
    EXPECT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired);
}

TEST_P(RotationClock, ChangesNoDistanceBetweenRotationsThatKeepOne) {
    join();
    ask(Reason::kMemberLeft);
    settle();
    const Epoch second = ask(Reason::kMemberLeft);
    ASSERT_TRUE(state.pending);
    const auto made_before = made;
    set_clock(GetParam());
    step();
    EXPECT_EQ(made, made_before);
    now += settings.rate_limit;
    step();
    EXPECT_EQ(made.back(), second);
}

INSTANTIATE_TEST_SUITE_P(ByAnyMuch, RotationClock,
                         testing::Values(hours(5), hours(-5), milliseconds(700), milliseconds(-700)));

class RotationSchedule : public testing::Test, public Bench {};

TEST_F(RotationSchedule, StaysWithTheClock) {
    settings.interval = hours(12);
    join();
    step();
    const auto due = *state.due;
    EXPECT_EQ(clock_set(state, hours(5)).due, due);
}

TEST_F(RotationSchedule, AtRestThereIsNothingToStore) {
    join();
    ask(Reason::kMemberLeft);
    settle();
    state.last_limited.reset();
    EXPECT_EQ(clock_set(state, hours(5)), state);
    EXPECT_EQ(resumed(state, now + hours(5)), state);
}

TEST_F(RotationSchedule, AManagerThatBeginsGivesTheWholeGrace) {
    rotate_until_draining(join());
    ASSERT_EQ(stage(1), Stage::kDraining);
    now += hours(5);  // or the clock was set by as much: it can't know
    state = resumed(state, now);
    EXPECT_FALSE(step());
    now += settings.grace;
    EXPECT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired);
}

}  // namespace
}  // namespace warren::keymgr
