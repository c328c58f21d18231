#include "overlay/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "netlink/address.h"
#include "netlink/neighbour.h"
#include "netlink/segmentation.h"
#include "overlay/port_owner.h"
#include "testbed.h"

namespace warren::overlay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::vector<std::string> names_of(const std::vector<netlink::Link>& links) {
    std::vector<std::string> out(links.size());
    std::transform(links.begin(), links.end(), out.begin(), [](const auto& link) { return link.name; });
    return out;
}

std::vector<netlink::Link> links_in(const netlink::Namespace& where) {
    auto socket = must(netlink::Socket::open_in(where, netlink::Protocol::kRoute));
    return must(netlink::read_links(socket));
}

// Everything that rtnetlink tells about a namespace from now on.
class Watch {
  public:
    explicit Watch(const netlink::Namespace& where)
        : events_(must(netlink::Subscription::open_in(where, netlink::Protocol::kRoute, kGroups))) {}

    std::size_t events() {
        std::size_t count = 0;
        const auto outcome = must(events_.receive([&](const netlink::Received& /*event*/) -> base::Status {
            ++count;
            return {};
        }));
        EXPECT_EQ(outcome, netlink::Subscription::Outcome::kDrained);
        return count;
    }

  private:
    static constexpr std::array<unsigned, 6> kGroups{RTNLGRP_LINK,        RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR,
                                                     RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};
    netlink::Subscription events_;
};

struct Lone {
    Host host{"192.0.2.1"};
    Container web;
    Network network = host.network();

    Lone() {
        host.need(
            "ip link add eth0 type veth peer name cable && ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up");
        network.local = {sample_local(7, web.path())};
        network.remote = {sample_remote(20), sample_remote(21, "192.0.2.3")};
    }
    [[nodiscard]] netlink::Namespace home() const { return host.network_namespace(network); }
    [[nodiscard]] netlink::Link home_link(const std::string& name) const {
        auto socket = must(netlink::Socket::open_in(home(), netlink::Protocol::kRoute));
        return must(netlink::read_link(socket, name));
    }
};

TEST(Builder, MakesWhatIsWantedAndSaysHowTheInterfaceIsCalled) {
    Lone t;
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_TRUE(complete(outcome));
    EXPECT_GT(outcome.changes, 0U);
    EXPECT_EQ(outcome.ifnames.at(t.network.local[0].id), "eth0");

    const auto bridge = t.home_link("br0");
    EXPECT_EQ(bridge.mac, gateway_mac(t.network.id, 0));
    EXPECT_EQ(bridge.alias, network_mark(t.network.cluster, t.network.id));
    EXPECT_EQ(bridge.mtu, base::Mtu(1450));
    EXPECT_TRUE(bridge.up);
    const auto vxlan = t.home_link("vx0");
    EXPECT_EQ(vxlan.master, bridge.index);
    EXPECT_FALSE(vxlan.port->learning);
    EXPECT_EQ(vxlan.mtu, base::Mtu(1450));
    EXPECT_TRUE(vxlan.up);
    const auto end = t.web.link("eth0");
    EXPECT_EQ(end.mac, t.network.local[0].mac);
    EXPECT_EQ(end.mtu, base::Mtu(1450));
    EXPECT_EQ(end.alias, endpoint_mark(t.network.cluster, t.network.id, t.network.local[0].id));
    EXPECT_TRUE(t.web.pings("10.1.0.1"));
    EXPECT_THAT(t.web.run("ip neigh show 10.1.0.1").text, HasSubstr(gateway_mac(t.network.id, 0).text()));
    EXPECT_THAT(t.web.run("ip route").text, HasSubstr("10.1.0.0/16 dev eth0"));
    // Nothing of it is in the host's namespace, but the socket is.
    EXPECT_THAT(names_of(t.host.links()), UnorderedElementsAre("lo", "eth0", "cable"));
    EXPECT_THAT(t.host.run("cat /proc/thread-self/net/udp").text, HasSubstr(":12B5 "));
}

TEST(Builder, AdoptsWhatIsThereWithoutTouchingIt) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    const auto before = links_in(t.home());
    const auto container_before = t.web.links();
    Watch home(t.home());
    Watch web(t.web.ns);
    Watch host(t.host.ns);
    const Outcome again = t.host.apply(t.network);  // with a new builder
    EXPECT_TRUE(complete(again));
    EXPECT_EQ(again.changes, 0U);
    EXPECT_EQ(again.ifnames.at(t.network.local[0].id), "eth0");
    EXPECT_EQ(home.events() + web.events() + host.events(), 0U);
    EXPECT_EQ(links_in(t.home()), before);
    EXPECT_EQ(t.web.links(), container_before);
}

TEST(Builder, RemovalLeavesNothingAndForeignThingsAsTheyWere) {
    Lone t;
    t.host.need("ip link add vxmine type vxlan id 77 local 192.0.2.1 dstport 8472 nolearning");
    t.host.need("ip link add br0 type bridge");
    t.web.need("ip link add eth0 type bridge");
    const auto host_before = t.host.links();
    const auto web_before = t.web.links();
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.ifnames.at(t.network.local[0].id), "eth1");
    EXPECT_THAT(must(t.host.builder().found()), ElementsAre(t.network.id));
    const netlink::Namespace home = t.home();  // held open: the kernel must not need its end

    ASSERT_TRUE(t.host.builder().remove(t.network.id));
    EXPECT_EQ(t.host.links(), host_before);
    EXPECT_EQ(t.web.links(), web_before);
    EXPECT_THAT(names_of(links_in(home)), ElementsAre("lo"));
    EXPECT_THAT(t.host.run("cat /proc/thread-self/net/udp").text, Not(HasSubstr(":12B5 ")));
    EXPECT_THAT(must(t.host.builder().found()), IsEmpty());
    EXPECT_TRUE(std::filesystem::is_empty(t.host.run_dir() / "netns"));
    EXPECT_TRUE(t.host.builder().remove(t.network.id)) << "there is nothing, and that is fine";
}

TEST(Builder, ADisconnectedEndpointLosesItsInterfaceAndTheOthersKeepTheirs) {
    Lone t;
    Container db;
    t.network.local.push_back(sample_local(8, db.path()));
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_TRUE(t.web.pings("10.1.0.8"));
    const auto web_before = t.web.link("eth0");
    t.network.local.pop_back();
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_THAT(names_of(db.links()), ElementsAre("lo"));
    EXPECT_EQ(t.web.link("eth0"), web_before);
}

// A kernel tells some things a moment later: carriers, multicast groups, addresses that are checked for duplicates.
void quieten(Builder& builder) {
    pollfd events{.fd = builder.event_fd(), .events = POLLIN, .revents = 0};
    while (::poll(&events, 1, 300) > 0) {
        (void)builder.handle_events();
    }
}

TEST(Builder, TrafficIsNothingToLookAt) {
    Lone t;
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    quieten(builder);
    EXPECT_TRUE(t.web.pings("10.1.0.1"));
    EXPECT_THAT(builder.handle_events(), IsEmpty());
}

TEST(Builder, HearsNothingMoreOfANetworkThatIsRemoved) {
    Lone t;
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    ASSERT_TRUE(builder.remove(t.network.id));
    EXPECT_THAT(builder.handle_events(), IsEmpty());
}

TEST(Builder, AStoppedNetworkStartsWithTheNextApply) {
    Lone t;
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    ASSERT_TRUE(builder.stop(t.network.id));
    for (const auto& link : links_in(t.home())) {
        if (link.kind == "vxlan") {
            EXPECT_EQ(link.master, base::IfIndex{});
            EXPECT_TRUE(link.up) << "without its socket what is decrypted is answered, and quoted";
        }
    }
    EXPECT_TRUE(complete(builder.apply(t.network)));
    EXPECT_TRUE(t.web.pings("10.1.0.1"));
    EXPECT_TRUE(builder.stop(base::NetworkId{{9}})) << "there is no such network";
}

TEST(Builder, HealsWhatSomebodyBroke) {
    Lone t;
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    const auto home = t.home();
    const auto break_and_heal = [&](const std::string& command) {
        must(netlink::run_in(home, [&]() -> base::Status {
            return ::system(command.c_str()) == 0 ? base::Status() : base::fail(base::Code::kInternal, "{}", command);
        }));
        EXPECT_THAT(builder.handle_events(), ElementsAre(t.network.id)) << "nobody would look after " << command;
        const Outcome healed = builder.apply(t.network);
        EXPECT_TRUE(complete(healed)) << command;
        EXPECT_GT(healed.changes, 0U) << command;
        EXPECT_EQ(builder.apply(t.network).changes, 0U) << command;
        EXPECT_TRUE(t.web.pings("10.1.0.1")) << command;
        quieten(builder);
    };
    quieten(builder);
    break_and_heal("ip link del br0");
    break_and_heal("ip link del vx0");
    break_and_heal("ip link set vx0 down");
    break_and_heal("ip link set vx0 nomaster");
    break_and_heal("ip addr flush dev br0");
    break_and_heal("bridge fdb del 02:57:00:00:00:14 dev vx0 dst 192.0.2.2 self");
    break_and_heal("bridge fdb replace 02:57:00:00:00:14 dev vx0 dst 192.0.2.66 self");
    break_and_heal("ip neigh flush dev vx0 nud permanent");
    break_and_heal("bridge link set dev vx0 learning on");
    break_and_heal("ip link set v00000007000000 mtu 1500");
    break_and_heal("bridge fdb del 02:57:00:00:00:07 dev v00000007000000 master");
    break_and_heal("ip link del v00000007000000");
    break_and_heal("ip link set br0 address 02:00:00:00:00:09");
}

// What happens in a container of many is seen at once as far as it shows outside; the rest when it is looked for.
TEST(Builder, HealsInContainersWhatShowsOutsideAndTheRestWhenInDoubt) {
    Lone t;
    Container db;
    t.network.local.push_back(sample_local(8, db.path()));
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    ASSERT_EQ(builder.apply(t.network).changes, 0U);
    for (const auto* shows : {"ip link set eth0 down", "ip link del eth0",
                              "ip addr flush dev eth0 && ip link set eth0 down && ip link set eth0 up"}) {
        quieten(builder);
        db.need(shows);
        quieten(builder);
        EXPECT_GT(builder.apply(t.network).changes, 0U) << shows;
        EXPECT_TRUE(db.pings("10.1.0.7")) << shows;
        EXPECT_EQ(builder.apply(t.network).changes, 0U) << shows;
    }
    for (const auto* hidden :
         {"ip addr flush dev eth0", "ip link set eth0 mtu 1300", "ip link set eth0 address 02:00:00:00:00:09"}) {
        db.need(hidden);
        builder.doubt();
        const Outcome healed = builder.apply(t.network);
        EXPECT_TRUE(complete(healed)) << hidden;
        EXPECT_GT(healed.changes, 0U) << hidden;
        EXPECT_EQ(db.link("eth0").mtu, base::Mtu(1450)) << hidden;
        EXPECT_TRUE(db.pings("10.1.0.7")) << hidden;
    }
}

TEST(Builder, ANewContainerInThePlaceOfAnotherGetsTheInterface) {
    Lone t;
    Container db;
    Container next;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    const auto place = t.host.run_dir() / "place";
    std::filesystem::create_symlink(db.path(), place);
    t.network.local.push_back(sample_local(8, place));
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    const auto successor = t.host.run_dir() / "successor";
    std::filesystem::create_symlink(next.path(), successor);
    std::filesystem::rename(successor, place);
    EXPECT_TRUE(complete(builder.apply(t.network)));
    EXPECT_TRUE(next.pings("10.1.0.7"));
    EXPECT_THAT(names_of(db.links()), ElementsAre("lo"));
}

TEST(Builder, HealsWhatMulticastNeeds) {
    Lone t;
    t.network.multicast = true;
    t.network.peers = {{ip("192.0.2.2"), mac_of(102)}, {ip("192.0.2.3"), mac_of(103)}};
    auto builder = t.host.builder();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    const auto home = t.home();
    const auto copies = [&] {
        auto socket = must(netlink::Socket::open_in(home, netlink::Protocol::kRoute));
        std::set<base::IpAddress> to;
        for (const auto& entry : must(netlink::read_fdb(socket, base::IfIndex(0)))) {
            if (is_default(entry)) {
                to.insert(entry.destination.value());
            }
        }
        return to;
    };
    for (const std::string command :
         {"bridge fdb del 00:00:00:00:00:00 dev vx0 dst 192.0.2.3 self",
          "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.66 self",
          "bridge fdb del 02:57:00:00:00:14 dev vx0 master", "bridge link set dev vx0 flood on",
          "bridge link set dev vx0 mcast_router 1", "bridge link set dev vx0 locked off",
          "ip link set br0 type bridge mcast_querier 0", "ip link set br0 type bridge mcast_snooping 0"}) {
        quieten(builder);
        must(netlink::run_in(home, [&]() -> base::Status {
            return ::system(command.c_str()) == 0 ? base::Status() : base::fail(base::Code::kInternal, "{}", command);
        }));
        EXPECT_THAT(builder.handle_events(), ElementsAre(t.network.id)) << "nobody would look after " << command;
        EXPECT_GT(builder.apply(t.network).changes, 0U) << command;
        EXPECT_EQ(builder.apply(t.network).changes, 0U) << command;
        EXPECT_THAT(copies(), ElementsAre(ip("192.0.2.2"), ip("192.0.2.3"))) << command;
    }
    t.network.peers.pop_back();
    ASSERT_TRUE(complete(builder.apply(t.network)));
    EXPECT_THAT(copies(), ElementsAre(ip("192.0.2.2")));
    t.network.multicast = false;
    ASSERT_TRUE(complete(builder.apply(t.network)));
    EXPECT_THAT(copies(), IsEmpty());
}

TEST(Builder, AContainerThatIsGoneIsAnErrorOfItsOwnOnly) {
    Lone t;
    t.network.local.push_back(sample_local(8, "/run/netns/warren-no-such"));
    t.network.local.push_back(sample_local(9, "/etc/hostname"));
    const Outcome outcome = t.host.apply(t.network);
    EXPECT_THAT(outcome.errors, IsEmpty());
    ASSERT_THAT(outcome.endpoint_errors, SizeIs(2));
    EXPECT_THAT(outcome.endpoint_errors.at(t.network.local[1].id).message(),
                HasSubstr("endpoint local8: network namespace /run/netns/warren-no-such: "));
    EXPECT_THAT(outcome.endpoint_errors.at(t.network.local[2].id).message(),
                HasSubstr("endpoint local9: /etc/hostname: is not a network namespace"));
    EXPECT_TRUE(t.web.pings("10.1.0.1"));
    // The same again does nothing new.
    EXPECT_EQ(t.host.apply(t.network).changes, 0U);
}

TEST(Builder, AContainerThatDiedTakesItsInterfaceAlong) {
    Lone t;
    auto db = std::make_optional<Container>();
    t.network.local.push_back(sample_local(8, db->path()));
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    db.reset();
    const Outcome outcome = t.host.apply(t.network);
    EXPECT_THAT(outcome.endpoint_errors, SizeIs(1));
    EXPECT_THAT(outcome.errors, IsEmpty());
    EXPECT_TRUE(t.web.pings("10.1.0.1"));
    // Its successor gets a new one.
    Container next;
    t.network.local[1].netns = next.path();
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_TRUE(next.pings("10.1.0.7"));
}

TEST(Builder, TheNetworksOwnNamespaceIsNoContainer) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    t.network.local.push_back(sample_local(8, t.host.run_dir() / "netns" / t.network.id.text()));
    EXPECT_THAT(t.host.apply(t.network).endpoint_errors.at(t.network.local[1].id).message(),
                HasSubstr("is that of network blue itself, not a container's"));
}

TEST(Builder, AChosenInterfaceNameThatIsTakenIsRefused) {
    Lone t;
    t.web.need("ip link add front type bridge");
    t.network.local[0].ifname = "front";
    const Outcome outcome = t.host.apply(t.network);
    EXPECT_THAT(outcome.errors, IsEmpty());
    const auto& error = outcome.endpoint_errors.at(t.network.local[0].id);
    EXPECT_THAT(error.message(), HasSubstr("endpoint local7: create interface front in namespace /proc/"));
    EXPECT_EQ(error.sys_errno(), EEXIST);
    t.network.local[0].ifname = "back";
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.web.link("back").mac, t.network.local[0].mac);
}

TEST(Builder, SaysThatABridgeIsFull) {
    Lone t;
    t.network.local.clear();
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    auto socket = must(netlink::Socket::open_in(t.home(), netlink::Protocol::kRoute));
    const auto bridge = t.home_link("br0").index;
    std::vector<netlink::Message> messages;
    for (int i = 0; i < 1022; ++i) {
        const auto name = fmt::format("port{}", i);
        messages.push_back(netlink::create_veth({.name = name}, {.name = fmt::format("peer{}", i)}));
        messages.push_back(netlink::set_link(name, {.master = bridge}));
    }
    for (auto& status : socket.transact(messages)) {
        must(std::move(status));
    }
    t.network.local = {sample_local(7, t.web.path())};
    const Outcome outcome = t.host.apply(t.network);
    EXPECT_THAT(outcome.errors, IsEmpty());
    EXPECT_THAT(outcome.endpoint_errors.at(t.network.local[0].id).message(),
                HasSubstr("a bridge has 1,023 ports at most, and this one has as many"));
}

TEST(Builder, TwoEndpointsOfOneContainerGetTwoNames) {
    Lone t;
    t.network.local.push_back(sample_local(8, fmt::format("/proc/self/fd/{}", t.web.ns.fd())));  // another path to it
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_TRUE(complete(outcome));
    EXPECT_NE(outcome.ifnames.at(t.network.local[0].id), outcome.ifnames.at(t.network.local[1].id));
}

TEST(Builder, SaysWhoHasTheUdpPort) {
    Lone t;
    t.network.port = base::UdpPort(10001);
    t.network.encrypted = true;
    base::UniqueFd squatter;
    must(netlink::run_in(t.host.ns, [&]() -> base::Status {
        squatter = base::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(10001)};
        return ::bind(squatter.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
                   ? base::Status()
                   : base::fail_errno("bind", errno);
    }));
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_THAT(outcome.errors, SizeIs(1));
    EXPECT_THAT(outcome.errors[0].message(),
                HasSubstr(fmt::format(
                    "set up vx0: netlink: EADDRINUSE: Address already in use: UDP port 10001 is taken by process {} (",
                    ::getpid())));
    EXPECT_EQ(outcome.errors[0].code(), base::Code::kConflict);
    squatter.reset();
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    std::optional<std::string> owner;
    must(netlink::run_in(t.host.ns, [&]() -> base::Status {
        owner = port_owner(Transport::kUdp, 10001);
        return {};
    }));
    EXPECT_EQ(owner, "the kernel itself, by a tunnel such as VXLAN");
    EXPECT_EQ(port_owner(Transport::kUdp, 10001), std::nullopt) << "not in this namespace";
}

TEST(Builder, NamesTheVniThatAnotherVxlanHas) {
    Lone t;
    t.host.need(
        "ip link add other type vxlan id 0x570000 local 192.0.2.1 dstport 4789 nolearning && ip link set other up");
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_THAT(outcome.errors, SizeIs(1));
    EXPECT_THAT(outcome.errors[0].message(),
                HasSubstr("create vxlan vx0 (VNI 5701632, UDP port 4789): netlink: EEXIST"));
    EXPECT_TRUE(t.web.pings("10.1.0.1")) << "what does not need it goes on";
}

TEST(Builder, SharesThePlainPortWithOthers) {
    Lone t;
    t.host.need("ip link add docker type vxlan id 4097 dstport 4789 l2miss l3miss proxy && ip link set docker up");
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    Network second = t.network;
    second.id = id_of<base::NetworkId>(99);
    second.subnets[0] = {prefix("10.1.0.0/16"), ip("10.1.0.1"), base::Vni(0x570001)};
    second.local = {sample_local(70, t.web.path())};
    EXPECT_TRUE(complete(t.host.apply(second)));
    EXPECT_TRUE(t.web.link("eth1").up);
}

TEST(Builder, MindsNoDeviceOfTheHostWithANameOfOurs) {
    Lone t;
    t.host.need("ip link add vx0 type bridge && ip link add br0 type bridge");
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.home_link("vx0").kind, "vxlan");
}

TEST(Builder, CleansUpAfterADeathInTheMiddleOfMakingAVxlan) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    const auto passing = "w" + t.network.id.text().substr(0, 14);
    const auto home = t.home();
    auto socket = must(netlink::Socket::open_in(home, netlink::Protocol::kRoute));
    must(socket.request(netlink::set_link("vx0", {.up = false})));
    must(socket.request(netlink::rename_link(t.home_link("vx0").index, passing)));
    EXPECT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.home_link("vx0").kind, "vxlan");
    EXPECT_FALSE(netlink::read_link(socket, passing));
}

TEST(Builder, ReplacesAVxlanWhosePortOrAddressChanged) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    const auto end = t.web.link("eth0");
    t.network.port = base::UdpPort(4790);
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.home_link("vx0").vxlan->port, base::UdpPort(4790));
    t.network.vtep = ip("192.0.2.9");
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.home_link("vx0").vxlan->local, ip("192.0.2.9"));
    EXPECT_EQ(t.host.apply(t.network).changes, 0U);
    EXPECT_EQ(t.web.link("eth0"), end);
}

// The kernel reads back what was written, whatever the kind: else every apply would begin anew.
TEST(Builder, IsSettledAfterOneCallForEveryKindOfNetwork) {
    for (const bool encrypted : {false, true}) {
        for (const bool v6 : {false, true}) {
            Lone t;
            t.host.need("ip addr add 2001:db8::1/64 dev eth0 nodad");
            t.network.encrypted = encrypted;
            t.network.segmentation = !encrypted;
            t.network.port = base::UdpPort(encrypted ? 10001 : 4789);
            t.network.peers = {{ip("192.0.2.2"), mac_of(102)}, {ip("192.0.2.3"), mac_of(103)}};
            if (v6) {
                t.network.vtep = ip("2001:db8::1");
                t.network.remote = {sample_remote(20, "2001:db8::2")};
                t.network.peers = {{ip("2001:db8::2"), mac_of(102)}, {ip("2001:db8::3"), mac_of(103)}};
            }
            for (const bool multicast : {false, true}) {
                t.network.multicast = multicast;
                ASSERT_TRUE(complete(t.host.apply(t.network))) << encrypted << v6 << multicast;
                EXPECT_EQ(t.host.apply(t.network).changes, 0U) << encrypted << v6 << multicast;
            }
            EXPECT_EQ(must(netlink::segmentation(t.home(), "vx0")), !encrypted);
        }
    }
}

TEST(Builder, FollowsTheMtu) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    t.network.mtu = base::Mtu(1400);
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    EXPECT_EQ(t.web.link("eth0").mtu, base::Mtu(1400));
    for (const auto& link : links_in(t.home())) {
        EXPECT_TRUE(link.loopback || link.mtu == base::Mtu(1400)) << link.name;
    }
}

TEST(Builder, AForeignLinkInTheWayIsNamedAndStays) {
    Lone t;
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    must(netlink::run_in(t.home(), [&]() -> base::Status {
        return ::system(
                   "ip link del vx0 && ip link add vx0 type bridge && ip link set vx0 alias mine && ip link add tap9 "
                   "type bridge") == 0
                   ? base::Status()
                   : base::fail(base::Code::kInternal, "ip");
    }));
    const auto foreign = t.home_link("vx0");
    const Outcome outcome = t.host.apply(t.network);
    ASSERT_THAT(outcome.errors, SizeIs(1));
    EXPECT_THAT(outcome.errors[0].message(),
                HasSubstr("an interface vx0 that is not ours (kind 'bridge', alias 'mine')"));
    EXPECT_EQ(t.home_link("vx0"), foreign);
    EXPECT_FALSE(t.home_link("tap9").up);
}

TEST(Builder, ProgramsFiveThousandRemoteEndpoints) {
    Lone t;
    t.network.remote.clear();
    for (std::uint32_t i = 100; i < 5100; ++i) {
        t.network.remote.push_back(sample_remote(i, fmt::format("192.0.2.{}", 2 + i % 250)));
    }
    const auto began = std::chrono::steady_clock::now();
    const Outcome outcome = t.host.apply(t.network);
    const auto took = std::chrono::steady_clock::now() - began;
    ASSERT_TRUE(complete(outcome));
    EXPECT_GE(outcome.changes, 10000U);
    RecordProperty("milliseconds",
                   static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
    EXPECT_EQ(t.host.apply(t.network).changes, 0U);
    // One more costs one more.
    t.network.remote.push_back(sample_remote(6000));
    EXPECT_EQ(t.host.apply(t.network).changes, 2U);
    t.network.remote.clear();
    EXPECT_EQ(t.host.apply(t.network).changes, 10002U);
}

TEST(Builder, FindsOnlyNetworksInItsDirectory) {
    Lone t;
    EXPECT_THAT(must(t.host.builder().found()), IsEmpty()) << "no directory yet";
    ASSERT_TRUE(complete(t.host.apply(t.network)));
    must(netlink::PinnedNamespaces(t.host.run_dir() / "netns").create("something-else"));
    EXPECT_THAT(must(t.host.builder().found()), ElementsAre(t.network.id));
    must(netlink::PinnedNamespaces(t.host.run_dir() / "netns").remove("something-else"));
}

}  // namespace
}  // namespace warren::overlay
