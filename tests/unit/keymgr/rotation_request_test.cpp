#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "keymgr/rotation.h"
#include "tests/unit/keymgr/bench.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::Revision;
using std::chrono::hours;
using testing::ElementsAre;

class RotationRequest : public testing::Test, public Bench {};

// Requests ---------------------------------------------------------------------------------------------------------

TEST_F(RotationRequest, RequestsWhileOneIsInstalledBecomeOneMore) {
    join();
    EXPECT_EQ(ask(), Epoch(2));
    EXPECT_EQ(ask(), Epoch(3));
    EXPECT_EQ(ask(Reason::kParameters), Epoch(3));
    settle();
    EXPECT_EQ(state.active, Epoch(3));
    EXPECT_EQ(outcome(Epoch(3)), Outcome::kDone);
    EXPECT_THAT(epoch(3)->reasons, ElementsAre(Reason::kCommand, Reason::kParameters));
    EXPECT_THAT(made, ElementsAre(Epoch(2), Epoch(3)));
}

TEST_F(RotationRequest, TheNextOneMayBeginWhileTheLastIsRetired) {
    rotate_until_draining(join());
    ASSERT_EQ(stage(1), Stage::kDraining);
    ask();
    EXPECT_EQ(stage(3), Stage::kInstalling);
    settle();
    EXPECT_EQ(state.epochs.size(), 1U);
}

TEST_F(RotationRequest, AComplaintAboutAnEpochOnItsWayOutAsksForNothing) {
    const auto a = join();
    ask();
    EXPECT_EQ(ask(Reason::kSaLost, Epoch(1)), Epoch(2)) << "epoch 2 heals it already";
    EXPECT_FALSE(state.pending);
    EXPECT_EQ(ask(Reason::kLimit, Epoch(2)), Epoch(3));
    EXPECT_TRUE(state.pending);
    acknowledge(a);
}

TEST_F(RotationRequest, LostSasAndLeaversAreRateLimited) {
    join();
    ask(Reason::kSaLost);
    settle();
    ASSERT_EQ(state.active, Epoch(2));
    ask(Reason::kMemberLeft);
    EXPECT_EQ(phase(), Phase::kIdle);
    ASSERT_TRUE(state.last_limited);
    ASSERT_EQ(wakeup, *state.last_limited + settings.rate_limit);
    now = *wakeup;
    EXPECT_TRUE(step());
    EXPECT_EQ(phase(), Phase::kInstalling);
}

// Neither the first epoch nor a rotation of another kind keeps a lost SA waiting for new keys.
TEST_F(RotationRequest, TheFirstLostSaIsHealedAtOnceAndSoIsOneAfterARotationOfAnotherKind) {
    for (const Reason other : {Reason::kCommand, Reason::kSchedule, Reason::kLimit}) {
        Bench network;
        network.join();
        network.ask(other);
        network.settle();
        network.ask(Reason::kSaLost, network.state.active);
        EXPECT_EQ(network.phase(), Phase::kInstalling) << name(other);
    }
}

TEST_F(RotationRequest, ACommandDoesNotWaitForTheRateLimit) {
    join();
    ask(Reason::kSaLost);
    settle();
    ask(Reason::kSaLost);
    EXPECT_EQ(phase(), Phase::kIdle);
    ask();
    EXPECT_EQ(phase(), Phase::kInstalling);
}

TEST_F(RotationRequest, TheScheduleIsStoredAndAnyRotationStartsItAnew) {
    settings.interval = hours(12);
    const auto a = join();
    ASSERT_TRUE(step());
    ASSERT_EQ(state.due, now + hours(12));
    now += hours(6);
    ask();
    settle();
    ASSERT_TRUE(state.due);
    const base::Time due = *state.due;
    EXPECT_GE(due, now + hours(11));
    now = due;
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_THAT(epoch(3)->reasons, ElementsAre(Reason::kSchedule));
}

TEST_F(RotationRequest, TheScheduleIsSpreadAndCanBeTurnedOff) {
    settings.interval = hours(10);
    std::set<base::Time> dues;
    for (std::uint64_t dice = 0; dice < 100; ++dice) {
        const auto decision = keymgr::step(state, members, settings, now, Revision(2), dice * 0x123456789abcdefULL);
        ASSERT_TRUE(decision.state);
        EXPECT_FALSE(decision.announce) << "no business of the members";
        EXPECT_GE(*decision.state->due, now + hours(9));
        EXPECT_LE(*decision.state->due, now + hours(10));
        dues.insert(*decision.state->due);
    }
    EXPECT_GT(dues.size(), 50U);
    step();
    settings.interval = base::Duration::zero();
    ASSERT_TRUE(step());
    EXPECT_FALSE(state.due);
}

// Abort ------------------------------------------------------------------------------------------------------------

TEST_F(RotationRequest, AnAbortedEpochIsDeletedAndItsNumberNotGivenAgain) {
    const auto a = join();
    const Epoch target = ask();
    ask();
    ASSERT_TRUE(take(*abort(state, settings, now, Revision(revision.value + 1))));
    EXPECT_THAT(forgotten, ElementsAre(Epoch(2)));
    EXPECT_EQ(outcome(target), Outcome::kAborted);
    EXPECT_FALSE(state.pending);
    step();
    EXPECT_EQ(stage(2), Stage::kRetired) << "a still holds it";
    EXPECT_EQ(ask(), Epoch(3));
    EXPECT_NE(epoch(3)->slot, epoch(2)->slot);
    acknowledge(a);
    settle();
    EXPECT_EQ(state.active, Epoch(3));
    EXPECT_EQ(state.epochs.size(), 1U);
}

// A former member must not know the keys for longer than the abort needs, a new cipher must come, lost SAs must heal.
TEST_F(RotationRequest, WhatIsOwedToSomebodyOutlivesAnAbort) {
    const auto a = join();
    ask(Reason::kMemberLeft);
    ask(Reason::kCommand);
    ask(Reason::kParameters);
    ASSERT_EQ(stage(2), Stage::kInstalling);
    ASSERT_TRUE(take(*abort(state, settings, now, Revision(revision.value + 1))));
    EXPECT_EQ(stage(2), Stage::kRetired);
    ASSERT_TRUE(state.pending);
    EXPECT_THAT(state.pending->reasons, ElementsAre(Reason::kMemberLeft, Reason::kParameters));

    acknowledge(a);
    step();
    EXPECT_EQ(phase(), Phase::kIdle) << "there is time to mend what made the abort necessary";
    now += settings.rate_limit;
    EXPECT_TRUE(step());
    ASSERT_EQ(stage(3), Stage::kInstalling);
    EXPECT_THAT(epoch(3)->reasons, ElementsAre(Reason::kMemberLeft, Reason::kParameters));
}

// The epoch that is being installed would have healed the SA: without it the SA still has to be healed.
TEST_F(RotationRequest, AComplaintThatTheAbortedEpochServedIsOwed) {
    join();
    ask();
    EXPECT_EQ(ask(Reason::kSaLost, Epoch(1)), Epoch(2));
    ASSERT_TRUE(take(*abort(state, settings, now, Revision(revision.value + 1))));
    ASSERT_TRUE(state.pending);
    EXPECT_THAT(state.pending->reasons, ElementsAre(Reason::kSaLost));
}

TEST_F(RotationRequest, ACommandAfterAnAbortTakesWhatIsOwedWithIt) {
    const auto a = join();
    ask(Reason::kMemberLeft);
    ASSERT_TRUE(take(*abort(state, settings, now, Revision(revision.value + 1))));
    acknowledge(a);
    ask();
    ASSERT_EQ(stage(3), Stage::kInstalling);
    EXPECT_THAT(epoch(3)->reasons, ElementsAre(Reason::kMemberLeft, Reason::kCommand));
}

TEST_F(RotationRequest, ARequestThatWaitsIsTakenBackOnlyIfSomebodyCommandedIt) {
    join();
    ask(Reason::kSaLost);
    settle();
    ask(Reason::kSaLost);
    const auto refused = abort(state, settings, now, Revision(revision.value + 1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kPrecondition);
    EXPECT_NE(refused.error().message().find("not asked for by command"), std::string::npos);
}

TEST_F(RotationRequest, AnActiveEpochCannotBeAborted) {
    EXPECT_EQ(abort(state, settings, now, Revision(2)).error().code(), base::Code::kPrecondition);
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    EXPECT_EQ(abort(state, settings, now, Revision(2)).error().code(), base::Code::kPrecondition);
}

}  // namespace
}  // namespace warren::keymgr
