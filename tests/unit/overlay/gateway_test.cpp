#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "overlay/gateway_bridge.h"
#include "testbed.h"

// The gateway bridge on the real kernel, judged by ping, ip and nft.
namespace warren::overlay {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

const auto kCluster = id_of<base::ClusterId>(1);

std::vector<Publication> published(std::initializer_list<const char*> texts) {
    std::vector<Publication> out;
    for (const char* text : texts) {
        out.push_back(parse_publication("", text).value());
    }
    return out;
}

// A host at 192.0.2.1 with two containers, and what is outside at 192.0.2.2.
struct Scene {
    Host host{"192.0.2.1"};
    Host outside{"192.0.2.2"};
    Container one;
    Container two;
    std::vector<WantedContainer> wanted{{.netns = one.path(), .name = "one", .published = {}},
                                        {.netns = two.path(), .name = "two", .published = {}}};
    std::optional<GatewayBridge> bridge;
    GatewayBridge::Report report;

    Scene() {
        connect(host, outside);
        open();
    }
    // As after a restart of the daemon.
    void open() {
        bridge.reset();
        bridge.emplace(must(netlink::run_in(host.ns, [] { return GatewayBridge::open(); })));
    }
    GatewayBridge::Report& apply(const std::set<base::Prefix>& networks = {},
                                 const std::set<base::IpAddress>& needed = {}) {
        must(netlink::run_in(host.ns, [&]() -> base::Status {
            report = bridge->apply({.cluster = kCluster,
                                    .containers = wanted,
                                    .networks = networks,
                                    .needed = needed,
                                    .plain_port = base::UdpPort(4789)});
            return {};
        }));
        return report;
    }
    [[nodiscard]] std::string address_of(const Container& container) const {
        return report.addresses.at(container.path()).text();
    }
    bool events() {
        bool changed = false;
        must(netlink::run_in(host.ns, [&]() -> base::Status {
            changed = bridge->handle_events();
            return {};
        }));
        return changed;
    }
    [[nodiscard]] std::string kernel() const {
        return host.run("ip link; ip -4 address; ip -4 neigh; bridge fdb; nft list ruleset").text;
    }
};

::testing::AssertionResult good(const GatewayBridge::Report& report) {
    auto result = report.problems.empty() && report.container_errors.empty() ? ::testing::AssertionSuccess()
                                                                             : ::testing::AssertionFailure();
    for (const auto& problem : report.problems) {
        result << problem << "\n";
    }
    for (const auto& [netns, error] : report.container_errors) {
        result << error.message() << "\n";
    }
    return result;
}

TEST(GatewayBridge, LetsContainersOutUnderTheHostsAddress) {
    Scene t;
    t.host.need("sysctl -qw net.ipv4.ip_forward=0");
    ASSERT_TRUE(good(t.apply()));
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
    EXPECT_TRUE(t.two.pings("192.0.2.2"));
    EXPECT_THAT(t.one.run("ip route show default").text, HasSubstr("default via 172.16.0.1 dev gw0"));
    EXPECT_THAT(t.outside.run("ip route get 172.16.0.2").text, HasSubstr("unreachable")) << "it knows no way back";
}

// Where the kernel can (CONFIG_BRIDGE_NETFILTER), as on a host with Docker.
class GatewayBridgeWith : public testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        const bool there = std::filesystem::exists("/proc/sys/net/bridge");
        if (GetParam() && !there) {
            GTEST_SKIP() << "the kernel has no br_netfilter";
        }
        if (there) {
            t.host.need(
                fmt::format("sysctl -qw net.bridge.bridge-nf-call-iptables={0} net.bridge.bridge-nf-call-ip6tables={0}",
                            GetParam() ? 1 : 0));
        }
    }
    Scene t;
};
INSTANTIATE_TEST_SUITE_P(BridgeNetfilter, GatewayBridgeWith, testing::Bool());

TEST_P(GatewayBridgeWith, LetsNobodyInThatIsNotAskedIn) {
    t.wanted[0].published = published({"7002:7002/udp"});
    ASSERT_TRUE(good(t.apply()));
    const auto one = t.address_of(t.one);
    t.outside.need("ip route add 172.16.0.0/12 via 192.0.2.1");
    EXPECT_FALSE(t.outside.pings(one, "-w 1 -c 1"));
    EXPECT_FALSE(t.two.pings(one, "-w 1 -c 1")) << "containers meet in networks";
    EXPECT_TRUE(t.host.pings(one)) << "the host itself may";
    // Neither by a frame from port to port nor by an address that is another's.
    t.two.need("ip neigh replace " + one + " lladdr " + base::mac_for(ip(one)).text() + " dev gw0 nud permanent");
    EXPECT_FALSE(t.two.pings(one, "-w 1 -c 1"));
    Udp behind(t.one.ns, 7002);
    Udp(t.two.ns, 0).send(one, 7002);
    EXPECT_EQ(behind.received(1), 0U) << "not past the published port either";
    t.two.need("ip address add " + one + "/20 dev gw0");
    EXPECT_TRUE(t.host.pings(one)) << "two has taken it";
    Udp listener(t.one.ns, 7000);
    Udp(t.host.ns, 0).send(one, 7000);
    EXPECT_EQ(listener.received(1), 1U) << "two has taken it";
    t.two.need("ip address add 10.66.0.1/32 dev lo");
    Udp outside(t.outside.ns, 7001);
    EXPECT_FALSE(t.two.pings("192.0.2.2", "-I 10.66.0.1 -w 1 -c 1")) << "an address that is nobody's";
}

TEST_P(GatewayBridgeWith, PublishedPortsAreReachedFromEverywhere) {
    t.wanted[0].published = published({"7000:8000/udp", "192.0.2.1:7001:8000/udp"});
    ASSERT_TRUE(good(t.apply()));
    Udp service(t.one.ns, 8000);
    const auto reaches = [&](const Node& from, const char* address, std::uint16_t port) {
        Udp(from.ns, 0).send(address, port);
        return service.received(1) == 1;
    };
    EXPECT_TRUE(reaches(t.outside, "192.0.2.1", 7000));
    EXPECT_TRUE(reaches(t.outside, "192.0.2.1", 7001));
    EXPECT_TRUE(reaches(t.host, "192.0.2.1", 7000));
    EXPECT_TRUE(reaches(t.host, "127.0.0.1", 7000));
    EXPECT_TRUE(reaches(t.two, "192.0.2.1", 7000));
    EXPECT_TRUE(reaches(t.one, "192.0.2.1", 7000)) << "its own";
    EXPECT_FALSE(reaches(t.host, "127.0.0.1", 7001)) << "published on one address alone";
    t.outside.need("ip route add 172.16.0.0/12 via 192.0.2.1");
    EXPECT_FALSE(reaches(t.outside, t.address_of(t.one).c_str(), 8000)) << "not through the host's port";
}

// What the sender says of himself, when he is not asked.
TEST_P(GatewayBridgeWith, NobodySendsAsAnother) {
    t.wanted[0].published = published({"7002:7002/udp"});
    ASSERT_TRUE(good(t.apply()));
    const auto one = t.address_of(t.one);
    t.two.need("ip address add " + one + "/32 dev gw0");
    EXPECT_FALSE(t.two.pings("192.0.2.2", "-I " + one + " -w 1 -c 1")) << "as one";
    EXPECT_TRUE(t.two.pings("192.0.2.2")) << "as itself";
    // Nor does he answer for another, or for the bridge.
    t.two.need("ip address add 172.16.0.1/32 dev gw0");
    t.one.need("ip neigh flush dev gw0");
    t.two.run("busybox arping -c 2 -w 1 -U -I gw0 172.16.0.1; busybox arping -c 2 -w 1 -A -I gw0 172.16.0.1");
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
    EXPECT_THAT(t.one.run("ip neigh show 172.16.0.1").text, HasSubstr(base::mac_for(ip("172.16.0.1")).text()));
    // No frame of a plain network comes from a container, to whichever host.
    Udp vxlan(t.outside.ns, 4789);
    Udp own(t.host.ns, 4789);
    Udp(t.two.ns, 0).send("192.0.2.2", 4789);
    Udp(t.two.ns, 0).send("192.0.2.1", 4789);
    EXPECT_EQ(vxlan.received(0) + own.received(0), 0U);
    EXPECT_TRUE(t.two.pings("192.0.2.2")) << "a moment later";
    EXPECT_EQ(vxlan.received(0) + own.received(0), 0U);
    // IPv6 has no business here.
    const auto link_local = t.one.run("ip -6 -o address show dev gw0 scope link | grep -o 'fe80[^/]*'").text;
    EXPECT_FALSE(t.two.pings(link_local.substr(0, link_local.find('\n')) + "%gw0", "-w 1 -c 1"));
}

TEST(GatewayBridge, ASuccessorBelievesTheHostAndNotTheContainer) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    const auto before = t.report.addresses;
    const auto one = t.address_of(t.one);
    // The container makes itself look like another.
    const auto alias = t.one.run("cat /sys/class/net/gw0/ifalias 2>/dev/null; ip link show gw0 | grep alias").text;
    t.two.need("ip address add " + one + "/20 dev gw0 && ip link set gw0 alias '" +
               alias.substr(alias.find("warren:"), alias.find_last_not_of(" \n") + 1 - alias.find("warren:")) + "'");
    t.open();
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.report.addresses, before);
    EXPECT_EQ(t.apply().changes, 0U) << "it never comes to rest";
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
}

TEST(GatewayBridge, WhoCannotBeLookedIntoKeepsWhatHeHas) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    const auto two = t.address_of(t.two);
    t.open();
    t.wanted[1].netns = "/nowhere";
    t.apply();
    EXPECT_EQ(t.report.container_errors.count("/nowhere"), 1U);
    EXPECT_TRUE(t.two.pings("192.0.2.2")) << "its namespace lives on, wherever its path went";
    Container third;
    t.wanted.push_back({.netns = third.path(), .name = "three", .published = {}});
    t.apply();
    EXPECT_NE(t.address_of(third), two) << "given to somebody else meanwhile";
}

TEST(GatewayBridge, AnAddressThatWasFreedIsGivenOutLate) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    const auto freed = t.address_of(t.two);
    const auto two = t.wanted.back();
    t.wanted.pop_back();
    ASSERT_TRUE(good(t.apply()));
    Container third;
    t.wanted.push_back({.netns = third.path(), .name = "three", .published = {}});
    ASSERT_TRUE(good(t.apply()));
    EXPECT_NE(t.address_of(third), freed);
}

TEST(GatewayBridge, OpensLoopbackOnlyForWhatIsPublishedThere) {
    Scene t;
    const auto open = [&] { return t.host.run("sysctl -n net.ipv4.conf.warren_gw.route_localnet").text; };
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(open(), "0\n");
    t.wanted[0].published = published({"192.0.2.1:7000:7000"});
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(open(), "0\n");
    t.wanted[0].published = published({"7000:7000"});
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(open(), "1\n");
}

TEST(GatewayBridge, OthersLinksAreNoNews) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.apply().changes, 0U);
    // The kernel tells of our own links' carrier a second late (net/core/link_watch.c).
    for (int quiet = 0, looks = 0; quiet < 8 && looks < 60; ++looks) {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
        quiet = t.events() ? 0 : quiet + 1;
    }
    t.host.need(
        "ip link add other type veth peer name its && ip link set other up && ip address add 10.9.9.9/24 dev other "
        "&& ip link del other");
    EXPECT_FALSE(t.events());
}

TEST(GatewayBridge, ASuccessorFindsAllAsItIs) {
    Scene t;
    t.wanted[1].published = published({"7000:8000/udp"});
    ASSERT_TRUE(good(t.apply()));
    const auto before = t.report.addresses;
    const auto kernel = t.kernel();
    EXPECT_EQ(t.apply().changes, 0U);
    t.open();
    std::swap(t.wanted[0], t.wanted[1]);
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.report.addresses, before);
    // The rules are written again, since nobody can say that they are these.
    EXPECT_EQ(t.report.changes, 1U);
    EXPECT_EQ(t.kernel(), kernel);
}

TEST(GatewayBridge, ComesBackWhateverSomebodyDoesToIt) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    for (const char* command :
         {"ip link del warren_gw", "nft delete table inet warren_gw", "nft flush ruleset",
          "nft insert rule inet warren_gw forward accept", "nft delete table bridge warren_gw",
          "nft flush chain bridge warren_gw guard", "ip link set warren_gw down",
          "ip neigh flush dev warren_gw nud permanent",
          "for p in $(ip -o link | grep -o ' v[0-9a-f]\\{14\\}@'); do ip link set ${p%@} type bridge_slave isolated "
          "off; done",
          "for p in $(ip -o link | grep -o ' v[0-9a-f]\\{14\\}@'); do ip link del ${p%@}; done"}) {
        (void)t.events();
        t.host.need(command);
        EXPECT_TRUE(t.events()) << command << " is not noticed";
        EXPECT_TRUE(good(t.apply())) << command;
        EXPECT_GT(t.report.changes, 0U) << command;
        EXPECT_EQ(t.apply().changes, 0U) << command;
        EXPECT_TRUE(t.one.pings("192.0.2.2", "-c 1")) << command;
    }
    EXPECT_FALSE(t.two.pings(t.address_of(t.one), "-w 1 -c 1"));
}

TEST(GatewayBridge, GoesWithItsLastContainer) {
    Scene t;
    const auto before = t.kernel();
    ASSERT_TRUE(good(t.apply()));
    const auto address = t.address_of(t.two);
    const auto first = t.wanted[0];
    t.wanted.erase(t.wanted.begin());
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.one.links().size(), 1U) << "loopback is left";
    EXPECT_TRUE(t.two.pings("192.0.2.2"));
    EXPECT_EQ(t.address_of(t.two), address);
    t.wanted.clear();
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.two.links().size(), 1U);
    EXPECT_EQ(t.host.run("nft list ruleset").text, "");
    EXPECT_THAT(t.host.run("ip link").text, Not(HasSubstr("warren")));
    EXPECT_FALSE(t.events()) << "nobody is interested any more";
}

TEST(GatewayBridge, WhatAFormerProcessLeftGoesToo) {
    Scene t;
    ASSERT_TRUE(good(t.apply()));
    t.open();
    t.wanted.clear();
    ASSERT_TRUE(good(t.apply()));
    EXPECT_EQ(t.host.links().size(), 2U) << "loopback and eth0: " << t.host.run("ip link").text;
    EXPECT_EQ(t.host.run("nft list ruleset").text, "");
}

TEST(GatewayBridge, AContainersOwnDefaultRouteIsItsOwn) {
    Scene t;
    t.one.need(
        "ip link add own type veth peer name peer && ip address add 10.77.0.2/24 dev own && ip link set own up "
        "&& ip link set peer up && ip route add default via 10.77.0.1");
    ASSERT_TRUE(good(t.apply()));
    const auto routes = t.one.run("ip route show default").text;
    EXPECT_THAT(routes, HasSubstr("via 10.77.0.1 dev own"));
    EXPECT_THAT(routes, Not(HasSubstr("172.16")));
    t.one.need("ip route del default");
    t.bridge->doubt();  // the kernel tells nobody outside
    ASSERT_TRUE(good(t.apply()));
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
}

TEST(GatewayBridge, TakesASubnetThatNobodyHas) {
    Scene t;
    t.host.need(
        "ip link add used type veth peer name x && ip link set used up && ip address add 172.16.0.9/20 dev used");
    ASSERT_TRUE(good(t.apply({prefix("172.16.16.0/20")})));
    EXPECT_EQ(t.address_of(t.one), "172.16.32.2");
    // A network comes later that has it.
    ASSERT_TRUE(good(t.apply({prefix("172.16.0.0/16")})));
    EXPECT_EQ(t.address_of(t.one), "172.17.0.2");
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
    EXPECT_EQ(t.one.links().size(), 2U);
    EXPECT_EQ(t.apply({prefix("172.16.0.0/16")}).changes, 0U);
}

TEST(GatewayBridge, CutsItsHostOffFromNobody) {
    Scene t;
    ASSERT_TRUE(good(t.apply({}, {ip("172.16.5.3"), ip("2001:db8::1")})));
    EXPECT_EQ(t.address_of(t.one), "172.16.16.2");
    // A member, a manager or a resolver that comes later.
    ASSERT_TRUE(good(t.apply({}, {ip("172.16.31.254")})));
    EXPECT_EQ(t.address_of(t.one), "172.16.0.2");
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
}

TEST(GatewayBridge, WhatIsInTheWayIsNamedAndLeftAlone) {
    Scene t;
    t.host.need("ip link add warren_gw type veth peer name other && ip link set warren_gw alias mine");
    t.apply();
    ASSERT_THAT(t.report.problems, ::testing::SizeIs(1));
    EXPECT_THAT(t.report.problems[0], HasSubstr("warren_gw that is not ours"));
    EXPECT_THAT(t.host.run("ip -d link show warren_gw").text, HasSubstr("veth"));
    t.host.need("ip link del warren_gw");
    EXPECT_TRUE(good(t.apply()));
}

TEST(GatewayBridge, OneContainerThatIsGoneHarmsNoOther) {
    Scene t;
    t.wanted.push_back({.netns = "/nowhere", .name = "lost", .published = {}});
    t.apply();
    EXPECT_THAT(t.report.problems, IsEmpty());
    ASSERT_EQ(t.report.container_errors.size(), 1U);
    EXPECT_THAT(t.report.container_errors.at("/nowhere").message(), HasSubstr("endpoint lost"));
    EXPECT_TRUE(t.one.pings("192.0.2.2"));
}

}  // namespace
}  // namespace warren::overlay
