#include "overlay/firewall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "testbed.h"

namespace warren::overlay {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::uint16_t kPort = 10001;
constexpr std::uint16_t kOther = 20000;
const ProtectedPorts kProtected{{.reqid = 0x57000001, .port = base::UdpPort(kPort)}};

Firewall open_in(const Node& where) {
    return must(netlink::run_in(where.ns, [] { return Firewall::open(); }));
}

// The counters become as expected within two seconds: a datagram may still be on its way.
::testing::AssertionResult counted(Firewall& firewall, const DropCounters& expected) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    DropCounters now;
    do {
        now = must(firewall.drop_counters()).value();
        if (now == expected) {
            return ::testing::AssertionSuccess();
        }
    } while (std::chrono::steady_clock::now() < deadline);
    return ::testing::AssertionFailure() << "sent_clear " << now.sent_clear << ", received_clear " << now.received_clear
                                         << ", forwarded " << now.forwarded;
}

bool event_pending(const Firewall& firewall) {
    pollfd waiting{.fd = firewall.event_fd(), .events = POLLIN, .revents = 0};
    return ::poll(&waiting, 1, 2000) == 1;
}

// The host under test (192.0.2.1) and a neighbour (192.0.2.2).
struct Wire {
    Host host{"192.0.2.1"};
    Host peer{"192.0.2.2"};
    Firewall firewall = open_in(host);

    Wire() { connect(host, peer); }
};

TEST(Firewall, TheKernelCanDoIt) {
    Node node;
    Firewall firewall = open_in(node);
    const auto support = firewall.check_support();
    EXPECT_TRUE(support) << support.error().message();
    EXPECT_EQ(node.run("nft list ruleset").text, "") << "asking changes nothing";
}

TEST(Firewall, ClearDatagramsFromOutsideAreDroppedAndCounted) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.host.ns, kPort);
    Udp other(t.host.ns, kOther);
    Udp forger(t.peer.ns, 600);
    forger.send("192.0.2.1", kPort);
    forger.send("192.0.2.1", kOther);
    Udp unprivileged(t.peer.ns, 40000);
    unprivileged.send("192.0.2.1", kPort);
    EXPECT_TRUE(counted(t.firewall, {.received_clear = 2}));
    EXPECT_EQ(target.received(0), 0U);
    EXPECT_EQ(other.received(1), 1U);
}

TEST(Firewall, ALocalProcessGetsNothingThroughLoopback) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.host.ns, kPort);
    Udp forger(t.host.ns, 40000);
    forger.send("192.0.2.1", kPort);
    forger.send("127.0.0.1", kPort);
    EXPECT_TRUE(counted(t.firewall, {.received_clear = 2}));
    EXPECT_EQ(target.received(0), 0U);
}

TEST(Firewall, NothingLeavesInClear) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.peer.ns, kPort);
    Udp(t.host.ns, 512).send("192.0.2.2", kPort);
    Udp(t.host.ns, 1023).send("192.0.2.2", kPort);
    EXPECT_TRUE(counted(t.firewall, {.sent_clear = 2}));
    EXPECT_EQ(target.received(0), 0U);
    // What is none of our VXLAN devices' goes on.
    Udp(t.host.ns, 1024).send("192.0.2.2", kPort);
    Udp(t.host.ns, 511).send("192.0.2.2", kPort);
    EXPECT_EQ(target.received(2), 2U);
}

TEST(Firewall, NorWithASourceThatANatRewrote) {
    Wire t;
    t.host.need("ip addr add 192.0.2.77/24 dev eth0");
    t.host.need(
        "nft 'table ip mine { chain c { type nat hook postrouting priority 100; udp dport 10001 snat to "
        "192.0.2.77:700; }; }'");
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.peer.ns, kPort);
    Udp(t.host.ns, 600).send("192.0.2.2", kPort);
    Udp(t.host.ns, 5000).send("192.0.2.2", kPort);  // becomes 700
    EXPECT_TRUE(counted(t.firewall, {.sent_clear = 2}));
    EXPECT_EQ(target.received(0), 0U);
}

TEST(Firewall, AContainerBehindTheHostCannotSendToAProtectedPort) {
    Wire t;
    Container container;
    must(t.host.route.request(netlink::create_veth({.name = "gw0"}, {.name = "eth0", .into = &container.ns})));
    t.host.need("ip addr add 172.30.0.1/24 dev gw0 && ip link set gw0 up && sysctl -qw net.ipv4.ip_forward=1");
    container.need("ip addr add 172.30.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 172.30.0.1");
    t.host.need(
        "nft 'table ip mine { chain c { type nat hook postrouting priority 100; oifname eth0 masquerade; }; }'");
    Udp target(t.peer.ns, kPort);
    Udp other(t.peer.ns, kOther);
    Udp(container.ns, 600).send("192.0.2.2", kPort);
    ASSERT_EQ(target.received(1), 1U) << "without the barrier it gets through";

    ASSERT_TRUE(t.firewall.apply(kProtected));
    for (const std::uint16_t port : {std::uint16_t{600}, std::uint16_t{601}, std::uint16_t{5000}}) {
        Udp sender(container.ns, port);
        sender.send("192.0.2.2", kPort);
        sender.send("192.0.2.2", kOther);
    }
    EXPECT_TRUE(counted(t.firewall, {.forwarded = 3}));
    EXPECT_EQ(target.received(0), 0U);
    EXPECT_EQ(other.received(3), 3U) << "other ports are none of our business";
}

TEST(Firewall, ChangingThePortsKeepsTheCountersAndTheBarrierClosed) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.host.ns, kPort);
    Udp second(t.host.ns, 10002);
    Udp forger(t.peer.ns, 600);
    forger.send("192.0.2.1", kPort);
    forger.send("192.0.2.1", 10002);
    EXPECT_EQ(second.received(1), 1U);
    ProtectedPorts two = kProtected;
    two.insert({.reqid = 0x57000002, .port = base::UdpPort(10002)});
    ASSERT_TRUE(t.firewall.apply(two));
    forger.send("192.0.2.1", 10002);
    EXPECT_TRUE(counted(t.firewall, {.received_clear = 2}));
    EXPECT_EQ(second.received(0), 0U);
    ASSERT_TRUE(t.firewall.apply(kProtected));
    forger.send("192.0.2.1", 10002);
    forger.send("192.0.2.1", kPort);
    EXPECT_EQ(second.received(1), 1U);
    EXPECT_TRUE(counted(t.firewall, {.received_clear = 3}));
    EXPECT_EQ(target.received(0), 0U);
}

// A flood all the while: there is no moment between two tables, nor between two contents of a set.
TEST(Firewall, EveryChangeIsOneTransaction) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.host.ns, kPort);
    std::atomic<bool> stop{false};
    std::size_t sent = 0;
    std::thread flood([&] {
        Udp forger(t.peer.ns, 600);
        while (!stop) {
            forger.send("192.0.2.1", kPort);
            ++sent;
        }
    });
    for (int i = 0; i < 20; ++i) {
        ProtectedPorts two = kProtected;
        two.insert({.reqid = 0x57000002, .port = base::UdpPort(10002)});
        EXPECT_TRUE(t.firewall.apply(two));
        EXPECT_TRUE(t.firewall.apply(kProtected));
        Firewall successor = open_in(t.host);  // replaces the whole table
        EXPECT_TRUE(successor.apply(kProtected));
    }
    stop = true;
    flood.join();
    Udp behind(t.host.ns, kOther);
    Udp(t.peer.ns, 600).send("192.0.2.1", kOther);
    EXPECT_EQ(behind.received(1), 1U);  // what comes here has come after
    EXPECT_GT(sent, 100U);
    EXPECT_EQ(target.received(0), 0U);
}

TEST(Firewall, SaysNothingNewIntoTheKernelWhenAllIsRight) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    EXPECT_FALSE(must(t.firewall.handle_events())) << "these were our own";
    ASSERT_TRUE(t.firewall.apply(kProtected));
    pollfd waiting{.fd = t.firewall.event_fd(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&waiting, 1, 0), 0);
}

TEST(Firewall, ComesBackWhateverSomebodyDoesToIt) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp target(t.host.ns, kPort);
    Udp behind(t.host.ns, kOther);  // what comes here has come after
    Udp forger(t.peer.ns, 600);
    for (const char* command :
         {"nft flush ruleset", "nft delete table inet warren", "nft flush table inet warren",
          "nft flush chain inet warren in", "nft flush set inet warren encrypted_ports",
          "nft insert rule inet warren in accept", "nft delete element inet warren pairs '{ 1459617793 . 10001 }'"}) {
        ASSERT_FALSE(must(t.firewall.handle_events())) << command;
        t.host.need(command);
        ASSERT_FALSE(must(t.firewall.intact())) << command;
        ASSERT_TRUE(event_pending(t.firewall)) << command;
        const auto restored = must(t.firewall.handle_events());
        ASSERT_TRUE(restored) << command;
        EXPECT_THAT(restored->by, AllOf(StartsWith("process "), EndsWith(" (nft)"))) << command;
        ASSERT_TRUE(must(t.firewall.intact())) << command;
        forger.send("192.0.2.1", kPort);
        forger.send("192.0.2.1", kOther);
        ASSERT_EQ(behind.received(1), 1U) << command;
        ASSERT_EQ(target.received(0), 0U) << command;
    }
}

TEST(Firewall, OtherTablesAreNotTouchedNorMinded) {
    Wire t;
    t.host.need(
        "nft 'table inet mine { counter c { }; chain input { type filter hook input priority 0; udp dport 1 drop; }; "
        "}'");
    t.host.need("nft 'table ip warren { }'");  // the name of another family's
    const std::string before = t.host.run("nft list table inet mine; nft list table ip warren").text;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    (void)must(t.firewall.handle_events());
    t.host.need("nft add rule inet mine input udp dport 2 drop");
    EXPECT_FALSE(must(t.firewall.handle_events()));
    t.host.need(
        "nft -a list chain inet mine input >/dev/null && nft flush chain inet mine input && nft add rule inet mine "
        "input udp dport 1 drop");
    ASSERT_TRUE(t.firewall.remove());
    EXPECT_EQ(t.host.run("nft list table inet mine; nft list table ip warren").text, before);
}

TEST(Firewall, IsGoneWithTheLastPort) {
    Wire t;
    EXPECT_EQ(must(t.firewall.drop_counters()), std::nullopt);
    EXPECT_FALSE(must(t.firewall.intact())) << "never applied";
    ASSERT_TRUE(t.firewall.apply(kProtected));
    EXPECT_THAT(t.host.run("nft list ruleset").text, HasSubstr("table inet warren"));
    ASSERT_TRUE(t.firewall.remove());
    EXPECT_EQ(t.host.run("nft list ruleset").text, "");
    EXPECT_TRUE(must(t.firewall.intact()));
    EXPECT_EQ(must(t.firewall.drop_counters()), std::nullopt);
    ASSERT_TRUE(t.firewall.remove());
    // Somebody makes a table of our name: it goes.
    t.host.need("nft add table inet warren");
    EXPECT_TRUE(must(t.firewall.handle_events()));
    EXPECT_EQ(t.host.run("nft list ruleset").text, "");
}

TEST(Firewall, ASuccessorTakesOverAndCountsOn) {
    Wire t;
    ASSERT_TRUE(t.firewall.apply(kProtected));
    Udp(t.peer.ns, 600).send("192.0.2.1", kPort);
    ASSERT_TRUE(counted(t.firewall, {.received_clear = 1}));
    { const Firewall gone = std::move(t.firewall); }
    EXPECT_THAT(t.host.run("nft list ruleset").text, HasSubstr("table inet warren")) << "it outlives the daemon";
    Firewall next = open_in(t.host);
    ASSERT_TRUE(next.apply(kProtected));
    EXPECT_TRUE(counted(next, {.received_clear = 1}));
}

TEST(Firewall, HasNoMemoryOfPortNamesOfTheHost) {
    Node node;
    Firewall firewall = open_in(node);
    ASSERT_TRUE(firewall.apply({{.reqid = 1, .port = base::UdpPort(4500)}, {.reqid = 2, .port = base::UdpPort(443)}}));
    EXPECT_TRUE(must(firewall.intact()));
    EXPECT_THAT(node.run("nft -n list table inet warren").text, HasSubstr("elements = { 443, 4500 }"));
}

}  // namespace
}  // namespace warren::overlay
