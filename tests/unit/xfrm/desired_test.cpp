#include "xfrm/desired.h"

#include <netinet/in.h>

#include <set>

#include "tests/unit/xfrm/world.h"

namespace warren::xfrm {
namespace {

// Would a packet with these addresses and ports be caught by the selector?
bool catches(const Policy& policy, Direction direction, const char* source, const char* destination,
             std::uint16_t sport, std::uint16_t dport) {
    const auto host = [](const char* text) {
        return base::Prefix{.address = must(base::parse_ip("address", text)), .length = 32};
    };
    const Selector packet{.source = host(source),
                          .destination = host(destination),
                          .protocol = IPPROTO_UDP,
                          .source_port = {.port = sport, .mask = 0xffff},
                          .destination_port = {.port = dport, .mask = 0xffff}};
    return policy.direction == direction && policy.selector.overlaps(packet);
}

// What the kernel would do with a packet: the lowest priority number that catches it. nullopt: nothing of ours.
std::optional<Action> verdict(const Network& network, Direction direction, const char* source, const char* destination,
                              std::uint16_t sport, std::uint16_t dport) {
    std::optional<Policy> best;
    for (const Policy& policy : desired_policies(network)) {
        if (catches(policy, direction, source, destination, sport, dport) &&
            (!best || policy.priority < best->priority)) {
            best = policy;
        }
    }
    return best ? std::optional(best->action) : std::nullopt;
}

constexpr const char* kSelf = "10.0.0.1";  // VTEP of member 1
constexpr const char* kPeer = "10.0.0.2";

TEST(DesiredPolicies, VxlanOfTheNetworkGoesThroughEspAndNothingElseOnThePort) {
    const Network network = test_network();
    EXPECT_EQ(verdict(network, Direction::kOut, kSelf, kPeer, 600, 10007), Action::kAllow);
    EXPECT_EQ(verdict(network, Direction::kIn, kPeer, kSelf, 600, 10007), Action::kAllow);
    // A source that NAT has rewritten, in and out.
    EXPECT_EQ(verdict(network, Direction::kOut, "192.0.2.9", kPeer, 600, 10007), Action::kBlock);
    EXPECT_EQ(verdict(network, Direction::kIn, kPeer, "192.0.2.9", 600, 10007), Action::kBlock);
    // A port that unprivileged processes can bind.
    EXPECT_EQ(verdict(network, Direction::kIn, kPeer, kSelf, 40000, 10007), Action::kBlock);
    // Other traffic of the host, to another host's service on that port too, is not ours.
    EXPECT_EQ(verdict(network, Direction::kOut, kSelf, kPeer, 40000, 10007), std::nullopt);
    EXPECT_EQ(verdict(network, Direction::kOut, kSelf, kPeer, 600, 10008), std::nullopt);
    EXPECT_EQ(verdict(network, Direction::kIn, kPeer, kSelf, 600, 4789), std::nullopt);
}

TEST(DesiredPolicies, DemandEspOfTheNetworksOwnReqid) {
    for (const Policy& policy : desired_policies(test_network())) {
        ASSERT_EQ(policy.templates.size(), 1U);
        const Template& esp = policy.templates.front();
        EXPECT_EQ(esp.reqid, Reqid{0x57000007});
        EXPECT_EQ(esp.protocol, IPPROTO_ESP);
        EXPECT_EQ(esp.mode, Mode::kTransport);
        EXPECT_FALSE(esp.optional);
        EXPECT_FALSE(esp.pinned);
    }
}

TEST(DesiredPolicies, DoNotDependOnPeersAndEpochs) {
    EXPECT_EQ(desired_policies(test_network()), desired_policies(test_network_of_three({4, 5})));
}

TEST(DesiredPolicies, FollowTheFamilyOfTheVtep) {
    Network network = test_network();
    network.self.vtep = must(base::parse_ip("vtep", "2001:db8::1"));
    for (const Policy& policy : desired_policies(network)) {
        EXPECT_EQ(policy.selector.family, base::Family::kIpv6);
    }
    EXPECT_EQ(desired_policies(network)[2].selector.source.length, 128);
}

TEST(DesiredStates, OneInboundForEachEpochOfThePeerAndOneOutbound) {
    const std::vector<WantedSa> wanted = desired_states(test_network_of_three({4, 5}));
    ASSERT_EQ(wanted.size(), 6U);
    const auto outbound =
        std::count_if(wanted.begin(), wanted.end(), [](const WantedSa& sa) { return sa.direction == Direction::kOut; });
    EXPECT_EQ(outbound, 2);
    for (const WantedSa& sa : wanted) {
        if (sa.direction == Direction::kOut) {
            EXPECT_EQ(sa.identity.epoch, base::Epoch{5});
            EXPECT_EQ(sa.location.source, test_member(1).vtep);
            EXPECT_EQ(split_spi(sa.location.spi)->sender, base::NodeIndex{1});
        }
        EXPECT_EQ(split_spi(sa.location.spi)->slot.value, sa.identity.epoch.value % 4);
        EXPECT_EQ(sa.reqid, Reqid{0x57000007});
    }
}

// Sender and receiver must arrive at the same SPI, addresses and identity, hence at the same key.
TEST(DesiredStates, BothEndsAgree) {
    std::set<std::pair<SaLocation, keymgr::SaIdentity>> sent;
    std::set<std::pair<SaLocation, keymgr::SaIdentity>> received;
    for (const std::uint16_t self : std::initializer_list<std::uint16_t>{1, 2, 3}) {
        for (const WantedSa& sa : desired_states(test_network_of_three({4}, 7, self))) {
            (sa.direction == Direction::kOut ? sent : received).emplace(sa.location, sa.identity);
        }
    }
    EXPECT_EQ(sent.size(), 6U);
    EXPECT_EQ(sent, received);
}

TEST(DesiredStates, NoEpochToSendInMeansNoOutbound) {
    Network network = test_network_of_three({4});
    network.peers[0].send = base::Epoch{0};
    network.peers[1].send = base::Epoch{9};  // not held
    for (const WantedSa& sa : desired_states(network)) {
        EXPECT_EQ(sa.direction, Direction::kIn);
    }
}

TEST(DesiredStates, LeaveOutOneselfAndPeersOfTheOtherFamily) {
    Network network = test_network_of_three({4});
    network.peers.push_back(test_peer(network.self, 4, {4}));
    network.peers[0].member.vtep = must(base::parse_ip("vtep", "2001:db8::2"));
    EXPECT_EQ(desired_states(network).size(), 2U);
}

TEST(DesiredStates, TwoPeersBehindOneVtepShareNoLocation) {
    Network network = test_network_of_three({4});
    network.peers[1].member.vtep = network.peers[0].member.vtep;
    std::set<SaLocation, KernelOrder> places;
    for (const WantedSa& sa : desired_states(network)) {
        EXPECT_TRUE(places.insert(sa.location).second) << text(sa.location);
    }
    EXPECT_EQ(places.size(), 3U);
}

}  // namespace
}  // namespace warren::xfrm
