#include "probe/probe_port.h"

#include <gtest/gtest.h>
#include <poll.h>

#include "probe/underlay_tap.h"
#include "tests/unit/overlay/testbed.h"

// Probe frames and the tap on two hosts and the real kernel; on a plain network, since every kernel has what that
// needs.
namespace warren::probe {
namespace {

using overlay::complete;
using overlay::connect;
using overlay::Container;
using overlay::Host;
using overlay::ip;
using overlay::must;
using overlay::Network;
using overlay::sample_local;
using overlay::Sniffer;

template <typename Source>
auto receive_within(Source& source, int milliseconds) {
    pollfd wait{.fd = source.fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&wait, 1, milliseconds);
    return must(source.receive());
}

struct TwoHosts {
    Host a;
    Host b;
    Container c7;
    Container c9;
    Network on_a;
    Network on_b;

    explicit TwoHosts(const std::string& address_a = "192.0.2.1", const std::string& address_b = "192.0.2.2")
        : a(address_a), b(address_b), on_a(a.network()), on_b(b.network()) {
        connect(a, b);
        on_a.local = {sample_local(7, c7.path())};
        on_b.local = {sample_local(9, c9.path())};
        EXPECT_TRUE(complete(a.apply(on_a)));
        EXPECT_TRUE(complete(b.apply(on_b)));
    }
    static ProbePort port(const Host& host, const Network& network) { return must(open_port(host, network)); }
    static base::Result<ProbePort> open_port(const Host& host, const Network& network) {
        return netlink::run_in(host.ns, [&] { return ProbePort::open(network, host.network_namespace(network)); });
    }
};

constexpr Probe kQuestion{
    .number = 3, .run = 77, .from = base::NodeIndex{1}, .to = base::NodeIndex{2}, .answer_size = base::Mtu{64}};

TEST(ProbePort, FramesGoThroughTheOverlayToThePeersBridge) {
    for (const auto& [address_a, address_b] :
         {std::pair("192.0.2.1", "192.0.2.2"), std::pair("2001:db8::1", "2001:db8::2")}) {
        TwoHosts t(address_a, address_b);
        auto here = TwoHosts::port(t.a, t.on_a);
        auto there = TwoHosts::port(t.b, t.on_b);
        Sniffer container(t.c9.ns, "eth0");
        ASSERT_TRUE(here.send(kQuestion, t.on_a.mtu, ip(address_b)));
        const auto came = receive_within(there, 2000);
        EXPECT_EQ(came.frames, 1U);
        ASSERT_EQ(came.probes.size(), 1U) << address_a;
        EXPECT_EQ(came.probes[0].probe, kQuestion);
        EXPECT_EQ(came.probes[0].size, t.on_a.mtu);
        EXPECT_EQ(container.count("WRN"), 0U) << "no container gets it";
    }
}

TEST(ProbePort, WhatMayNotBeCutIsRefusedWhereItDoesNotFit) {
    TwoHosts t;
    auto here = TwoHosts::port(t.a, t.on_a);
    auto probe = kQuestion;
    probe.whole = true;
    const base::Mtu too_large{t.on_a.mtu.value + 100};
    const auto refused = here.send(probe, too_large, ip("192.0.2.2"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sys_errno(), EMSGSIZE);
    probe.whole = false;
    EXPECT_TRUE(here.send(probe, too_large, ip("192.0.2.2")));
}

TEST(ProbePort, SaysThatItIsOfNoUseWithoutABridge) {
    TwoHosts t;
    auto port = TwoHosts::port(t.a, t.on_a);
    must(netlink::run_in(t.a.network_namespace(t.on_a), []() -> base::Status {
        return std::system("ip link delete br0") == 0 ? base::Status{}
                                                      : base::fail(base::Code::kInternal, "ip link delete");
    }));
    EXPECT_FALSE(port.receive());
    EXPECT_EQ(TwoHosts::open_port(t.a, t.on_a).error().code(), base::Code::kNotFound);
}

TEST(UnderlayTap, SeesDatagramsToThePortBothWaysAndSendsPastEverything) {
    for (const auto& [address_a, address_b] :
         {std::pair("192.0.2.1", "192.0.2.2"), std::pair("2001:db8::1", "2001:db8::2")}) {
        TwoHosts t(address_a, address_b);
        const auto tap = [&](const Host& host) {
            return must(netlink::run_in(host.ns, [&] {
                return UnderlayTap::open("eth0", {.port = t.on_a.port, .esp_size = base::Mtu{777}, .encap = {}});
            }));
        };
        auto here = tap(t.a);
        auto there = tap(t.b);
        auto port = TwoHosts::port(t.a, t.on_a);
        ASSERT_TRUE(port.send(kQuestion, base::Mtu{64}, ip(address_b)));
        const auto left = receive_within(here, 2000);
        ASSERT_EQ(left.size(), 1U) << "neighbour discovery and the like are left out";
        EXPECT_TRUE(left[0].out);
        const auto packet = parse_underlay(left[0].bytes);
        ASSERT_TRUE(packet);
        EXPECT_EQ(packet->destination, ip(address_b));
        const auto came = receive_within(there, 2000);
        ASSERT_EQ(came.size(), 1U);
        EXPECT_FALSE(came[0].out);
        // The same again by hand, with that link header.
        auto bridge = TwoHosts::port(t.b, t.on_b);
        ASSERT_TRUE(here.send(make_datagram({.link = packet->link,
                                             .source = ip(address_a),
                                             .destination = ip(address_b),
                                             .source_port = base::UdpPort{600},
                                             .port = t.on_a.port},
                                            packet->payload)));
        EXPECT_EQ(receive_within(there, 2000).size(), 1U);
        if (packet->destination.family == base::Family::kIpv4) {  // over IPv6 plain VXLAN wants a checksum
            EXPECT_EQ(receive_within(bridge, 2000).probes.size(), 1U);
        }
    }
}

// Datagrams to the port of ESP in UDP are ESP, of the size that is looked for and 8 more.
TEST(UnderlayTap, SeesEspInUdpOfOneSize) {
    for (const auto& [address, header] : {std::pair("192.0.2.2", 20U), std::pair("2001:db8::2", 40U)}) {
        const bool four = header == 20;
        TwoHosts t(four ? "192.0.2.1" : "2001:db8::1", address);
        const auto open = [&] {
            return UnderlayTap::open(
                "eth0",
                {.port = t.on_a.port, .esp_size = base::Mtu{300}, .encap = {base::UdpPort{4501}, base::UdpPort{7443}}});
        };
        auto tap = must(netlink::run_in(t.a.ns, open));
        auto sender = must(netlink::run_in(t.a.ns, open));  // nobody sees what he sends himself
        LinkHeader link{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8};
        link[12] = four ? 0x08 : 0x86;  // the ethertype
        link[13] = four ? 0x00 : 0xdd;
        const auto send = [&](std::uint16_t port, std::size_t size) {
            const std::vector<std::uint8_t> payload(size - header - 8, 0x5a);
            ASSERT_TRUE(sender.send(make_datagram({.link = link,
                                                   .source = ip(four ? "192.0.2.1" : "2001:db8::1"),
                                                   .destination = ip(address),
                                                   .source_port = base::UdpPort{port},
                                                   .port = base::UdpPort{port}},
                                                  payload)));
        };
        send(7443, 308);
        send(4501, 308);
        send(7443, 300);  // of another size
        send(7444, 308);  // to another port
        const auto seen = receive_within(tap, 2000);
        ASSERT_EQ(seen.size(), 2U) << address;
        EXPECT_EQ(parse_underlay(seen[0].bytes)->port, base::UdpPort{7443});
        EXPECT_EQ(parse_underlay(seen[1].bytes)->port, base::UdpPort{4501});
    }
}

TEST(UnderlayTap, SaysWhyItCannotWatch) {
    const Host host("192.0.2.1");
    const auto open = [&](const std::string& device) {
        return netlink::run_in(host.ns, [&] {
            return UnderlayTap::open(device, {.port = base::UdpPort{1}, .esp_size = base::Mtu{777}, .encap = {}});
        });
    };
    EXPECT_FALSE(open("nothing"));
    EXPECT_EQ(open("lo").error().message(), "watch lo: it carries no Ethernet frames");
}

}  // namespace
}  // namespace warren::probe
