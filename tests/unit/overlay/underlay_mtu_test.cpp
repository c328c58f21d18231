#include "overlay/underlay_mtu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "testbed.h"

namespace warren::overlay {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

template <typename F>
auto inside(const Node& node, F&& fn) {
    return netlink::run_in(node.ns, std::forward<F>(fn));
}

// A host with two devices, and a router behind the first.
struct Machine : Node {
    Node router;

    Machine() {
        must(route.request(netlink::create_veth({.name = "eth0"}, {.name = "eth0", .into = &router.ns})));
        need("ip link add eth1 type veth peer name far1 && ip link set eth1 mtu 1280 up && ip link set far1 up");
        need("ip addr add 192.0.2.10/24 dev eth0 && ip addr add 2001:db8::10/64 dev eth0 nodad && ip link set eth0 up");
        need("ip route add 198.51.100.0/24 dev eth1 && ip route add 203.0.113.0/24 via 192.0.2.1 dev eth0 onlink");
        router.need("ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up && sysctl -qw net.ipv4.ip_forward=1");
    }
    UnderlayMtu read(const std::string& vtep, const std::set<base::IpAddress>& peers) const {
        return must(inside(*this, [&] { return read_underlay_mtu(ip(vtep), peers); }));
    }
};

TEST(UnderlayMtu, IsThatOfTheDeviceAndOfWhatIsLessOnTheWayToAPeer) {
    const Machine m;
    const std::set<base::IpAddress> peers{ip("192.0.2.2"), ip("192.0.2.3"), ip("198.51.100.1"), ip("10.1.2.3")};
    auto seen = m.read("192.0.2.10", peers);
    EXPECT_EQ(seen.device.ifname, "eth0");
    EXPECT_EQ(seen.device.mtu, base::Mtu(1500));
    EXPECT_THAT(seen.narrow, ElementsAre(NarrowWay{ip("198.51.100.1"), base::Mtu(1280), "device eth1"}))
        << "and there is no way to 10.1.2.3";
    m.need("ip route add 192.0.2.3/32 dev eth0 mtu lock 1300 && ip route change 198.51.100.0/24 dev eth1 mtu 1200");
    seen = m.read("192.0.2.10", peers);
    EXPECT_THAT(seen.narrow,
                ElementsAre(NarrowWay{ip("192.0.2.3"), base::Mtu(1300), "route 192.0.2.3/32 dev eth0"},
                            NarrowWay{ip("198.51.100.1"), base::Mtu(1200), "route 198.51.100.0/24 dev eth1"}));
    // What no route may have more of than its device.
    m.need("ip link set eth0 mtu 1250");
    seen = m.read("192.0.2.10", peers);
    EXPECT_EQ(seen.device.mtu, base::Mtu(1250));
    EXPECT_THAT(seen.narrow,
                ElementsAre(NarrowWay{ip("198.51.100.1"), base::Mtu(1200), "route 198.51.100.0/24 dev eth1"}));
}

TEST(UnderlayMtu, OverIpv6IsWhatIpv6HasOnTheDevice) {
    const Machine m;
    EXPECT_EQ(m.read("2001:db8::10", {}).device.mtu, base::Mtu(1500));
    m.need("sysctl -qw net.ipv6.conf.eth0.mtu=1400");
    EXPECT_EQ(m.read("2001:db8::10", {}).device.mtu, base::Mtu(1400));
    EXPECT_EQ(m.read("192.0.2.10", {}).device.mtu, base::Mtu(1500));
    m.need("ip -6 route add 2001:db8::2/128 dev eth0 mtu 1300");
    EXPECT_THAT(m.read("2001:db8::10", {ip("2001:db8::2")}).narrow,
                ElementsAre(NarrowWay{ip("2001:db8::2"), base::Mtu(1300), "route 2001:db8::2/128 dev eth0"}));
}

TEST(UnderlayMtu, OfAnAddressThatNobodyHasIsNone) {
    const Machine m;
    EXPECT_FALSE(inside(m, [] { return read_underlay_mtu(ip("192.0.2.77"), {}); }));
}

// A router says that its next link is narrow: that is known, and does not count.
TEST(LearnedMtus, AreApartFromWhatIsSet) {
    const Machine m;
    m.router.need(
        "ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 mtu 1300 up && ip addr add "
        "203.0.113.1/24 dev d0");
    const std::set<base::IpAddress> peers{ip("203.0.113.9"), ip("192.0.2.1")};
    const auto learned = [&] {
        return must(inside(
            m, [&]() -> base::Result<std::vector<LearnedMtu>> { return learned_mtus(ip("192.0.2.10"), peers); }));
    };
    EXPECT_THAT(learned(), IsEmpty());
    m.run("ping -n -c 1 -W 1 -M do -s 1400 203.0.113.9");
    EXPECT_THAT(learned(), ElementsAre(LearnedMtu{ip("203.0.113.9"), base::Mtu(1300)}));
    EXPECT_THAT(m.read("192.0.2.10", peers).narrow, IsEmpty());
    m.need("ip route change 203.0.113.0/24 via 192.0.2.1 dev eth0 onlink mtu 1300");
    EXPECT_THAT(learned(), IsEmpty()) << "it is set now";
}

TEST(UnderlayWatch, HearsOfDevicesAndRoutes) {
    const Machine m;
    auto watch = must(inside(m, [] { return UnderlayWatch::open(); }));
    const auto hears = [&](const std::string& command) {
        watch.take();
        m.need(command);
        pollfd ready{.fd = watch.fd(), .events = POLLIN, .revents = 0};
        return ::poll(&ready, 1, 2000) == 1;
    };
    EXPECT_TRUE(hears("ip link set eth0 mtu 1400"));
    EXPECT_TRUE(hears("ip route add 192.0.2.3/32 dev eth0 mtu 1300"));
    EXPECT_TRUE(hears("ip -6 route add 2001:db8::2/128 dev eth0 mtu 1300"));
    watch.take();
    pollfd ready{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&ready, 1, 0), 0) << "what was taken is taken";
}

}  // namespace
}  // namespace warren::overlay
