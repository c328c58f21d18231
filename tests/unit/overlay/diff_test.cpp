#include "overlay/diff.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "fake_kernel.h"
#include "sample.h"

namespace warren::overlay {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Observe, diff, apply, until nothing is left to do; gives up after more rounds than any change may take.
std::size_t settle(FakeKernel& kernel, const Network& network) {
    const Desired want = desired(network);
    kernel.mark = want.mark;
    std::set<base::EndpointId> local;
    for (const auto& endpoint : network.local) {
        local.insert(endpoint.id);
        kernel.state.containers.try_emplace(endpoint.id);
    }
    std::size_t rounds = 0;
    for (; rounds < 6; ++rounds) {
        const Plan plan = diff(want, kernel.state);
        if (plan.steps.empty()) {
            break;
        }
        kernel.apply(plan);
    }
    return rounds;
}

Network busy_network() {
    Network network = sample_network();
    network.local = {sample_local(7), sample_local(8)};
    network.remote = {sample_remote(20), sample_remote(21), sample_remote(22, "192.0.2.3")};
    return network;
}

struct Settled {
    FakeKernel kernel;
    Network network = busy_network();
    Settled() { settle(kernel, network); }

    [[nodiscard]] netlink::Link& link(const std::string& name) {
        return *std::find_if(kernel.state.network.links.begin(), kernel.state.network.links.end(),
                             [&](const auto& link) { return link.name == name; });
    }
    [[nodiscard]] Plan plan() const { return diff(desired(network), kernel.state); }
    [[nodiscard]] std::vector<std::string> steps() const {
        std::vector<std::string> out;
        for (const auto& step : plan().steps) {
            out.push_back(describe(step));
        }
        return out;
    }
};

TEST(Diff, BuildsEverythingFromNothing) {
    FakeKernel kernel;
    EXPECT_LE(settle(kernel, busy_network()), 3U);
    EXPECT_THAT(kernel.complaints, IsEmpty());
    EXPECT_EQ(kernel.state.network.links.size(), 4U);
    EXPECT_EQ(kernel.state.containers.at(id_of<base::EndpointId>(7)).links.at(0).name, "eth0");
}

TEST(Diff, IsEmptyWhenEqual) {
    EXPECT_THAT(Settled().steps(), IsEmpty());
}

TEST(Diff, ChangesOneEntryWhenOneEndpointMoves) {
    Settled s;
    s.network.remote[0].vtep = ip("192.0.2.3");
    EXPECT_THAT(s.steps(), ElementsAre("put forwarding entry 02:57:00:00:00:14 to 192.0.2.3"));
    s.network.remote.erase(s.network.remote.begin());
    EXPECT_THAT(s.steps(),
                ElementsAre("delete forwarding entry 02:57:00:00:00:14 to 192.0.2.2", "delete neighbour 10.1.0.20"));
}

TEST(Diff, RemovesTheLearnedAndKeepsTheKernelsOwn) {
    Settled s;
    auto& network = s.kernel.state.network;
    const auto port = s.link("v00000007000000").index;
    const auto vxlan = s.link("vx0").index;
    network.forwarding[port].push_back(
        {.link = port, .mac = mac_of(99), .table = netlink::FdbTable::kBridge, .state = netlink::FdbState::kDynamic});
    network.forwarding[port].push_back(
        {.link = port, .mac = mac_of(98), .table = netlink::FdbTable::kBridge});  // its own
    network.forwarding[port].push_back({.link = port, .mac = mac_of(97)});        // multicast list
    network.forwarding[vxlan].push_back({.link = vxlan, .mac = mac_of(96), .destination = ip("192.0.2.66")});
    network.neighbours[vxlan].push_back({.link = vxlan, .ip = ip("10.1.0.66"), .permanent = false});
    EXPECT_THAT(s.steps(), ElementsAre("delete forwarding entry 02:57:00:00:00:60 to 192.0.2.66",
                                       "delete forwarding entry 02:57:00:00:00:63"));
}

struct SettledWithMulticast : Settled {
    SettledWithMulticast() {
        network.multicast = true;
        network.peers = {{ip("192.0.2.2"), mac_of(102)}, {ip("192.0.2.3"), mac_of(103)}};
        settle(kernel, network);
    }
    // The VXLAN device's.
    [[nodiscard]] std::vector<netlink::FdbEntry>& entries() {
        return kernel.state.network.forwarding[link("vx0").index];
    }
};

TEST(DiffMulticast, IsEmptyWhenEqual) {
    SettledWithMulticast s;
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_THAT(s.kernel.complaints, IsEmpty());
    EXPECT_EQ(std::ranges::count_if(s.entries(), is_default), 2);
}

TEST(DiffMulticast, FollowsTheMembers) {
    SettledWithMulticast s;
    s.network.peers = {{ip("192.0.2.3"), mac_of(103)}, {ip("192.0.2.4"), mac_of(104)}};
    EXPECT_THAT(
        s.steps(),
        ElementsAre("put forwarding entry 02:57:00:00:00:68 to 192.0.2.4", "put forwarding entry 02:57:00:00:00:68",
                    "delete copies of broadcast and multicast to 192.0.2.2",
                    "put copies of broadcast and multicast to 192.0.2.4", "delete forwarding entry 02:57:00:00:00:66",
                    "delete forwarding entry 02:57:00:00:00:66 to 192.0.2.2"));
}

TEST(DiffMulticast, PutsBackWhatSomebodyDeletedAndTakesAwayWhatSomebodyAdded) {
    SettledWithMulticast s;
    const auto vxlan = s.link("vx0").index;
    std::erase_if(s.entries(),
                  [](const auto& entry) { return is_default(entry) && entry.destination == ip("192.0.2.3"); });
    std::erase_if(s.entries(), [](const auto& entry) {
        return entry.mac == mac_of(20) && entry.table == netlink::FdbTable::kBridge;
    });
    s.entries().push_back({.link = vxlan, .destination = ip("192.0.2.66")});
    s.link("vx0").port->locked = false;
    EXPECT_THAT(
        s.steps(),
        ElementsAre("put forwarding entry 02:57:00:00:00:14", "delete copies of broadcast and multicast to 192.0.2.66",
                    "set port options of vx0", "put copies of broadcast and multicast to 192.0.2.3"));
    settle(s.kernel, s.network);
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_THAT(s.kernel.complaints, IsEmpty());
}

// A frame for a remote endpoint always has its way, and one for nobody never has.
TEST(DiffMulticast, CanBeTurnedOnAndOffInUse) {
    SettledWithMulticast s;
    const auto interface = s.link("vx0").index;
    s.network.remote.resize(1);
    s.network.peers.resize(1);
    settle(s.kernel, s.network);
    s.network.multicast = false;
    EXPECT_THAT(s.steps(),
                ElementsAre("set options of bridge br0", "delete copies of broadcast and multicast to 192.0.2.2",
                            "set port options of vx0", "delete forwarding entry 02:57:00:00:00:66",
                            "delete forwarding entry 02:57:00:00:00:66 to 192.0.2.2",
                            "delete forwarding entry 02:57:00:00:00:14", "set port options of v00000007000000",
                            "set port options of v00000008000000"));
    settle(s.kernel, s.network);
    EXPECT_THAT(s.steps(), IsEmpty());
    s.network.multicast = true;
    EXPECT_THAT(s.steps(), ElementsAre("set options of bridge br0", "put forwarding entry 02:57:00:00:00:14",
                                       "put forwarding entry 02:57:00:00:00:66 to 192.0.2.2",
                                       "put forwarding entry 02:57:00:00:00:66", "set port options of vx0",
                                       "put copies of broadcast and multicast to 192.0.2.2",
                                       "set port options of v00000007000000", "set port options of v00000008000000"));
    settle(s.kernel, s.network);
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_EQ(s.link("vx0").index, interface) << "nothing was made anew";
    EXPECT_THAT(s.kernel.complaints, IsEmpty());
}

TEST(Diff, ReplacesAVxlanThatCannotBeChanged) {
    Settled s;
    s.network.vtep = ip("192.0.2.77");
    EXPECT_THAT(s.steps(), ElementsAre("delete vx0", "create vxlan vx0 (VNI 5701632, UDP port 4789)"));
    settle(s.kernel, s.network);
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_THAT(s.kernel.complaints, IsEmpty());
}

TEST(Diff, HealsAContainerEnd) {
    Settled s;
    auto& container = s.kernel.state.containers.at(id_of<base::EndpointId>(7));
    auto& end = container.links.at(0);
    end.mtu = base::Mtu(1500);
    end.up = false;
    container.addresses[end.index] = {prefix("10.1.0.99/16"), prefix("172.30.0.1/24")};  // a former one, a user's own
    EXPECT_THAT(s.steps(), ElementsAre("delete address 10.1.0.99/16", "add address 10.1.0.7/16", "set up eth0"));
}

TEST(Diff, ARenamedContainerEndIsTheContainersAffair) {
    Settled s;
    s.kernel.state.containers.at(id_of<base::EndpointId>(7)).links.at(0).name = "front";
    EXPECT_THAT(s.steps(), IsEmpty());
}

TEST(Diff, MakesAPairAnewWhenItsOtherEndIsElsewhere) {
    Settled s;
    s.kernel.state.containers.at(id_of<base::EndpointId>(7)) = {};
    EXPECT_THAT(s.steps(), ElementsAre("delete v00000007000000", "create interface eth0 in namespace /nowhere"));
}

TEST(Diff, LeavesAPairAloneWhoseContainerCannotBeSeen) {
    Settled s;
    s.kernel.state.containers.erase(id_of<base::EndpointId>(7));
    EXPECT_THAT(s.steps(), IsEmpty());
}

TEST(Diff, ChoosesTheFirstFreeEthernetName) {
    FakeKernel kernel;
    Network network = sample_network();
    network.local = {sample_local(7), sample_local(8)};
    auto& container = kernel.state.containers[network.local[0].id];
    container.links = {{.index = base::IfIndex(2), .name = "eth0"}, {.index = base::IfIndex(3), .name = "eth2"}};
    settle(kernel, network);
    EXPECT_EQ(container.links.at(2).name, "eth1");
    EXPECT_THAT(kernel.complaints, IsEmpty());
}

TEST(Diff, TwoNewEndpointsInOneContainerGetTwoNames) {
    FakeKernel kernel;
    Network network = sample_network();
    network.local = {sample_local(7, "/run/netns/web"), sample_local(8, "/run/netns/web")};
    kernel.state.containers[network.local[0].id];
    kernel.state.containers[network.local[1].id];
    const Plan plan = diff(desired(network), kernel.state);
    std::vector<std::string> names;
    for (const auto& step : plan.steps) {
        if (const auto* pair = std::get_if<CreatePair>(&step.action)) {
            names.push_back(pair->ifname);
        }
    }
    EXPECT_THAT(names, ElementsAre("eth0", "eth1"));
}

TEST(Diff, ForeignLinksAreLeftAloneAndNamedWhenInTheWay) {
    FakeKernel kernel;
    kernel.state.network.links = {{.index = base::IfIndex(2), .name = "br0", .alias = "mine", .kind = "bridge"},
                                  {.index = base::IfIndex(3), .name = "tap0", .kind = "tun"},
                                  {.index = base::IfIndex(4), .name = "x", .alias = "warren:0:1", .kind = "veth"}};
    const auto before = kernel.state.network.links;
    Network network = sample_network();
    settle(kernel, network);
    const Plan plan = diff(desired(network), kernel.state);
    ASSERT_EQ(plan.refused.size(), 1U);
    EXPECT_EQ(plan.refused[0].error.message(),
              "the network's namespace has an interface br0 that is not ours (kind 'bridge', alias 'mine'): remove or "
              "rename it");
    for (const auto& link : before) {
        EXPECT_THAT(kernel.state.network.links, Contains(link));
    }
    EXPECT_THAT(kernel.complaints, IsEmpty());
}

TEST(Diff, FinishesWhatACrashLeftHalfMade) {
    Settled s;
    for (auto& link : s.kernel.state.network.links) {
        link.alias.clear();
        link.up = false;
    }
    for (auto& [id, container] : s.kernel.state.containers) {
        container.links.at(0).alias.clear();
    }
    const auto before = s.kernel.state.network.links.size();
    settle(s.kernel, s.network);
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_EQ(s.kernel.state.network.links.size(), before);
    s.network.local.pop_back();
    s.link("v00000008000000").alias.clear();  // half made, and not wanted any more
    EXPECT_THAT(s.steps(), ElementsAre("delete v00000008000000"));
}

TEST(Diff, KeepsTheInterfaceOfAnEndpointWhoseRequestIsRefused) {
    Settled s;
    s.network.local[1].ips = {ip("10.9.9.9")};
    EXPECT_THAT(s.steps(), IsEmpty());
    EXPECT_EQ(s.plan().refused.size(), 1U);
}

TEST(Diff, IPv6IsTurnedOnWhereAnAddressOfItIsMissing) {
    Settled s;
    s.network.subnets.push_back({prefix("fd00:1::/64"), ip("fd00:1::1"), base::Vni(0x570000)});
    s.network.local[0].ips.push_back(ip("fd00:1::7"));
    EXPECT_THAT(s.steps(), ElementsAre("turn on IPv6 on br0", "add address fd00:1::1/64", "set port options of vx0",
                                       "put neighbour fd00:1::7 with " + s.network.local[0].mac.text(),
                                       "turn on IPv6 on eth0", "add address fd00:1::7/64"));
}

TEST(Diff, ARouteOfTheContainersOwnStays) {
    Settled s;
    s.network.subnets.push_back({prefix("10.2.0.0/16"), ip("10.2.0.1"), base::Vni(0x570001)});
    const auto id = s.network.local[0].id;
    const auto ours = [&] {
        const auto steps = s.steps();
        return std::count(steps.begin(), steps.end(), "put the route to 10.2.0.0/16 through 10.1.0.1");
    };
    ASSERT_EQ(ours(), 2);
    auto& routes = s.kernel.state.containers.at(id).routes;
    routes.push_back({.destination = prefix("10.2.0.0/16"), .link = base::IfIndex(9999)});
    EXPECT_EQ(ours(), 1);
    routes[0].link = s.kernel.state.containers.at(id).links.front().index;
    EXPECT_EQ(ours(), 2) << "through its interface here it leads nowhere";
}

// --- laws ---

rc::Gen<Network> any_network() {
    return rc::gen::exec([] {
        Network network = sample_network();
        network.encrypted = *rc::gen::arbitrary<bool>();
        network.segmentation = *rc::gen::arbitrary<bool>();
        network.mtu = base::Mtu(*rc::gen::element(1416U, 1450U));
        network.port = base::UdpPort(*rc::gen::element<std::uint16_t>(4789, 10001));
        const bool two = *rc::gen::arbitrary<bool>();
        if (two) {
            network.subnets.push_back({prefix("10.2.0.0/16"), ip("10.2.0.1"), base::Vni(0x570001)});
        }
        const bool dual = *rc::gen::arbitrary<bool>();
        if (dual) {
            network.subnets.push_back({prefix("fd00:1::/64"), ip("fd00:1::1"), base::Vni(0x570000)});
        }
        const auto place = [&](std::uint32_t number) -> std::vector<base::IpAddress> {
            if (two && number % 2 == 0) {
                return {base::IpAddress::v4(0x0a020000 + number)};
            }
            std::vector<base::IpAddress> ips{base::IpAddress::v4(0x0a010000 + number)};
            if (dual) {
                ips.push_back(ip(fmt::format("fd00:1::{:x}", number)));
            }
            return ips;
        };
        // Few numbers, so that endpoints collide, move between nodes and come back.
        for (const auto number : *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange(1U, 12U))) {
            LocalEndpoint endpoint = sample_local(number, fmt::format("/run/netns/{}", number % 3));
            endpoint.ips = place(number);
            endpoint.mac = mac_of(*rc::gen::inRange(1U, 12U));
            const bool known = std::any_of(network.local.begin(), network.local.end(),
                                           [&](const auto& other) { return other.id == endpoint.id; });
            if (!known) {
                network.local.push_back(endpoint);
            }
        }
        for (const auto number : *rc::gen::container<std::vector<std::uint32_t>>(rc::gen::inRange(1U, 30U))) {
            RemoteEndpoint endpoint =
                sample_remote(number, *rc::gen::element<std::string>("192.0.2.1", "192.0.2.2", "192.0.2.3"));
            endpoint.ips = place(number);
            endpoint.mac = mac_of(*rc::gen::inRange(1U, 30U));
            network.remote.push_back(endpoint);
        }
        network.multicast = *rc::gen::arbitrary<bool>();
        for (std::uint32_t number = 1; number < 6; ++number) {
            if (*rc::gen::arbitrary<bool>()) {
                network.peers.push_back({ip(fmt::format("192.0.2.{}", number)), mac_of(100 + number)});
            }
        }
        return network;
    });
}

RC_GTEST_PROP(DiffLaws, FromAnyStateToAnyOtherAndThenNothing, ()) {
    FakeKernel kernel;
    kernel.state.network.links = {{.index = base::IfIndex(2), .name = "lo", .loopback = true}};
    for (int i = 0; i < 3; ++i) {
        const Network network = *any_network();
        RC_ASSERT(settle(kernel, network) < 6U);
        RC_ASSERT(diff(desired(network), kernel.state).steps.empty());
        RC_ASSERT(kernel.complaints.empty());
    }
}

RC_GTEST_PROP(DiffLaws, WhateverIsLostComesBack, ()) {
    FakeKernel kernel;
    const Network network = *any_network();
    settle(kernel, network);
    const auto count = kernel.state.network.links.size();
    // Somebody deletes links, entries and addresses.
    auto& home = kernel.state.network;
    const auto lost = *rc::gen::inRange<std::size_t>(0, home.links.size());
    const auto gone = home.links[lost].index;
    home.links.erase(home.links.begin() + static_cast<std::ptrdiff_t>(lost));
    for (auto& link : home.links) {
        if (link.master == gone) {
            link.master = base::IfIndex(0);
            link.port.reset();
        }
    }
    for (auto& [id, container] : kernel.state.containers) {
        std::erase_if(container.links, [&](const auto& link) { return link.lower == gone; });
    }
    for (auto& [link, entries] : home.forwarding) {
        entries.resize(entries.size() / 2);
    }
    home.addresses.clear();
    home.forwards = false;
    RC_ASSERT(settle(kernel, network) < 6U);
    RC_ASSERT(diff(desired(network), kernel.state).steps.empty());
    RC_ASSERT(home.links.size() == count);
    RC_ASSERT(kernel.complaints.empty());
}

}  // namespace
}  // namespace warren::overlay
