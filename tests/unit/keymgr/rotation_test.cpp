#include "keymgr/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/keymgr/bench.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

class Rotation : public testing::Test, public Bench {};

TEST_F(Rotation, TheFirstEpochIsActiveFromTheStart) {
    EXPECT_EQ(state.active, Epoch(1));
    EXPECT_EQ(stage(1), Stage::kActive);
    EXPECT_EQ(phase(), Phase::kIdle);
    EXPECT_FALSE(step());
}

TEST_F(Rotation, GoesThroughInstallActivateRetireAsMembersAcknowledge) {
    const auto a = join();
    const auto b = join();
    const Epoch target = ask();
    EXPECT_EQ(target, Epoch(2));
    EXPECT_THAT(made, ElementsAre(Epoch(2)));
    EXPECT_EQ(phase(), Phase::kInstalling);
    EXPECT_EQ(state.active, Epoch(1));

    acknowledge(a);
    EXPECT_FALSE(step()) << "b has not installed it yet";
    acknowledge(b);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.active, Epoch(2));
    EXPECT_EQ(phase(), Phase::kActivating);
    EXPECT_THAT(told(EventKind::kActivated), Optional(IsEmpty()));

    acknowledge(b);
    EXPECT_FALSE(step()) << "a may still send in epoch 1";
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_EQ(phase(), Phase::kRetiring);
    EXPECT_EQ(wakeup, now + settings.grace);
    EXPECT_FALSE(step()) << "packets are on their way";

    now += settings.grace;
    ASSERT_TRUE(step());
    EXPECT_THAT(forgotten, ElementsAre(Epoch(1)));
    EXPECT_EQ(stage(1), Stage::kRetired);
    acknowledge(a);
    EXPECT_EQ(outcome(target), Outcome::kRunning);
    acknowledge(b);
    EXPECT_EQ(outcome(target), Outcome::kDone);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.epochs.size(), 1U);
    EXPECT_EQ(phase(), Phase::kIdle);
}

TEST_F(Rotation, OfANetworkWithoutMembersCompletes) {
    const Epoch target = ask();
    settle();
    EXPECT_EQ(outcome(target), Outcome::kDone);
    EXPECT_EQ(state.epochs.size(), 1U);
}

TEST_F(Rotation, OfANetworkWithOneMemberCompletes) {
    join();
    const Epoch target = ask();
    settle();
    EXPECT_EQ(outcome(target), Outcome::kDone);
}

TEST_F(Rotation, EveryStepSurvivesAManagerThatForgetsEverythingButTheStore) {
    join();
    join();
    const Epoch target = ask();
    for (int i = 0; i < 20 && outcome(target) != Outcome::kDone; ++i) {
        for (Member& one : members) {
            one.acked = {};  // the new manager knows nothing ...
        }
        step();
        for (Member& one : members) {
            one.acked = revision;  // ... until the agents tell it
        }
        step();
        now += settings.grace;
    }
    EXPECT_EQ(outcome(target), Outcome::kDone);
}

TEST_F(Rotation, WaitsForAMemberThatIsAwayForAMoment) {
    const auto a = join();
    const auto b = join();
    member(b).connected = false;
    member(b).last_seen = now;
    ask();
    acknowledge(a);
    EXPECT_FALSE(step());
    EXPECT_EQ(wakeup, now + settings.reconnect_window);
    now = *wakeup;
    EXPECT_TRUE(step());
    EXPECT_EQ(state.active, Epoch(2));
}

TEST_F(Rotation, DoesNotWaitForTheDeadAndKeepsTheOldEpochForThem) {
    const auto a = join();
    const auto b = join();
    lose(b);
    const Epoch target = ask();
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.active, Epoch(2));
    EXPECT_THAT(told(EventKind::kActivated), Optional(ElementsAre(b)));
    settle();
    EXPECT_EQ(stage(1), Stage::kKept);
    EXPECT_THAT(epoch(1)->kept_for, ElementsAre(b));
    EXPECT_EQ(outcome(target), Outcome::kDone) << "it is retired for all others";
    EXPECT_EQ(phase(), Phase::kIdle);
    EXPECT_THAT(progress(state, members, settings, now).stragglers, ElementsAre(b));
}

TEST_F(Rotation, AStragglerThatComesBackChangesOverBeforeItsEpochGoes) {
    const auto a = join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    ASSERT_EQ(stage(1), Stage::kKept);

    find(b);
    acknowledge(b);
    ASSERT_TRUE(step());
    EXPECT_THAT(told(EventKind::kCaughtUp), Optional(ElementsAre(b)));
    now += settings.straggler_limit / 2;
    EXPECT_FALSE(step()) << "a has not heard of it and sends to b in epoch 1";
    acknowledge(a);
    acknowledge(b);
    ASSERT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kKept) << "packets are on their way";
    now += settings.grace;
    ASSERT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired);
    EXPECT_EQ(told(EventKind::kCutOff), std::nullopt);
    settle();
    EXPECT_EQ(state.epochs.size(), 1U);
    EXPECT_THAT(state.laggards, IsEmpty());
}

TEST_F(Rotation, AStragglerIsCutOffAtTheLimitWithAnEvent) {
    join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    ASSERT_EQ(wakeup, epoch(1)->superseded_time + settings.straggler_limit);
    now = *wakeup;
    ASSERT_TRUE(step());
    EXPECT_EQ(stage(1), Stage::kRetired);
    EXPECT_THAT(told(EventKind::kCutOff), Optional(ElementsAre(b)));
    settle();
    find(b);
    settle();
    EXPECT_THAT(state.laggards, IsEmpty()) << "it gets the active epoch when it comes back";
}

TEST_F(Rotation, AMemberThatIsThereButStuckBecomesAStragglerAfterAWhile) {
    const auto a = join();
    const auto b = join();
    ask();
    acknowledge(a);
    EXPECT_FALSE(step());
    EXPECT_EQ(wakeup, now + settings.patience);
    now = *wakeup;
    ASSERT_TRUE(step());
    EXPECT_THAT(told(EventKind::kActivated), Optional(ElementsAre(b)));
}

TEST_F(Rotation, AnEpochThatNobodyCanInstallIsNeverActivated) {
    join();
    join();
    ask(Reason::kParameters);
    now += hours(100);
    step();
    EXPECT_EQ(state.active, Epoch(1));
    EXPECT_EQ(progress(state, members, settings, now).installed, 0U);
    ASSERT_TRUE(abort(state, now, Revision(revision.value + 1)));
}

TEST_F(Rotation, AManagerThatReachesNobodyConcludesNothing) {
    const auto a = join();
    const auto b = join();
    ask();
    lose(a);
    lose(b);
    now += hours(100);
    EXPECT_FALSE(step());
    find(a);
    find(b);
    settle();
    EXPECT_EQ(state.active, Epoch(2));
    EXPECT_EQ(told(EventKind::kCutOff), std::nullopt);
}

TEST_F(Rotation, AManagerThatReachesNobodyCutsOffNobody) {
    const auto a = join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    ASSERT_EQ(stage(1), Stage::kKept);
    lose(a);
    now += settings.straggler_limit;
    EXPECT_FALSE(step()) << "it may be the manager that is cut off";
    find(a);
    EXPECT_TRUE(step());
    EXPECT_THAT(told(EventKind::kCutOff), Optional(ElementsAre(b)));
}

TEST_F(Rotation, ManyStragglersThatComeBackAreAnnouncedTogether) {
    join();
    const std::vector<MembershipId> lost{join(), join(), join()};
    for (const MembershipId id : lost) {
        lose(id);
    }
    ask();
    settle();
    for (const MembershipId id : lost) {
        find(id);
        acknowledge(id);
        step();
    }
    EXPECT_THAT(told(EventKind::kCaughtUp), Optional(ElementsAre(lost[0])));
    EXPECT_EQ(wakeup, now + settings.batch);
    now = *wakeup;
    EXPECT_TRUE(step());
    EXPECT_THAT(told(EventKind::kCaughtUp), Optional(ElementsAre(lost[1], lost[2])));
}

// Joining ----------------------------------------------------------------------------------------------------------

TEST_F(Rotation, AJoinerIsNotWaitedForBeforeActivation) {
    const auto a = join();
    ask();
    const auto b = join(false);
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.active, Epoch(2));
    EXPECT_THAT(told(EventKind::kActivated), Optional(IsEmpty())) << "nobody sends to b before it has both epochs";
    acknowledge(a);
    EXPECT_FALSE(step()) << "b may send in epoch 1";
    acknowledge(b);
    EXPECT_TRUE(step());
}

TEST_F(Rotation, AMemberThatJoinsWithTheEpochIsWaitedFor) {
    const auto a = join();
    ask();
    members.push_back({.id = MembershipId(7), .since = epoch(2)->since, .connected = true});
    acknowledge(a);
    EXPECT_FALSE(step());
}

TEST_F(Rotation, AJoinerAfterActivationHoldsNobodyUp) {
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    join(false);
    acknowledge(a);
    ASSERT_TRUE(step());
    EXPECT_EQ(phase(), Phase::kRetiring);
    EXPECT_THAT(epoch(1)->kept_for, IsEmpty());
}

TEST_F(Rotation, AStragglerThatComesBackAsANewMemberNeedsNoOldEpoch) {
    join();
    const auto b = join();
    lose(b);
    ask();
    settle();
    ASSERT_EQ(stage(1), Stage::kKept);
    leave(b);
    join();
    settle();
    EXPECT_EQ(state.epochs.size(), 1U);
    EXPECT_THAT(state.laggards, IsEmpty());
    EXPECT_EQ(told(EventKind::kCutOff), std::nullopt);
}

TEST_F(Rotation, ALeaverInTheMiddleOfAStepIsNotWaitedForAnyMore) {
    const auto a = join();
    const auto b = join();
    ask();
    acknowledge(a);
    leave(b);
    EXPECT_TRUE(step());
    EXPECT_EQ(state.active, Epoch(2));
}

// Requests ---------------------------------------------------------------------------------------------------------

TEST_F(Rotation, RequestsWhileOneIsInstalledBecomeOneMore) {
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

TEST_F(Rotation, TheNextOneMayBeginWhileTheLastIsRetired) {
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    acknowledge(a);
    step();
    ASSERT_EQ(stage(1), Stage::kDraining);
    ask();
    EXPECT_EQ(stage(3), Stage::kInstalling);
    settle();
    EXPECT_EQ(state.epochs.size(), 1U);
}

TEST_F(Rotation, AComplaintAboutAnEpochOnItsWayOutAsksForNothing) {
    const auto a = join();
    ask();
    EXPECT_EQ(ask(Reason::kSaLost, Epoch(1)), Epoch(2)) << "epoch 2 heals it already";
    EXPECT_FALSE(state.pending);
    EXPECT_EQ(ask(Reason::kLimit, Epoch(2)), Epoch(3));
    EXPECT_TRUE(state.pending);
    acknowledge(a);
}

TEST_F(Rotation, LostSasAndLeaversAreRateLimited) {
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
TEST_F(Rotation, TheFirstLostSaIsHealedAtOnceAndSoIsOneAfterARotationOfAnotherKind) {
    for (const Reason other : {Reason::kCommand, Reason::kSchedule, Reason::kLimit}) {
        Bench network;
        network.join();
        network.ask(other);
        network.settle();
        network.ask(Reason::kSaLost, network.state.active);
        EXPECT_EQ(network.phase(), Phase::kInstalling) << name(other);
    }
}

TEST_F(Rotation, ACommandDoesNotWaitForTheRateLimit) {
    join();
    ask(Reason::kSaLost);
    settle();
    ask(Reason::kSaLost);
    EXPECT_EQ(phase(), Phase::kIdle);
    ask();
    EXPECT_EQ(phase(), Phase::kInstalling);
}

TEST_F(Rotation, TheScheduleIsStoredAndAnyRotationStartsItAnew) {
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

TEST_F(Rotation, TheScheduleIsSpreadAndCanBeTurnedOff) {
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

TEST_F(Rotation, AnAbortedEpochIsDeletedAndItsNumberNotGivenAgain) {
    const auto a = join();
    const Epoch target = ask();
    ask();
    ASSERT_TRUE(take(*abort(state, now, Revision(revision.value + 1))));
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

TEST_F(Rotation, AnActiveEpochCannotBeAborted) {
    EXPECT_EQ(abort(state, now, Revision(2)).error().code(), base::Code::kPrecondition);
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    EXPECT_EQ(abort(state, now, Revision(2)).error().code(), base::Code::kPrecondition);
}

// Slots ------------------------------------------------------------------------------------------------------------

TEST_F(Rotation, AFifthEpochCutsOffTheOldestStragglersAtOnce) {
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

TEST_F(Rotation, AFifthEpochWaitsForTheGraceOfEpochsThatEverybodyLeft) {
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

TEST_F(Rotation, PacketsOnTheirWayOutliveTheStragglerLimit) {
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

TEST_F(Rotation, ARemovedNodeIsLockedOutWithoutGraceOrStragglers) {
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

TEST_F(Rotation, RemovalTakesAwayWhatWasKeptForStragglers) {
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

TEST_F(Rotation, RemovalReplacesTheEpochThatTheRemovedNodeMayHaveGot) {
    join();
    ask();
    ASSERT_EQ(stage(2), Stage::kInstalling);
    EXPECT_EQ(ask(Reason::kNodeRemoved), Epoch(3));
    EXPECT_EQ(stage(2), Stage::kRetired);
    EXPECT_EQ(stage(3), Stage::kInstalling);
    EXPECT_EQ(abort(state, now, Revision(revision.value + 1)).error().code(), base::Code::kPrecondition)
        << "the removed node knows epoch 1";
    settle();
    EXPECT_EQ(state.active, Epoch(3));
    EXPECT_EQ(state.epochs.size(), 1U);
}

// Clock ------------------------------------------------------------------------------------------------------------

TEST_F(Rotation, AClockSetBackRestartsTheGraceOnly) {
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

TEST_F(Rotation, AClockSetBackDoesNotStopTheSchedule) {
    settings.interval = hours(12);
    step();
    now -= hours(1000);
    ASSERT_TRUE(step());
    EXPECT_EQ(state.due, now + hours(12));
}

// Views ------------------------------------------------------------------------------------------------------------

TEST_F(Rotation, ProgressCountsEachStepAndNamesWhoIsMissing) {
    const auto a = join();
    const auto b = join();
    const auto c = join();
    lose(c);
    ask();
    acknowledge(a);
    auto seen = progress(state, members, settings, now);
    EXPECT_EQ(seen.epoch, Epoch(2));
    EXPECT_EQ(seen.members, 3U);
    EXPECT_EQ(seen.installed, 1U);
    EXPECT_EQ(seen.active, 0U);
    EXPECT_THAT(seen.waiting_for, ElementsAre(b));
    EXPECT_THAT(seen.stragglers, ElementsAre(c));
    EXPECT_EQ(installed_epoch(state, member(a)), Epoch(2));
    EXPECT_EQ(installed_epoch(state, member(b)), Epoch(1));

    acknowledge(b);
    step();
    acknowledge(b);
    seen = progress(state, members, settings, now);
    EXPECT_EQ(seen.installed, 2U);
    EXPECT_EQ(seen.active, 1U);
    EXPECT_EQ(seen.retired, 0U);
    EXPECT_THAT(seen.waiting_for, ElementsAre(a));

    settle();
    seen = progress(state, members, settings, now);
    EXPECT_EQ(seen.phase, Phase::kIdle);
    EXPECT_EQ(seen.active, 2U);
    EXPECT_EQ(seen.retired, 2U);
    EXPECT_THAT(seen.waiting_for, IsEmpty());
    EXPECT_THAT(seen.stragglers, ElementsAre(c));
}

TEST_F(Rotation, EpochsHaveTheParametersOfTheTimeTheyWereMade) {
    join();
    settings.parameters = {.cipher = Cipher::kChaCha20Poly1305, .replay_window = 4096};
    ask(Reason::kParameters);
    EXPECT_EQ(epoch(2)->parameters, settings.parameters);
    EXPECT_EQ(epoch(1)->parameters, EpochParameters{});
}

}  // namespace
}  // namespace warren::keymgr
