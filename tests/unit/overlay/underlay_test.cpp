#include "overlay/underlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testbed.h"

namespace warren::overlay {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;

template <typename F>
auto inside(const Node& node, F&& fn) {
    return netlink::run_in(node.ns, std::forward<F>(fn));
}

struct Machine : Node {
    Machine() {
        need("ip link add eth0 type veth peer name far0 && ip link add eth1 type veth peer name far1");
        need(
            "ip link set eth0 mtu 9000 && ip link set eth0 up && ip link set far0 up && ip link set eth1 up && ip link "
            "set far1 up");
        need(
            "ip addr add 192.0.2.10/24 dev eth0 && ip addr add 198.51.100.5/24 dev eth1 && ip addr add "
            "2001:db8:1::5/64 dev eth1 nodad");
    }
};

TEST(FindUnderlay, SaysWhichLinkCarriesTheAddress) {
    const Machine m;
    const auto found = inside(m, [] { return find_underlay("--data-addr", ip("192.0.2.10")); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->ifname, "eth0");
    EXPECT_EQ(found->mtu, base::Mtu(9000));
    EXPECT_EQ(found->address, ip("192.0.2.10"));
    EXPECT_EQ(inside(m, [] { return find_underlay("--data-addr", ip("2001:db8:1::5")); }).value().ifname, "eth1");
}

TEST(ResolveUnderlay, TakesAnAddressOrAnInterface) {
    const Machine m;
    EXPECT_EQ(inside(m, [] { return resolve_underlay("--data-addr", "198.51.100.5"); }).value().ifname, "eth1");
    EXPECT_EQ(inside(m, [] { return resolve_underlay("--data-addr", "eth1"); }).value().address, ip("198.51.100.5"));
    m.need("ip addr del 198.51.100.5/24 dev eth1");
    EXPECT_EQ(inside(m, [] { return resolve_underlay("--data-addr", "eth1"); }).value().address, ip("2001:db8:1::5"));
}

TEST(ResolveUnderlay, SaysWhatIsWrong) {
    const Machine m;
    const auto error = [&](const char* text) {
        const auto result = inside(m, [text] { return resolve_underlay("--data-addr", text); });
        return result ? "accepted" : result.error().message();
    };
    EXPECT_EQ(error("192.0.2.11"), "--data-addr 192.0.2.11: no interface of this host has this address");
    EXPECT_EQ(error("eth7"), "--data-addr 'eth7': must be an address or an interface of this host");
    EXPECT_EQ(error(""), "--data-addr '': must be an address or an interface of this host");
    EXPECT_EQ(error("far0"), "--data-addr 'far0': the interface has no address that the other nodes can reach");
    EXPECT_EQ(error("lo"), "--data-addr 'lo': the interface has no address that the other nodes can reach");
    EXPECT_EQ(error("127.0.0.1"), "--data-addr 127.0.0.1: must be an address that the other nodes can reach");
    EXPECT_EQ(error("0.0.0.0"), "--data-addr 0.0.0.0: must be an address that the other nodes can reach");
    EXPECT_EQ(error("224.0.0.1"), "--data-addr 224.0.0.1: must be an address that the other nodes can reach");
    EXPECT_EQ(error("fe80::1"),
              "--data-addr fe80::1: must not be a link-local address: the other nodes cannot reach it without knowing "
              "the link; give a global one");
}

TEST(DefaultUnderlay, IsTheSourceOfTheDefaultRoute) {
    const Machine m;
    m.need("ip route add default via 198.51.100.1");
    const auto found = inside(m, [] { return default_underlay(); });
    ASSERT_TRUE(found);
    EXPECT_EQ(found->address, ip("198.51.100.5"));
    EXPECT_EQ(found->ifname, "eth1");
}

TEST(DefaultUnderlay, ElseTheFirstGlobalAddressOfALinkThatIsUp) {
    const Machine m;
    const auto first = inside(m, [] { return default_underlay(); });
    ASSERT_TRUE(first);
    const std::string other = first->ifname == "eth0" ? "eth1" : "eth0";
    m.need("ip link set " + first->ifname + " down");
    EXPECT_EQ(inside(m, [] { return default_underlay(); }).value().ifname, other);
    const Node empty;
    const auto none = inside(empty, [] { return default_underlay(); });
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().message(),
              "this host has no address that other nodes could reach: give one with --data-addr IP|IFACE");
}

TEST(HostRoutes, AreSubnetsThatTheHostCanReachInWords) {
    const Machine m;
    m.need(
        "ip route add default via 192.0.2.1 && ip route add 10.128.0.0/16 via 192.0.2.1 && ip route add blackhole "
        "10.200.0.0/16");
    const auto routes = must(inside(m, [] { return host_routes(); }));
    EXPECT_THAT(routes, Contains(UsedSubnet{prefix("10.128.0.0/16"), "the host's route via eth0"}));
    EXPECT_THAT(routes, Contains(UsedSubnet{prefix("192.0.2.0/24"), "the host's route via eth0"}));
    for (const auto& route : routes) {
        EXPECT_GT(route.prefix.length, 0) << "no default route";
        EXPECT_FALSE(route.prefix.address.is_link_local() || route.prefix.address.is_multicast() ||
                     route.prefix.address.is_loopback())
            << route.prefix.text();
    }
    // What it is for.
    EXPECT_EQ(allocate_subnet(prefix("10.128.0.0/9"), 24, routes).value(), prefix("10.129.0.0/24"));
    EXPECT_EQ(check_subnet("--subnet", prefix("10.128.7.0/24"), routes).error().message(),
              "--subnet 10.128.7.0/24: overlaps 10.128.0.0/16 of the host's route via eth0; choose another one");
    const Node empty;
    EXPECT_THAT(must(inside(empty, [] { return host_routes(); })), IsEmpty());
}

}  // namespace
}  // namespace warren::overlay
