#include "netlink/link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "netlink/address.h"
#include "netlink/neighbour.h"
#include "netlink/route.h"
#include "netlink/segmentation.h"
#include "scratch.h"

namespace warren::netlink {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

base::MacAddress mac(std::string_view text) {
    return must(base::parse_mac("mac", text));
}
base::IpAddress ip(std::string_view text) {
    return must(base::parse_ip("ip", text));
}
base::Prefix prefix(std::string_view text) {
    return must(base::parse_prefix("prefix", text));
}

Vxlan encrypted_vxlan() {
    return {.vni = base::Vni(0x570001),
            .local = ip("192.0.2.1"),
            .port = base::UdpPort(10007),
            .source_low = base::UdpPort(512),
            .source_high = base::UdpPort(1023),
            .ttl = 64,
            .learning = false,
            .udp_checksum = false};
}

// A namespace for the network and the host's, as on a node.
struct Node {
    Scratch host;
    Scratch network;
};

TEST(CreateVxlan, PutsItIntoAnotherNamespaceWithEveryOption) {
    Node node;
    ASSERT_TRUE(ok(node.host.route.request(
        create_vxlan({.name = "vx0", .mac = mac("02:57:00:00:00:02"), .mtu = base::Mtu(1416), .into = &node.network.ns},
                     encrypted_vxlan()))));
    EXPECT_EQ(read_link(node.host.route, "vx0").error().sys_errno(), ENODEV);
    ASSERT_TRUE(ok(node.network.route.request(set_link("vx0", {.up = true}))));
    const auto link = node.network.link("vx0");
    EXPECT_EQ(link.vxlan, encrypted_vxlan());
    EXPECT_EQ(link.mac, mac("02:57:00:00:00:02"));
    EXPECT_EQ(link.mtu, base::Mtu(1416));
    EXPECT_TRUE(link.up);
    // The second opinion.
    EXPECT_THAT(node.network.run("ip -d -j link show vx0"),
                AllOf(HasSubstr("\"id\":5701633"), HasSubstr("\"local\":\"192.0.2.1\""), HasSubstr("\"port\":10007"),
                      HasSubstr("\"port_range\":{\"low\":512,\"high\":1023}"), HasSubstr("\"learning\":false"),
                      HasSubstr("\"udp_csum\":false"), HasSubstr("\"ttl\":64"), HasSubstr("\"mtu\":1416")));
    // Its UDP socket is the host's.
    EXPECT_THAT(node.host.run("cat /proc/net/udp"), HasSubstr(":2717 "));
    EXPECT_THAT(node.network.run("cat /proc/net/udp"), Not(HasSubstr(":2717 ")));
}

TEST(CreateVxlan, OverIpv6) {
    Scratch scratch;
    const Vxlan options{.vni = base::Vni(7),
                        .local = ip("2001:db8::1"),
                        .port = base::UdpPort(4789),
                        .proxy = true,
                        .l2miss = true,
                        .l3miss = true,
                        .udp_zero_checksum6_tx = true,
                        .udp_zero_checksum6_rx = true};
    ASSERT_TRUE(ok(scratch.route.request(create_vxlan({.name = "vx6"}, options))));
    auto seen = scratch.link("vx6").vxlan.value();
    EXPECT_THAT(scratch.run("ip -d -j link show vx6"),
                AllOf(HasSubstr("\"local6\":\"2001:db8::1\""), HasSubstr("\"l2miss\":true"),
                      HasSubstr("\"udp_zero_csum6_tx\":true")));
    EXPECT_EQ(seen, options);
}

TEST(CreateBridge, WithAFixedMacThatPortsDoNotChange) {
    Scratch scratch;
    const Bridge options{.multicast_snooping = false, .ageing = UserTicks(0)};
    ASSERT_TRUE(ok(scratch.route.request(
        create_bridge({.name = "br0", .mac = mac("02:57:00:00:00:01"), .mtu = base::Mtu(1416)}, options))));
    const auto bridge = scratch.link("br0");
    EXPECT_EQ(bridge.bridge, options);
    // A port with a lower MAC would become the bridge's, were it not set.
    ASSERT_TRUE(ok(scratch.route.request(
        create_veth({.name = "v0", .mac = mac("02:00:00:00:00:01"), .mtu = base::Mtu(1416)}, {.name = "v1"}))));
    ASSERT_TRUE(ok(scratch.route.request(set_link("v0", {.master = bridge.index, .up = true}))));
    EXPECT_EQ(scratch.link("br0").mac, mac("02:57:00:00:00:01"));
    EXPECT_EQ(scratch.link("v0").master, bridge.index);
    EXPECT_EQ(scratch.link("v0").port, BridgePort{});

    ASSERT_TRUE(ok(scratch.route.request(set_bridge("br0", {.multicast_snooping = true, .stp = true}))));
    EXPECT_EQ(scratch.link("br0").bridge, (Bridge{.multicast_snooping = true, .stp = true}));
    for (const auto& snooping : {Bridge{.multicast_querier = true}, Bridge{.multicast_query_use_ifaddr = true}}) {
        ASSERT_TRUE(ok(scratch.route.request(set_bridge("br0", snooping))));
        EXPECT_EQ(scratch.link("br0").bridge, snooping);
    }
    ASSERT_TRUE(ok(scratch.route.request(set_link("v0", {.master = base::IfIndex(0)}))));
    EXPECT_EQ(scratch.link("v0").master, base::IfIndex(0));
}

TEST(SetBridgePort, SetsEachFlagByItself) {
    Scratch scratch;
    ASSERT_TRUE(ok(scratch.route.request(create_bridge({.name = "br0"}, {}))));
    ASSERT_TRUE(ok(scratch.route.request(create_veth({.name = "v0"}, {.name = "v1"}))));
    ASSERT_TRUE(ok(scratch.route.request(set_link("v0", {.master = scratch.link("br0").index}))));
    std::vector<BridgePort> variants(10);
    variants[0].learning = false;
    variants[1].unicast_flood = false;
    variants[2].multicast_flood = false;
    variants[3].broadcast_flood = false;
    variants[4].isolated = true;
    variants[5].neighbour_suppress = true;
    variants[6].hairpin = true;
    variants[7].locked = true;
    variants[8].multicast_router = MulticastRouter::kAlways;
    for (const auto& options : variants) {
        ASSERT_TRUE(ok(scratch.route.request(set_bridge_port("v0", options))));
        EXPECT_EQ(scratch.link("v0").port, options);
    }
    ASSERT_TRUE(ok(scratch.route.request(set_bridge_port("v0", variants[1]))));
    EXPECT_THAT(scratch.run("bridge -d -j link show dev v0"),
                AllOf(HasSubstr("\"flood\":false"), HasSubstr("\"learning\":true"), HasSubstr("\"isolated\":false")));
}

TEST(CreateVeth, PutsThePeerIntoAnotherNamespaceNamedAndReady) {
    Node node;
    ASSERT_TRUE(ok(node.network.route.request(create_veth(
        {.name = "ep0", .mtu = base::Mtu(1416)},
        {.name = "eth0", .mac = mac("02:42:0a:80:03:07"), .mtu = base::Mtu(1400), .into = &node.host.ns}))));
    ASSERT_TRUE(ok(node.network.route.request(set_link("ep0", {.up = true}))));
    ASSERT_TRUE(ok(node.host.route.request(set_link("eth0", {.up = true}))));
    const auto peer = node.host.link("eth0");
    EXPECT_EQ(peer.mac, mac("02:42:0a:80:03:07"));
    EXPECT_EQ(peer.mtu, base::Mtu(1400));
    EXPECT_EQ(peer.kind, "veth");
    EXPECT_TRUE(peer.up);
    EXPECT_TRUE(peer.running);
    const auto port = node.network.link("ep0");
    EXPECT_EQ(port.mtu, base::Mtu(1416));
    EXPECT_EQ(port.lower, peer.index);
    EXPECT_TRUE(port.lower_netns.has_value());
    EXPECT_EQ(read_link(node.network.route, "eth0").error().sys_errno(), ENODEV);
}

TEST(CreateVeth, FailsWholeWhenTheNameIsTakenOverThere) {
    Node node;
    ASSERT_TRUE(ok(node.host.route.request(create_bridge({.name = "eth0"}, {}))));
    const auto status =
        node.network.route.request(create_veth({.name = "ep0"}, {.name = "eth0", .into = &node.host.ns}));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().sys_errno(), EEXIST);
    EXPECT_EQ(read_link(node.network.route, "ep0").error().sys_errno(), ENODEV);
    EXPECT_EQ(node.host.link("eth0").kind, "bridge");
}

TEST(SetLink, ChangesWhatIsSetAndNothingElse) {
    Scratch scratch;
    ASSERT_TRUE(ok(scratch.route.request(create_veth({.name = "v0"}, {.name = "v1"}))));
    auto expected = scratch.link("v0");
    ASSERT_TRUE(ok(scratch.route.request(set_link("v0", {.alias = "warren:1:2"}))));
    expected.alias = "warren:1:2";
    EXPECT_EQ(scratch.link("v0"), expected);
    ASSERT_TRUE(ok(scratch.route.request(
        set_link(expected.index, {.mac = mac("02:00:00:00:00:09"), .mtu = base::Mtu(1300), .gso_max_segs = 1}))));
    expected.mac = mac("02:00:00:00:00:09");
    expected.mtu = base::Mtu(1300);
    expected.gso_max_segs = 1;
    EXPECT_EQ(scratch.link("v0"), expected);
    ASSERT_TRUE(ok(scratch.route.request(rename_link(expected.index, "web"))));
    ASSERT_TRUE(ok(scratch.route.request(set_link("web", {.alias = "", .up = true}))));
    expected.name = "web";
    expected.alias = "";
    expected.up = true;
    EXPECT_EQ(scratch.link("web"), expected);
    ASSERT_TRUE(ok(scratch.route.request(set_link("web", {.up = false}))));
    EXPECT_FALSE(scratch.link("web").up);

    Scratch other;
    ASSERT_TRUE(ok(scratch.route.request(set_link("web", {.into = &other.ns}))));
    EXPECT_EQ(other.link("web").mac, mac("02:00:00:00:00:09"));
}

TEST(DeleteLink, ByNameAndByIndex) {
    Scratch scratch;
    ASSERT_TRUE(ok(scratch.route.request(create_bridge({.name = "b0"}, {}))));
    ASSERT_TRUE(ok(scratch.route.request(create_bridge({.name = "b1"}, {}))));
    EXPECT_TRUE(ok(scratch.route.request(delete_link("b0"))));
    EXPECT_TRUE(ok(scratch.route.request(delete_link(scratch.link("b1").index))));
    EXPECT_EQ(must(read_links(scratch.route)).size(), 1U);  // lo
}

TEST(CheckIfname, KnowsTheKernelsRule) {
    Scratch scratch;
    for (const auto* name : {"eth0", "a", "fifteen-bytes-x", "vx_0.1", "sixteen-bytes-xx", "a b", "a/b", "a:b", ".",
                             "..", "", "tab\there", "all", "default", "all0"}) {
        const bool kernel = scratch.route.request(create_bridge({.name = name}, {})).has_value();
        if (std::string_view(name).empty()) {  // the kernel would pick a name itself
            EXPECT_FALSE(check_ifname("--ifname", name));
        } else {
            EXPECT_EQ(check_ifname("--ifname", name).has_value(), kernel) << name;
        }
    }
    EXPECT_THAT(check_ifname("--ifname", "a b").error().message(), HasSubstr("--ifname 'a b': must be"));
    EXPECT_THAT(check_ifname("--ifname", "all").error().message(), HasSubstr("--ifname 'all': must not be"));
    EXPECT_FALSE(check_ifname("--ifname", "eth%d")) << "the kernel makes another name of it";
}

TEST(Segmentation, IsReadAndSetAsEthtoolDoes) {
    Node node;
    ASSERT_TRUE(
        ok(node.host.route.request(create_vxlan({.name = "vx0", .into = &node.network.ns}, encrypted_vxlan()))));
    EXPECT_TRUE(must(segmentation(node.network.ns, "vx0")));
    EXPECT_TRUE(ok(set_segmentation(node.network.ns, "vx0", false)));
    EXPECT_FALSE(must(segmentation(node.network.ns, "vx0")));
    EXPECT_EQ(node.network.link("vx0").gso_max_segs, 1U);
    EXPECT_THAT(node.network.run("ethtool -k vx0"),
                AllOf(HasSubstr("tx-tcp-segmentation: off"), HasSubstr("generic-segmentation-offload: off")));
    // Half undone by somebody is not off.
    ASSERT_TRUE(ok(node.network.route.request(set_link("vx0", {.gso_max_segs = 65535}))));
    EXPECT_TRUE(must(segmentation(node.network.ns, "vx0")));
    EXPECT_TRUE(ok(set_segmentation(node.network.ns, "vx0", true)));
    EXPECT_TRUE(must(segmentation(node.network.ns, "vx0")));
    EXPECT_EQ(segmentation(node.host.ns, "vx0").error().code(), base::Code::kNotFound);
    EXPECT_EQ(set_segmentation(node.host.ns, "sixteen-bytes-xx", false).error().code(), base::Code::kInvalid);
}

// A veth pair v0, v1 that is up; the index of v0.
base::IfIndex pair_up(Scratch& scratch) {
    must(scratch.route.request(create_veth({.name = "v0"}, {.name = "v1"})));
    must(scratch.route.request(set_link("v1", {.up = true})));
    must(scratch.route.request(set_link("v0", {.up = true})));
    return scratch.link("v0").index;
}

// A bridge that is up, for what needs a device.
struct WithBridge : Scratch {
    base::IfIndex index = make();

  private:
    base::IfIndex make() {
        must(route.request(create_bridge({.name = "br0"}, {})));
        must(route.request(set_link("br0", {.up = true})));
        return link("br0").index;
    }
};

TEST(Addresses, AreAddedReplacedListedAndDeleted) {
    Scratch scratch;
    const auto index = pair_up(scratch);
    const Address v4{.link = index, .prefix = prefix("10.128.3.1/24"), .no_prefix_route = true};
    const Address v6{.link = index, .prefix = prefix("2001:db8::1/64"), .no_dad = true};
    EXPECT_TRUE(ok(scratch.route.request(add_address(v4))));
    EXPECT_EQ(scratch.route.request(add_address(v4)).error().sys_errno(), EEXIST);
    EXPECT_TRUE(ok(scratch.route.request(replace_address(v4))));
    EXPECT_TRUE(ok(scratch.route.request(add_address(v6))));
    auto all = must(read_addresses(scratch.route, index));
    std::erase_if(all, [](const Address& one) { return one.prefix.address.is_link_local(); });
    EXPECT_THAT(all, UnorderedElementsAre(v4, v6));
    EXPECT_GE(must(read_addresses(scratch.route)).size(), 2U);
    EXPECT_THAT(scratch.run("ip -j address show dev v0"),
                AllOf(HasSubstr("\"local\":\"10.128.3.1\",\"prefixlen\":24"), HasSubstr("\"noprefixroute\":true")));
    EXPECT_THAT(scratch.run("ip route"), Not(HasSubstr("10.128.3.0/24")));
    EXPECT_TRUE(ok(scratch.route.request(delete_address(v4))));
    EXPECT_EQ(scratch.route.request(delete_address(v4)).error().sys_errno(), EADDRNOTAVAIL);
}

TEST(Neighbours, AreReplacedNotAddedTwice) {
    WithBridge scratch;
    Neighbour one{.link = scratch.index, .ip = ip("10.128.3.7"), .mac = mac("02:42:0a:80:03:07")};
    EXPECT_TRUE(ok(scratch.route.request(put_neighbour(one))));
    one.mac = mac("02:42:0a:80:03:99");
    EXPECT_TRUE(ok(scratch.route.request(put_neighbour(one))));
    const Neighbour six{.link = scratch.index, .ip = ip("2001:db8::7"), .mac = mac("02:42:0a:80:03:07")};
    EXPECT_TRUE(ok(scratch.route.request(put_neighbour(six))));
    auto all = must(read_neighbours(scratch.route, scratch.index));
    std::erase_if(all, [](const Neighbour& neighbour) { return !neighbour.permanent; });
    EXPECT_THAT(all, UnorderedElementsAre(one, six));
    EXPECT_THAT(scratch.run("ip neighbour"), HasSubstr("10.128.3.7 dev br0 lladdr 02:42:0a:80:03:99 PERMANENT"));
    EXPECT_TRUE(ok(scratch.route.request(delete_neighbour(one))));
    EXPECT_EQ(scratch.route.request(delete_neighbour(one)).error().sys_errno(), ENOENT);
}

TEST(Fdb, OfAVxlanDeviceMovesAMacToAnotherVtep) {
    WithBridge scratch;
    ASSERT_TRUE(ok(scratch.route.request(create_vxlan({.name = "vx0"}, encrypted_vxlan()))));
    ASSERT_TRUE(ok(scratch.route.request(set_link("vx0", {.master = scratch.index}))));
    const auto vx = scratch.link("vx0").index;
    FdbEntry one{.link = vx, .mac = mac("02:42:0a:80:03:07"), .destination = ip("192.0.2.7")};
    EXPECT_TRUE(ok(scratch.route.request(put_fdb(one))));
    one.destination = ip("192.0.2.8");
    EXPECT_TRUE(ok(scratch.route.request(put_fdb(one))));
    EXPECT_TRUE(ok(scratch.route.request(put_fdb(one)))) << "the same again changes nothing";
    FdbEntry everybody_a{.link = vx, .destination = ip("192.0.2.7")};
    FdbEntry everybody_b{.link = vx, .destination = ip("192.0.2.8")};
    EXPECT_EQ(scratch.route.request(put_fdb(everybody_a)).error().sys_errno(), EOPNOTSUPP);
    EXPECT_TRUE(ok(scratch.route.request(append_fdb(everybody_a))));
    EXPECT_TRUE(ok(scratch.route.request(append_fdb(everybody_b))));
    EXPECT_TRUE(ok(scratch.route.request(append_fdb(everybody_b))));
    const FdbEntry in_bridge{
        .link = vx, .mac = mac("02:42:0a:80:03:07"), .table = FdbTable::kBridge, .state = FdbState::kStatic};
    EXPECT_TRUE(ok(scratch.route.request(put_fdb(in_bridge))));

    auto all = must(read_fdb(scratch.route, vx));
    std::erase_if(all, [](const FdbEntry& e) {  // the device's own address in the bridge, and multicast groups
        return e.table == FdbTable::kBridge && e.state == FdbState::kPermanent;
    });
    EXPECT_THAT(all, UnorderedElementsAre(one, everybody_a, everybody_b, in_bridge));
    EXPECT_THAT(scratch.run("bridge fdb show dev vx0"),
                AllOf(HasSubstr("02:42:0a:80:03:07 dst 192.0.2.8 self permanent"),
                      HasSubstr("02:42:0a:80:03:07 master br0 static")));
    for (const auto& entry : all) {
        EXPECT_TRUE(ok(scratch.route.request(delete_fdb(entry))));
    }
    EXPECT_EQ(scratch.route.request(delete_fdb(one)).error().sys_errno(), ENOENT);
    EXPECT_THAT(scratch.run("bridge fdb show dev vx0"), Not(HasSubstr("dst")));
}

TEST(Routes, AreAddedListedLookedUpAndDeleted) {
    Scratch scratch;
    const auto index = pair_up(scratch);
    ASSERT_TRUE(ok(scratch.route.request(add_address({.link = index, .prefix = prefix("192.0.2.1/24")}))));
    ASSERT_TRUE(
        ok(scratch.route.request(add_address({.link = index, .prefix = prefix("2001:db8::1/64"), .no_dad = true}))));
    const Route on_link{.destination = prefix("198.51.100.0/24"), .link = index, .mtu = base::Mtu(1280)};
    const Route via{.destination = prefix("0.0.0.0/0"),
                    .link = index,
                    .gateway = ip("192.0.2.254"),
                    .source = ip("192.0.2.1"),
                    .metric = 5};
    const Route far_table{
        .destination = prefix("203.0.113.0/24"), .link = index, .gateway = ip("2001:db8::9"), .table = 4000};
    const Route six{
        .destination = prefix("2001:db8:7::/48"), .link = index, .gateway = ip("2001:db8::9"), .metric = 1024};
    const Route hole{.destination = prefix("10.66.0.0/16"), .type = RouteType::kBlackhole};
    for (const auto& route : {on_link, via, far_table, six, hole}) {
        EXPECT_TRUE(ok(scratch.route.request(add_route(route)))) << route.destination.text();
        EXPECT_EQ(scratch.route.request(add_route(route)).error().sys_errno(), EEXIST) << route.destination.text();
        EXPECT_TRUE(ok(scratch.route.request(replace_route(route)))) << route.destination.text();
        const auto all = must(read_routes(scratch.route, route.destination.address.family));
        EXPECT_EQ(std::count(all.begin(), all.end(), route), 1) << route.destination.text();
    }
    const auto found = must(read_route(scratch.route, ip("198.51.100.9")));
    EXPECT_EQ(found.link, index);
    EXPECT_EQ(found.mtu, base::Mtu(1280));
    EXPECT_EQ(found.source, ip("192.0.2.1"));
    EXPECT_EQ(found.destination, prefix("198.51.100.9/32"));
    EXPECT_EQ(must(read_route_entry(scratch.route, ip("198.51.100.9"), ip("192.0.2.1"))), on_link);
    EXPECT_EQ(must(read_route_entry(scratch.route, ip("2001:db8:7::1"))), six);
    EXPECT_EQ(must(read_route(scratch.route, ip("8.8.8.8"), ip("192.0.2.1"))).gateway, ip("192.0.2.254"));
    EXPECT_EQ(must(read_route(scratch.route, ip("2001:db8:7::1"))).gateway, ip("2001:db8::9"));
    EXPECT_THAT(scratch.run("ip route show table 4000"), HasSubstr("203.0.113.0/24 via inet6 2001:db8::9 dev v0"));
    for (const auto& route : {on_link, via, far_table, six, hole}) {
        EXPECT_TRUE(ok(scratch.route.request(delete_route(route)))) << route.destination.text();
        EXPECT_EQ(scratch.route.request(delete_route(route)).error().sys_errno(), ESRCH) << route.destination.text();
    }
}

TEST(Routes, SayWhenThereIsNone) {
    Scratch scratch;
    for (const auto* to : {"192.0.2.7", "2001:db8::7"}) {
        const auto found = read_route(scratch.route, ip(to));
        ASSERT_FALSE(found);
        EXPECT_EQ(found.error().code(), base::Code::kUnavailable);
        EXPECT_EQ(read_route_entry(scratch.route, ip(to)).error().code(), base::Code::kUnavailable);
        EXPECT_THAT(found.error().message(), HasSubstr(std::string("no route to ") + to));
    }
}

}  // namespace
}  // namespace warren::netlink
