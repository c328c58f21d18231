#include "keymgr/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "tests/unit/keymgr/bench.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr End kSelf{.id = MembershipId(1), .since = Revision(10)};
constexpr End kPeer{.id = MembershipId(2), .since = Revision(20)};

HeldEpoch held(std::uint32_t number, std::uint64_t since, std::uint64_t superseded = 0) {
    return {.number = Epoch(number), .since = Revision(since), .superseded = Revision(superseded)};
}

Epoch tx(std::uint32_t active, const std::vector<HeldEpoch>& epochs, std::uint64_t acked, std::uint32_t in_use = 0) {
    return tx_epoch(Epoch(active), epochs, kSelf, kPeer, Revision(acked), Epoch(in_use));
}

TEST(TxEpoch, NeedsTheEpochAndBothMembershipsAcknowledged) {
    const std::vector epochs{held(1, 5)};
    EXPECT_EQ(tx(1, epochs, 0), Epoch{});
    EXPECT_EQ(tx(1, epochs, 19), Epoch{}) << "the peer may not know itself yet";
    EXPECT_EQ(tx(1, epochs, 20), Epoch(1));
    const End late{.id = MembershipId(1), .since = Revision(30)};
    EXPECT_EQ(tx_epoch(Epoch(1), epochs, late, kPeer, Revision(29), {}), Epoch{}) << "the peer may not know us yet";
    EXPECT_EQ(tx_epoch(Epoch(1), epochs, late, kPeer, Revision(30), {}), Epoch(1));
}

TEST(TxEpoch, IsTheHighestReadyOneUpToTheActive) {
    const std::vector epochs{held(1, 5), held(2, 30), held(4, 40)};
    EXPECT_EQ(tx(1, epochs, 50), Epoch(1)) << "the others are not active yet";
    EXPECT_EQ(tx(2, epochs, 29), Epoch(1)) << "a laggard is sent to in what it has";
    EXPECT_EQ(tx(4, epochs, 39), Epoch(2));
    EXPECT_EQ(tx(4, epochs, 40), Epoch(4));
    EXPECT_EQ(tx(4, {}, 40), Epoch{});
}

TEST(TxEpoch, NeverGoesBack) {
    const std::vector epochs{held(1, 5), held(2, 30)};
    EXPECT_EQ(tx(2, epochs, 0, 2), Epoch(2)) << "a manager that forgot an acknowledgement can't take it back";
    EXPECT_EQ(tx(1, epochs, 50, 2), Epoch{}) << "a used key is not used again";
    EXPECT_EQ(tx(2, {held(1, 5)}, 50, 2), Epoch{});
    EXPECT_EQ(tx(2, {held(2, 30)}, 50, 1), Epoch(2));
}

TEST(TxEpoch, WhatWasUsedProvesThatThePeerKnewThePair) {
    // Nobody remembers that the peer acknowledged 20, but epoch 1 was used with it.
    EXPECT_EQ(tx(2, {held(1, 5, 40), held(2, 15)}, 0, 1), Epoch(2));
    EXPECT_EQ(tx(2, {held(1, 5, 40), held(2, 35)}, 0, 1), Epoch(1)) << "it proves no more than that";
}

TEST(RxEpochs, AreAllThatThePairUses) {
    EXPECT_THAT(rx_epochs(std::vector{held(1, 5, 50), held(2, 30), held(3, 60)}, kSelf, kPeer),
                ElementsAre(Epoch(1), Epoch(2), Epoch(3)));
    EXPECT_THAT(rx_epochs(std::vector{held(1, 5, 20), held(2, 8)}, kSelf, kPeer), ElementsAre(Epoch(2)))
        << "superseded when the peer joined";
}

TEST(RxEpochs, OfAKeptEpochAreThePairsOfThoseItIsKeptFor) {
    HeldEpoch kept = held(1, 5, 50);
    kept.kept = true;
    EXPECT_THAT(rx_epochs(std::vector{kept}, kSelf, kPeer), IsEmpty());
    kept.kept_for = {kPeer.id};
    EXPECT_THAT(rx_epochs(std::vector{kept}, kSelf, kPeer), ElementsAre(Epoch(1)));
    kept.kept_for = {kSelf.id};
    EXPECT_THAT(rx_epochs(std::vector{kept}, kSelf, kPeer), ElementsAre(Epoch(1)));
}

TEST(AckView, AFloorHoldsForAllButThoseNamedWithIt) {
    AckView view;
    view.apply({.floor = Revision(30), .acks = {{MembershipId(3), Revision(12)}}});
    EXPECT_EQ(view.acked(kPeer), Revision(30));
    EXPECT_EQ(view.acked({MembershipId(3), Revision(10)}), Revision(12));
    EXPECT_EQ(view.acked({MembershipId(4), Revision(31)}), Revision{}) << "joined after the floor";
}

TEST(AckView, WhoIsNoLongerNamedHasReachedTheFloor) {
    AckView view;
    view.apply({.floor = Revision(30), .acks = {{kPeer.id, Revision(21)}}});
    view.apply({.floor = Revision(30)});
    EXPECT_EQ(view.acked(kPeer), Revision(30));
}

TEST(AckView, ForgetsWhoIsGone) {
    AckView view;
    view.apply({.acks = {{kPeer.id, Revision(21)}, {MembershipId(9), Revision(21)}}});
    view.retain(std::vector{MembershipId(9)});
    AckView same;
    same.apply({.acks = {{MembershipId(9), Revision(21)}}});
    EXPECT_EQ(view, same);
}

AckUpdate random_update() {
    AckUpdate update{.floor = Revision(*rc::gen::inRange<std::uint64_t>(0, 20))};
    for (std::uint64_t id = 1; id <= 5; ++id) {
        if (*rc::gen::arbitrary<bool>()) {
            update.acks.push_back({MembershipId(id), Revision(*rc::gen::inRange<std::uint64_t>(0, 20))});
        }
    }
    return update;
}

std::vector<Revision> known(const AckView& view) {
    std::vector<Revision> revisions;
    for (std::uint64_t id = 1; id <= 6; ++id) {
        revisions.push_back(view.acked({MembershipId(id), Revision{}}));
    }
    return revisions;
}

TEST(AckView, KnowsTheBestOfAllUpdatesInWhateverOrderTheyCome) {
    EXPECT_TRUE(rc::check([] {
        std::vector<AckUpdate> updates;
        const auto count = *rc::gen::inRange<std::size_t>(1, 6);
        updates.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            updates.push_back(random_update());
        }
        std::vector<Revision> best(6);
        for (const AckUpdate& update : updates) {
            for (std::uint64_t id = 1; id <= 6; ++id) {
                const auto named = std::ranges::find(update.acks, MembershipId(id), &PeerAck::member);
                best[id - 1] = std::max(best[id - 1], named == update.acks.end() ? update.floor : named->acked);
            }
        }
        AckView view;
        for (const AckUpdate& update : updates) {
            view.apply(update);
        }
        RC_ASSERT(known(view) == best);
        for (const AckUpdate& update : updates) {  // again, doubled and out of order
            view.apply(update);
        }
        RC_ASSERT(known(view) == best);
    }));
}

// The manager's side -------------------------------------------------------------------------------------------------

class Told : public testing::Test, public Bench {
  protected:
    [[nodiscard]] static End end(const Member& one) { return {.id = one.id, .since = one.since}; }
};

TEST_F(Told, AJoinerGetsNoEpochThatWasSupersededBefore) {
    const auto a = join();
    ask();
    acknowledge(a);
    step();
    ASSERT_EQ(stage(1), Stage::kMoving);
    EXPECT_EQ(held_epochs(state, member(a)).size(), 2U);
    const auto b = join(false);
    const auto epochs = held_epochs(state, member(b));
    ASSERT_EQ(epochs.size(), 1U);
    EXPECT_EQ(epochs[0].number, Epoch(2));
}

TEST_F(Told, ARetiredEpochIsGivenToNobody) {
    const auto a = join();
    ask();
    take(*abort(state, settings, now, Revision(revision.value + 1)));
    EXPECT_EQ(held_epochs(state, member(a)).size(), 1U);
}

TEST_F(Told, AnActivationNamesTheLaggardsOnly) {
    join();
    const auto b = join();
    for (int i = 0; i < 20; ++i) {
        join();
    }
    lose(b);
    const Revision had = member(b).acked;
    ask();
    const Revision since = epoch(2)->since;
    for (Member& one : members) {
        one.acked = one.connected ? revision : one.acked;
    }
    step();
    EXPECT_EQ(announced_acks(state), (AckUpdate{.floor = since, .acks = {{b, had}}}));
}

TEST_F(Told, ANewLaggardIsAnnouncedWithTheFloorItHadReachedEvenIfItsAcknowledgementIsForgotten) {
    const auto a = join();
    const auto b = join();
    ask();
    const Revision floor = epoch(2)->since;
    settle();
    lose(b);
    member(b).acked = {};
    ask();
    acknowledge(a);
    step();
    EXPECT_THAT(announced_acks(state).acks, ElementsAre(PeerAck{b, floor}));
}

TEST_F(Told, ASnapshotSaysWhatTheDeltasSaid) {
    // Whoever gets everything as it happens knows what somebody gets who starts over.
    EXPECT_TRUE(rc::check([] {
        Bench bench;
        AckView deltas;
        const auto self = bench.join();
        for (int i = 0; i < 30; ++i) {
            const auto pick = *rc::gen::inRange<std::size_t>(0, bench.members.size());
            const MembershipId id = bench.members[pick].id;
            const Revision before = bench.members[pick].acked;
            switch (*rc::gen::inRange(0, 6)) {
                case 0:
                    bench.join(false);
                    break;
                case 1:
                    bench.ask();
                    break;
                case 2:
                    bench.members[pick].connected = !bench.members[pick].connected || id == self;
                    break;
                default:
                    if (bench.members[pick].connected) {
                        bench.acknowledge(id);
                        for (const Member& one : ack_listeners(bench.members, bench.members[pick], before)) {
                            if (one.id == self && id != self) {
                                deltas.apply({.acks = {{id, bench.members[pick].acked}}});
                            }
                        }
                    }
                    break;
            }
            bench.now += std::chrono::seconds(2);
            bench.step();
            deltas.apply(announced_acks(bench.state));
            AckView fresh;
            fresh.apply(snapshot_acks(bench.state, bench.member(self), bench.members));
            for (const Member& one : bench.members) {
                if (one.id != self) {
                    const auto chosen = [&](const AckView& view) {
                        return tx_epoch(bench.state.active, held_epochs(bench.state, bench.member(self)),
                                        end(bench.member(self)), end(one), view.acked(end(one)), {});
                    };
                    // A snapshot may know of a laggard's return before it is announced.
                    RC_ASSERT(chosen(fresh) >= chosen(deltas));
                    if (std::ranges::find(bench.state.laggards, one.id, &Laggard::member) ==
                        bench.state.laggards.end()) {
                        RC_ASSERT(chosen(fresh) == chosen(deltas));
                    }
                }
            }
        }
    }));
}

TEST_F(Told, ARotationCostsNoListenersAndAJoinOneForEachMember) {
    for (int i = 0; i < 50; ++i) {
        join();
    }
    settle();  // everybody knows everybody
    ask();
    for (Member& one : members) {
        const Revision before = std::exchange(one.acked, revision);
        EXPECT_THAT(ack_listeners(members, one, before), IsEmpty());
    }
    join(false);
    std::size_t told = 0;
    for (Member& one : members) {
        const Revision before = std::exchange(one.acked, revision);
        told += ack_listeners(members, one, before).size();
    }
    EXPECT_LE(told, 2 * members.size());
}

}  // namespace
}  // namespace warren::keymgr
