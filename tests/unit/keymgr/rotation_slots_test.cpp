#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "keymgr/rotation.h"
#include "tests/unit/keymgr/bench.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::Revision;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

class RotationSlots : public testing::Test, public Bench {};

// Slots ------------------------------------------------------------------------------------------------------------

TEST_F(RotationSlots, AFifthEpochCutsOffTheOldestStragglersAtOnce) {
    join();
    const auto b = join();
    lose(b);
    for (int i = 0; i < 3; ++i) {
        ask();
        settle();
    }
    EXPECT_EQ(state.epochs.size(), kSlots);
    EXPECT_EQ(told(EventKind::kCutOff), std::nullopt);
    ask();
    EXPECT_THAT(told(EventKind::kCutOff), Optional(ElementsAre(b)));
    EXPECT_EQ(stage(1), Stage::kRetired);
    settle();
    EXPECT_EQ(state.active, Epoch(5));
    EXPECT_EQ(stage(2), Stage::kKept);
}

TEST_F(RotationSlots, AFifthEpochWaitsForTheGraceOfEpochsThatEverybodyLeft) {
    join();
    settings.grace = minutes(5);
    for (int i = 0; i < 5; ++i) {
        ask();
        for (int j = 0; j < 3; ++j) {
            acknowledge(members[0].id);
            step();
        }
    }
    EXPECT_EQ(state.active, Epoch(4));
    EXPECT_EQ(state.epochs.size(), kSlots);
    EXPECT_TRUE(state.pending);
    settle();
    EXPECT_EQ(state.active, Epoch(5));
}

TEST_F(RotationSlots, PacketsOnTheirWayOutliveTheStragglerLimit) {
    join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    find(b);
    acknowledge(b);
    step();
    now = epoch(1)->superseded_time + settings.straggler_limit - seconds(1);
    for (Member& one : members) {
        one.acked = revision;
    }
    step();
    ASSERT_EQ(stage(1), Stage::kKept);
    now += seconds(1);
    EXPECT_FALSE(step());
    EXPECT_EQ(wakeup, now - seconds(1) + settings.grace);
}

// Removal ----------------------------------------------------------------------------------------------------------

TEST_F(RotationSlots, ARemovedNodeIsLockedOutWithoutGraceOrStragglers) {
    const auto a = join();
    const auto b = join();
    const auto gone = join();
    lose(b);
    leave(gone);
    const Epoch target = ask(Reason::kNodeRemoved);
    EXPECT_THAT(unconfirmed(state, target, members), ElementsAre(a, b));
    acknowledge(a);
    step();
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired) << "at once";
    EXPECT_THAT(told(EventKind::kCutOff), Optional(ElementsAre(b)));
    acknowledge(a);
    step();
    EXPECT_EQ(outcome(target), Outcome::kDone);
    EXPECT_THAT(unconfirmed(state, target, members), ElementsAre(b)) << "it still accepts the old epoch";
    find(b);
    acknowledge(b);
    EXPECT_THAT(unconfirmed(state, target, members), IsEmpty());
}

TEST_F(RotationSlots, RemovalTakesAwayWhatWasKeptForStragglers) {
    join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    ASSERT_EQ(stage(1), Stage::kKept);
    ask(Reason::kNodeRemoved);
    EXPECT_EQ(stage(1), Stage::kRetired);
    EXPECT_THAT(told(EventKind::kCutOff), Optional(ElementsAre(b)));
}

TEST_F(RotationSlots, RemovalReplacesTheEpochThatTheRemovedNodeMayHaveGot) {
    join();
    ask();
    ASSERT_EQ(stage(2), Stage::kInstalling);
    EXPECT_EQ(ask(Reason::kNodeRemoved), Epoch(3));
    EXPECT_EQ(stage(2), Stage::kRetired);
    EXPECT_EQ(stage(3), Stage::kInstalling);
    EXPECT_EQ(abort(state, settings, now, Revision(revision.value + 1)).error().code(), base::Code::kPrecondition)
        << "the removed node knows epoch 1";
    settle();
    EXPECT_EQ(state.active, Epoch(3));
    EXPECT_EQ(state.epochs.size(), 1U);
}

// Clock ------------------------------------------------------------------------------------------------------------

TEST_F(RotationSlots, AClockSetBackRestartsTheGraceOnly) {
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    acknowledge(a);
    step();
    ASSERT_EQ(stage(1), Stage::kDraining);
    now -= hours(20);
    step();
    EXPECT_EQ(wakeup, now + settings.grace);
    now = *wakeup;
    ASSERT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired);
}

TEST_F(RotationSlots, AClockSetBackDoesNotStopTheSchedule) {
    settings.interval = hours(12);
    step();
    now -= hours(1000);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.due, now + hours(12));
}

}  // namespace
}  // namespace warren::keymgr
