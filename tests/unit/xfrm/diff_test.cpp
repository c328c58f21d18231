#include "xfrm/diff.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include "tests/unit/xfrm/world.h"

namespace warren::xfrm {
namespace {

using ::testing::IsEmpty;

Sa sa_of(const WantedSa& wanted) {
    const AeadName name = aead(wanted.cipher);
    return {.location = wanted.location,
            .reqid = wanted.reqid,
            .protocol = IPPROTO_ESP,
            .aead = std::string(name.kernel),
            .icv_bits = name.icv_bits,
            .key_bits = name.key_bits,
            .esn = true,
            .replay_window = wanted.replay_window};
}

// A kernel's table and our history of it, as if every wanted SA of `network` had been installed.
struct Installations {
    SaTable table;
    InstallHistory history;

    void install(const Network& network) {
        for (const WantedSa& sa : desired_states(network)) {
            table.insert_or_assign(sa.location, sa_of(sa));
            history.add({.direction = sa.direction, .identity = sa.identity, .location = sa.location});
        }
    }
    [[nodiscard]] StatePlan diff(const Network& network) const {
        return diff_states(network, desired_states(network), table, history);
    }
};

Network one_peer(std::uint32_t send, const std::vector<std::uint32_t>& epochs, std::uint64_t peer_membership = 0) {
    Network network = test_network();
    for (const std::uint32_t epoch : epochs) {
        network.epochs.push_back(test_epoch(epoch));
    }
    network.peers.push_back(test_peer(test_member(2, peer_membership), send, epochs));
    return network;
}

TEST(DiffStates, EqualSidesGiveNothing) {
    Installations now;
    now.install(one_peer(1, {1}));
    const StatePlan plan = now.diff(one_peer(1, {1}));
    EXPECT_TRUE(plan.empty());
    EXPECT_THAT(plan.lost, IsEmpty());
    EXPECT_EQ(plan.kept, 2U);
}

TEST(DiffStates, FirstInboundThenOutbound) {
    const StatePlan plan = Installations{}.diff(test_network_of_three({1}));
    ASSERT_EQ(plan.installs.size(), 4U);
    EXPECT_EQ(plan.installs[0].sa.direction, Direction::kIn);
    EXPECT_EQ(plan.installs[1].sa.direction, Direction::kIn);
    EXPECT_EQ(plan.installs[2].sa.direction, Direction::kOut);
    EXPECT_EQ(plan.installs[3].sa.direction, Direction::kOut);
}

TEST(DiffStates, ASwitchOfTheSendingEpochDeletesTheOldOneOnlyAfterTheNewOne) {
    Installations now;
    now.install(one_peer(1, {1, 2}));
    const StatePlan plan = now.diff(one_peer(2, {1, 2}));
    ASSERT_EQ(plan.installs.size(), 1U);
    EXPECT_EQ(plan.installs[0].sa.direction, Direction::kOut);
    EXPECT_EQ(plan.installs[0].sa.identity.epoch, base::Epoch{2});
    ASSERT_EQ(plan.removals.size(), 1U);
    EXPECT_EQ(plan.removals[0].direction, Direction::kOut);
    EXPECT_EQ(plan.removals[0].after, 0U);
}

TEST(DiffStates, RetiringAnEpochDeletesOutboundBeforeInbound) {
    Installations now;
    now.install(one_peer(1, {1, 2}));
    now.install(one_peer(2, {1, 2}));
    const StatePlan plan = now.diff(one_peer(2, {2}));
    EXPECT_THAT(plan.installs, IsEmpty());
    ASSERT_EQ(plan.removals.size(), 2U);
    EXPECT_EQ(plan.removals[0].direction, Direction::kOut);
    EXPECT_EQ(plan.removals[0].after, std::nullopt);
    EXPECT_EQ(plan.removals[1].direction, Direction::kIn);
}

TEST(DiffStates, WhatVanishedIsLostAndNotMadeAgain) {
    Installations now;
    const Network network = one_peer(1, {1});
    now.install(network);
    now.history.acknowledge(network.id, network.self.membership);
    now.table.clear();
    const StatePlan plan = now.diff(network);
    EXPECT_TRUE(plan.empty());
    EXPECT_EQ(plan.lost.size(), 2U);
}

TEST(DiffStates, AnInboundOneThatNobodyHasHeardOfIsMadeAgain) {
    Installations now;
    const Network network = one_peer(1, {1});
    now.install(network);
    now.table.clear();
    const StatePlan plan = now.diff(network);
    ASSERT_EQ(plan.installs.size(), 1U);
    EXPECT_EQ(plan.installs[0].sa.direction, Direction::kIn);
    ASSERT_EQ(plan.lost.size(), 1U);
    EXPECT_EQ(plan.lost[0].direction, Direction::kOut);
}

TEST(DiffStates, APeerThatCameBackGetsNewKeysUnderTheSameSpi) {
    Installations now;
    now.install(one_peer(1, {1}));
    const StatePlan plan = now.diff(one_peer(1, {1}, 0xbeef));
    ASSERT_EQ(plan.installs.size(), 2U);
    EXPECT_TRUE(plan.installs[0].replaces);
    EXPECT_TRUE(plan.installs[1].replaces);
    EXPECT_THAT(plan.removals, IsEmpty());
    EXPECT_THAT(plan.lost, IsEmpty());
}

// The kernel finds an SA by destination and SPI, so one from the peer's old address is in the way.
TEST(DiffStates, APeerThatMovedIsReplacedToo) {
    Installations now;
    now.install(one_peer(1, {1}));
    Network moved = one_peer(1, {1}, 0xbeef);
    moved.peers[0].member.vtep = base::IpAddress::v4(0x0a0000ff);
    const StatePlan plan = now.diff(moved);
    ASSERT_EQ(plan.installs.size(), 2U);
    EXPECT_TRUE(plan.installs[0].replaces);   // inbound: to us, same SPI
    EXPECT_FALSE(plan.installs[1].replaces);  // outbound: to another address
    EXPECT_EQ(plan.removals.size(), 1U);
}

TEST(DiffStates, AnAlteredSaGoesAndIsLost) {
    Installations now;
    now.install(one_peer(1, {1}));
    for (auto& [location, sa] : now.table) {
        sa.replay_window = 32;
    }
    const StatePlan plan = now.diff(one_peer(1, {1}));
    EXPECT_THAT(plan.installs, IsEmpty());
    EXPECT_EQ(plan.removals.size(), 2U);
    EXPECT_EQ(plan.lost.size(), 2U);
    EXPECT_THAT(plan.spend, IsEmpty());
}

TEST(DiffStates, OtherSoftLimitsAndCountersAreNoAlteration) {
    Installations now;
    now.install(one_peer(1, {1}));
    for (auto& [location, sa] : now.table) {
        sa.soft = {.packets = 5, .bytes = 6};
        sa.counters = {.packets = 1000, .sequence_out = 1000};
    }
    EXPECT_TRUE(now.diff(one_peer(1, {1})).empty());
}

// Somebody removed our record while our SAs were in the kernel: their keys are most likely the wanted ones.
TEST(DiffStates, AnSaOfOursWithoutARecordGoesAndItsKeyCountsAsSpent) {
    Installations now;
    now.install(one_peer(1, {1}));
    now.history = {};
    const StatePlan plan = now.diff(one_peer(1, {1}));
    EXPECT_THAT(plan.installs, IsEmpty());
    EXPECT_EQ(plan.removals.size(), 2U);
    EXPECT_EQ(plan.lost.size(), 2U);
    ASSERT_EQ(plan.spend.size(), 2U);
    EXPECT_FALSE(plan.spend[0].placed);
}

TEST(DiffStates, TheOldSendingEpochStaysWhereTheNewOneIsLost) {
    Installations now;
    now.install(one_peer(1, {1, 2}));
    const Network next = one_peer(2, {1, 2});
    for (const WantedSa& sa : desired_states(next)) {
        now.history.add({.direction = sa.direction, .identity = sa.identity, .location = sa.location});
    }
    StatePlan plan = now.diff(next);
    EXPECT_TRUE(plan.empty());
    EXPECT_EQ(plan.lost.size(), 1U);
    // But not past its end, and not for another incarnation of the peer.
    EXPECT_EQ(now.diff(one_peer(2, {2})).removals.size(), 2U);
    plan = now.diff(one_peer(0, {1, 2}));
    EXPECT_EQ(plan.removals.size(), 1U);
}

TEST(DiffStates, APeerThatIsGoneLeavesNothing) {
    Installations now;
    now.install(test_network_of_three({1}));
    const StatePlan plan = now.diff(one_peer(1, {1}));
    EXPECT_THAT(plan.installs, IsEmpty());
    EXPECT_EQ(plan.removals.size(), 2U);
    EXPECT_EQ(plan.kept, 2U);
}

// ---- Policies ----

std::vector<Policy> numbered(const Network& network) {
    std::vector<Policy> list;
    for (Policy policy : desired_policies(network)) {
        policy.index =
            static_cast<std::uint32_t>(8 * (list.size() + 1)) + (policy.direction == Direction::kOut ? 1 : 0);
        list.push_back(policy);
    }
    return list;
}

TEST(DiffPolicies, BlocksComeBeforeAllows) {
    const PolicyPlan plan = diff_policies(test_network(), {});
    ASSERT_EQ(plan.steps.size(), 4U);
    EXPECT_EQ(std::get<AddPolicy>(plan.steps[0]).policy.action, Action::kBlock);
    EXPECT_EQ(std::get<AddPolicy>(plan.steps[1]).policy.action, Action::kBlock);
}

TEST(DiffPolicies, EqualSidesGiveNothing) {
    const PolicyPlan plan = diff_policies(test_network(), numbered(test_network()));
    EXPECT_THAT(plan.steps, IsEmpty());
    EXPECT_EQ(plan.kept, 4U);
}

TEST(DiffPolicies, AnAlteredOneIsReplacedInPlace) {
    std::vector<Policy> there = numbered(test_network());
    there[1].priority = 9000;
    there[3].restricted = true;
    const PolicyPlan plan = diff_policies(test_network(), there);
    ASSERT_EQ(plan.steps.size(), 2U);
    EXPECT_TRUE(std::holds_alternative<UpdatePolicy>(plan.steps[0]));
    EXPECT_TRUE(std::holds_alternative<UpdatePolicy>(plan.steps[1]));
}

TEST(DiffPolicies, AnOldVtepsPoliciesGoAfterTheNewOnesAreThere) {
    Network moved = test_network();
    moved.self.vtep = base::IpAddress::v4(0x0a0000ff);
    const PolicyPlan plan = diff_policies(moved, numbered(test_network()));
    EXPECT_EQ(plan.kept, 2U);
    ASSERT_EQ(plan.steps.size(), 4U);
    EXPECT_TRUE(std::holds_alternative<AddPolicy>(plan.steps[0]));
    EXPECT_TRUE(std::holds_alternative<AddPolicy>(plan.steps[1]));
    EXPECT_TRUE(std::holds_alternative<DeletePolicy>(plan.steps[2]));
    EXPECT_TRUE(std::holds_alternative<DeletePolicy>(plan.steps[3]));
}

TEST(DiffPolicies, ForeignOnesAreNotSeen) {
    std::vector<Policy> there = numbered(test_network(8));
    Policy foreign = desired_policies(test_network())[2];
    foreign.templates[0].reqid = Reqid{42};
    there.push_back(foreign);
    foreign.templates.clear();
    there.push_back(foreign);
    EXPECT_EQ(diff_policies(test_network(), there).steps.size(), 4U);
}

}  // namespace
}  // namespace warren::xfrm
