#include "keymgr/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/keymgr/bench.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using std::chrono::hours;
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
    ASSERT_TRUE(abort(state, settings, now, Revision(revision.value + 1)));
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
