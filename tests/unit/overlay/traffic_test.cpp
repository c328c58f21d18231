// What containers see of each other, on two hosts and the real kernel; plain networks, since every kernel has what
// those need.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "overlay/sysctl.h"
#include "testbed.h"

namespace warren::overlay {
namespace {

using ::testing::HasSubstr;

RemoteEndpoint as_remote(const LocalEndpoint& endpoint, const std::string& vtep) {
    return {.id = endpoint.id, .ips = endpoint.ips, .mac = endpoint.mac, .vtep = ip(vtep)};
}

// Two hosts, on the first two containers (7, 8), on the second one (9).
struct Pair {
    Host a;
    Host b;
    Container c7;
    Container c8;
    Container c9;
    Network on_a;
    Network on_b;

    explicit Pair(const std::string& address_a = "192.0.2.1", const std::string& address_b = "192.0.2.2",
                  void (*adjust)(Network&) = nullptr)
        : a(address_a), b(address_b), on_a(a.network()), on_b(b.network()) {
        connect(a, b);
        on_a.local = {sample_local(7, c7.path()), sample_local(8, c8.path())};
        on_b.local = {sample_local(9, c9.path())};
        on_a.remote = {as_remote(on_b.local[0], address_b)};
        on_b.remote = {as_remote(on_a.local[0], address_a), as_remote(on_a.local[1], address_a)};
        for (Network* network : {&on_a, &on_b}) {
            if (adjust != nullptr) {
                adjust(*network);
            }
        }
        apply();
    }
    void apply() const {
        EXPECT_TRUE(complete(a.apply(on_a)));
        EXPECT_TRUE(complete(b.apply(on_b)));
    }
};

// 10.1.0.0/16 with fd00:1::/64, and 10.2.0.0/16 with fd00:2::/64, which number 9 is in.
void in_two_parts(Network& network) {
    network.subnets.push_back({prefix("fd00:1::/64"), ip("fd00:1::1"), base::Vni(0x570000)});
    network.subnets.push_back({prefix("10.2.0.0/16"), ip("10.2.0.1"), base::Vni(0x570001)});
    network.subnets.push_back({prefix("fd00:2::/64"), ip("fd00:2::1"), base::Vni(0x570001)});
    const auto place = [](const base::EndpointId& id) -> std::vector<base::IpAddress> {
        for (const auto number : {7U, 8U}) {
            if (id == id_of<base::EndpointId>(number)) {
                return {base::IpAddress::v4(0x0a010000 + number), ip(fmt::format("fd00:1::{}", number))};
            }
        }
        return {ip("10.2.0.9"), ip("fd00:2::9")};
    };
    for (auto& endpoint : network.local) {
        endpoint.ips = place(endpoint.id);
    }
    for (auto& endpoint : network.remote) {
        endpoint.ips = place(endpoint.id);
    }
}

std::size_t frames_to(Sniffer& sniffer, const base::MacAddress& mac) {
    const auto frames = sniffer.frames();
    return static_cast<std::size_t>(std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
        return std::equal(mac.bytes.begin(), mac.bytes.end(), frame.begin());
    }));
}

TEST(Traffic, ContainersReachEachOtherAndTheGateway) {
    Pair t;
    EXPECT_TRUE(t.c7.pings("10.1.0.9"));
    EXPECT_TRUE(t.c9.pings("10.1.0.8"));
    EXPECT_TRUE(t.c7.pings("10.1.0.8"));
    EXPECT_TRUE(t.c9.pings("10.1.0.1"));
    // At full size and not one byte more.
    EXPECT_TRUE(t.c7.pings("10.1.0.9", "-M do -s 1422"));
    EXPECT_FALSE(t.c7.pings("10.1.0.9", "-M do -s 1423"));
    EXPECT_TRUE(t.c7.pings("10.1.0.9", "-s 4000"));
    // The gateway is one and the same wherever it is asked.
    EXPECT_THAT(t.c7.run("ping -c1 -W2 10.1.0.1; ip neigh show 10.1.0.1").text,
                HasSubstr(gateway_mac(t.on_a.id, 0).text()));
    EXPECT_THAT(t.c9.run("ip neigh show 10.1.0.1").text, HasSubstr(gateway_mac(t.on_a.id, 0).text()));
}

TEST(Traffic, OverAnIpv6Underlay) {
    Pair t("2001:db8::1", "2001:db8::2", [](Network& network) { network.mtu = base::Mtu(1430); });
    EXPECT_TRUE(t.c7.pings("10.1.0.9", "-M do -s 1402"));
    EXPECT_TRUE(t.c9.pings("10.1.0.8"));
}

TEST(Traffic, AnEncryptedNetworksDeviceSendsFromPort512To1023WithoutAChecksum) {
    Pair t("192.0.2.1", "192.0.2.2", [](Network& network) {
        network.encrypted = true;  // ESP is added below, or not: here the datagrams are looked at
        network.port = base::UdpPort(10001);
    });
    Sniffer underlay(t.b.ns, "eth0");
    std::set<unsigned> sources;
    std::size_t checksums = 0;
    for (int batch = 0; batch < 20; ++batch) {  // each small enough for the sniffer's buffer; together, the whole range
        t.c7.need(fmt::format("bash -c 'for p in $(seq {} {}); do echo x > /dev/udp/10.1.0.9/$p; done; true'",
                              1 + 100 * batch, 100 + 100 * batch));
        for (const auto& frame : underlay.frames()) {
            const bool udp = frame.size() > 42 && frame[12] == 8 && frame[23] == 17;
            if (udp && (frame[36] << 8U | frame[37]) == 10001) {
                sources.insert(static_cast<unsigned>(frame[34] << 8U | frame[35]));
                checksums += frame[40] != 0 || frame[41] != 0 ? 1U : 0U;
            }
        }
    }
    ASSERT_GT(sources.size(), 300U);
    EXPECT_GE(*sources.begin(), 512U);
    EXPECT_LE(*sources.rbegin(), 1023U);
    EXPECT_EQ(checksums, 0U);
}

TEST(Traffic, UnknownUnicastGoesNowhere) {
    Pair t;
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    Sniffer underlay(t.b.ns, "eth0");
    Sniffer local(t.c8.ns, "eth0");
    Sniffer remote(t.c9.ns, "eth0");
    send_frame(t.c7.ns, "eth0", mac_of(0xdead), t.on_a.local[0].mac, "to nobody we know");
    // The remote end of it too: a frame that a peer sends for a container that is not here.
    t.on_a.remote.push_back(
        {.id = id_of<base::EndpointId>(50), .ips = {ip("10.1.0.50")}, .mac = mac_of(0xbeef), .vtep = ip("192.0.2.2")});
    t.apply();
    send_frame(t.c7.ns, "eth0", mac_of(0xbeef), t.on_a.local[0].mac, "to one who left");
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    ASSERT_TRUE(t.c7.pings("10.1.0.8"));
    EXPECT_EQ(local.count("to "), 0U);
    EXPECT_EQ(remote.count("to "), 0U);
    const auto frames = underlay.frames();
    const auto with = [&](const std::string& text) {
        return std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
            return std::search(frame.begin(), frame.end(), text.begin(), text.end()) != frame.end();
        });
    };
    EXPECT_EQ(with("to nobody we know"), 0);
    EXPECT_EQ(with("to one who left"), 1);
}

TEST(Traffic, BroadcastStaysOnTheHostAndMulticastInTheContainer) {
    Pair t;
    Sniffer underlay(t.b.ns, "eth0");
    Sniffer local(t.c8.ns, "eth0");
    const base::MacAddress everybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    const base::MacAddress group{{0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb}};
    send_frame(t.c7.ns, "eth0", everybody, t.on_a.local[0].mac, "broadcast once");
    send_frame(t.c7.ns, "eth0", group, t.on_a.local[0].mac, "multicast once");
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    ASSERT_TRUE(t.c7.pings("10.1.0.8"));
    EXPECT_EQ(underlay.count(" once"), 0U);
    const auto frames = local.frames();
    const auto seen = [&](const std::string& text) {
        return std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
            return std::search(frame.begin(), frame.end(), text.begin(), text.end()) != frame.end();
        });
    };
    EXPECT_EQ(seen("broadcast once"), 1) << "ARP between containers of a host needs it";
    EXPECT_EQ(seen("multicast once"), 0);
}

// A pair whose hosts are each other's members, in a network with multicast. mac_of(201) and (202) are theirs.
struct MulticastPair : Pair {
    MulticastPair() : Pair("192.0.2.1", "192.0.2.2", &with_multicast) {}
    static void with_multicast(Network& network) {
        network.multicast = true;
        network.peers = {{ip("192.0.2.1"), mac_of(201)}, {ip("192.0.2.2"), mac_of(202)}};
    }
};

constexpr base::MacAddress kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr base::MacAddress kSomeGroup{{0x01, 0x00, 0x5e, 0x01, 0x02, 0x03}};

TEST(TrafficMulticast, BroadcastReachesEachContainerOnceAndUnknownUnicastNobody) {
    MulticastPair t;
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    Sniffer underlay(t.b.ns, "eth0");
    Sniffer local(t.c8.ns, "eth0");
    Sniffer remote(t.c9.ns, "eth0");
    const auto own = t.on_a.local[0].mac;
    send_frame(t.c7.ns, "eth0", kEverybody, own, "to all by broadcast");
    send_frame(t.c7.ns, "eth0", kSomeGroup, own, "to all by multicast");
    send_frame(t.c7.ns, "eth0", mac_of(0xdead), own, "to nobody we know");
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    ASSERT_TRUE(t.c7.pings("10.1.0.8"));
    for (auto* sniffer : {&local, &remote}) {
        const auto frames = sniffer->frames();
        for (const std::string text : {"to all by broadcast", "to all by multicast", "to nobody we know"}) {
            const auto times = std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
                return std::search(frame.begin(), frame.end(), text.begin(), text.end()) != frame.end();
            });
            EXPECT_EQ(times, text.starts_with("to all") ? 1 : 0) << text;
        }
    }
    EXPECT_EQ(underlay.count("to nobody we know"), 0U);
}

TEST(TrafficMulticast, ArpStaysOnTheHost) {
    MulticastPair t;
    Sniffer underlay(t.b.ns, "eth0");
    EXPECT_TRUE(t.c7.pings("10.1.0.9"));
    EXPECT_TRUE(t.c9.pings("10.1.0.8"));
    EXPECT_FALSE(t.c7.pings("10.1.0.66")) << "no such endpoint";
    EXPECT_EQ(underlay.count(std::string("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01\x02\x57", 12)), 0U);
}

// Neither with another container's address nor with the gateway's, from this host or the other.
TEST(TrafficMulticast, NobodySendsUnderAnothersAddress) {
    MulticastPair t;
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    Sniffer local(t.c7.ns, "eth0");
    Sniffer remote(t.c9.ns, "eth0");
    Sniffer underlay(t.b.ns, "eth0");
    for (const auto& pretended :
         {t.on_b.local[0].mac, gateway_mac(t.on_a.id, 0), t.on_a.local[0].mac, mac_of(201), mac_of(0xbad)}) {
        send_frame(t.c8.ns, "eth0", kEverybody, pretended, "I am you");
    }
    send_frame(t.c8.ns, "eth0", kEverybody, t.on_a.local[1].mac, "I am eight");
    // What a bridge says itself, such as its questions for groups, is for its own containers.
    send_frame(t.a.network_namespace(t.on_a), "br0", kEverybody, gateway_mac(t.on_a.id, 0), "I am the gateway");
    ASSERT_TRUE(t.c8.pings("10.1.0.9"));
    ASSERT_TRUE(t.c8.pings("10.1.0.7"));
    EXPECT_EQ(underlay.count("I am you"), 0U);
    const auto times = [](const std::vector<std::vector<std::uint8_t>>& frames, const std::string& text) {
        return std::count_if(frames.begin(), frames.end(), [&](const auto& frame) {
            return std::search(frame.begin(), frame.end(), text.begin(), text.end()) != frame.end();
        });
    };
    for (auto* sniffer : {&local, &remote}) {
        const auto frames = sniffer->frames();
        EXPECT_EQ(times(frames, "I am you"), 0);
        EXPECT_EQ(times(frames, "I am eight"), 1);
        EXPECT_EQ(times(frames, "I am the gateway"), sniffer == &local ? 1 : 0);
    }
}

TEST(TrafficMulticast, UnicastLosesNothingWhileItIsTurnedOnAndOff) {
    Pair t;
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    std::thread turning([&] {
        for (int i = 0; i < 4; ++i) {
            for (Network* network : {&t.on_a, &t.on_b}) {
                MulticastPair::with_multicast(*network);
                network->multicast = i % 2 == 0;
            }
            t.apply();
        }
    });
    const auto pinged = t.c7.run("ping -q -n -i 0.002 -c 100 -W 1 10.1.0.9").text;
    turning.join();
    EXPECT_THAT(pinged, HasSubstr(" 0% packet loss"));
}

TEST(Traffic, ArpIsAnsweredOnceAndOnTheSpot) {
    Pair t;
    Sniffer underlay(t.b.ns, "eth0");
    Sniffer asking(t.c7.ns, "eth0");
    EXPECT_TRUE(t.c7.pings("10.1.0.9"));
    EXPECT_FALSE(t.c7.pings("10.1.0.66")) << "no such endpoint";
    const std::string arp_for_9("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02\x02\x57\x00\x00\x00\x09",
                                16);  // reply from 02:57:00:00:00:09
    EXPECT_EQ(asking.count(arp_for_9), 1U);
    EXPECT_EQ(underlay.count(std::string("\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01\x02\x57", 12)), 0U)
        << "no request leaves the host";
}

TEST(Traffic, AContainerCannotDrawAnothersFramesToItself) {
    Pair t;
    ASSERT_TRUE(t.c7.pings("10.1.0.9"));
    ASSERT_TRUE(t.c7.pings("10.1.0.8"));
    // 8 says that it is 9 (elsewhere), the gateway, and 7 (its neighbour).
    for (const auto& pretended : {t.on_b.local[0].mac, gateway_mac(t.on_a.id, 0), t.on_a.local[0].mac}) {
        send_frame(t.c8.ns, "eth0", {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, pretended, "I am you");
    }
    // And 9, to those on the other side, that it is 8.
    send_frame(t.c9.ns, "eth0", t.on_a.local[0].mac, t.on_a.local[1].mac, "I am eight");
    Sniffer thief(t.c8.ns, "eth0");
    EXPECT_TRUE(t.c7.pings("10.1.0.9"));
    EXPECT_TRUE(t.c7.pings("10.1.0.1"));
    EXPECT_TRUE(t.c9.pings("10.1.0.7"));
    EXPECT_EQ(frames_to(thief, t.on_b.local[0].mac) + frames_to(thief, t.on_a.local[0].mac), 0U);
    Sniffer wire(t.c9.ns, "eth0");
    EXPECT_TRUE(t.c7.pings("10.1.0.8"));
    EXPECT_EQ(frames_to(wire, t.on_a.local[1].mac), 0U);
    EXPECT_EQ(t.a.apply(t.on_a).changes, 0U) << "no table was changed by it";
    EXPECT_EQ(t.b.apply(t.on_b).changes, 0U);
}

TEST(Traffic, FollowsAnEndpointThatMoves) {
    Pair t;
    ASSERT_TRUE(t.c9.pings("10.1.0.8"));
    // 8 moves from a to b, into a new container, with its address and MAC.
    Container moved;
    t.on_b.local.push_back(t.on_a.local[1]);
    t.on_b.local[1].netns = moved.path();
    t.on_a.local.pop_back();
    EXPECT_TRUE(complete(t.b.apply(t.on_b))) << "still in b's list of remote endpoints";
    EXPECT_TRUE(t.c9.pings("10.1.0.8"));
    t.on_b.remote.pop_back();
    t.on_a.remote.push_back(as_remote(t.on_b.local[1], "192.0.2.2"));
    t.apply();
    EXPECT_TRUE(t.c7.pings("10.1.0.8"));
    EXPECT_TRUE(moved.pings("10.1.0.7"));
}

TEST(Traffic, NoPacketIsLostToARestart) {
    Pair t;
    Output out;
    std::thread pinging([&] { out = t.c7.run("ping -n -q -i 0.002 -c 500 -w 40 10.1.0.9"); });
    std::size_t changes = 0;
    for (int i = 0; i < 10; ++i) {  // each with builders of its own
        changes += t.a.apply(t.on_a).changes + t.b.apply(t.on_b).changes;
    }
    pinging.join();
    EXPECT_EQ(changes, 0U);
    EXPECT_THAT(out.text, HasSubstr("500 packets transmitted, 500 received, 0% packet loss"));
}

TEST(Traffic, BothFamiliesGoFromPartToPart) {
    Pair t("192.0.2.1", "192.0.2.2", in_two_parts);
    EXPECT_TRUE(t.c7.pings("fd00:1::8")) << "beside it";
    EXPECT_TRUE(t.c7.pings("fd00:1::1")) << "its gateway";
    for (const auto* far : {"10.2.0.9", "fd00:2::9"}) {
        EXPECT_TRUE(t.c7.pings(far)) << far;
    }
    for (const auto* far : {"10.1.0.8", "fd00:1::8"}) {
        EXPECT_TRUE(t.c9.pings(far)) << far;
    }
    EXPECT_EQ(t.a.apply(t.on_a).changes, 0U);
}

TEST(Traffic, ForwardingThatSomebodyTurnsOffComesBack) {
    Pair t("192.0.2.1", "192.0.2.2", in_two_parts);
    const auto home = t.a.network_namespace(t.on_a);
    must(netlink::run_in(home, [] { return set_sysctl("ipv6/conf/all/forwarding", "0"); }));
    EXPECT_FALSE(t.c7.pings("fd00:2::9", "-w 1"));
    EXPECT_GT(t.a.apply(t.on_a).changes, 0U);
    EXPECT_TRUE(t.c7.pings("fd00:2::9"));
}

TEST(Traffic, AContainerWithoutIpv6GetsItForItsInterface) {
    Pair t;
    t.c7.need("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    in_two_parts(t.on_a);
    in_two_parts(t.on_b);
    EXPECT_TRUE(complete(t.a.apply(t.on_a)));
    EXPECT_TRUE(t.c8.pings("fd00:1::7"));
}

TEST(Traffic, TwoNetworksOfTheSameSubnetAreApart) {
    Pair t;
    Container other;
    Network second = t.on_b;
    second.id = id_of<base::NetworkId>(0x4e000003);
    second.subnets[0].vni = base::Vni(0x570001);
    second.remote.clear();
    second.local = {sample_local(70, other.path())};
    second.local[0].ips = {ip("10.1.0.7")};
    ASSERT_TRUE(complete(t.b.apply(second)));
    EXPECT_TRUE(t.c9.pings("10.1.0.7"));
    EXPECT_FALSE(other.pings("10.1.0.9"));
    ASSERT_TRUE(t.b.builder().remove(second.id));
    EXPECT_TRUE(t.c9.pings("10.1.0.7")) << "the shared port stays with the one that is left";
}

// An address comes back under another MAC address, on another node: who knows the old one hears of it at once.
TEST(Traffic, WhoKnewAnAddressHearsThatItIsElsewhere) {
    Pair t("192.0.2.1", "192.0.2.2", in_two_parts);
    const auto neighbours = [&] { return t.c7.run("ip neigh show dev eth0").text; };
    ASSERT_TRUE(t.c7.pings("10.1.0.8"));
    ASSERT_TRUE(t.c7.pings("fd00:1::8"));
    const auto former = t.on_a.local[1].mac.text();
    ASSERT_THAT(neighbours(), HasSubstr("10.1.0.8 lladdr " + former));
    ASSERT_THAT(neighbours(), HasSubstr("fd00:1::8 lladdr " + former));

    auto moved = as_remote(t.on_a.local[1], "192.0.2.2");
    moved.id = id_of<base::EndpointId>(10);
    moved.mac = mac_of(210);
    t.on_a.local.pop_back();
    t.on_a.remote.push_back(moved);
    EXPECT_TRUE(complete(t.a.apply(t.on_a)));
    EXPECT_THAT(neighbours(), HasSubstr("10.1.0.8 lladdr " + moved.mac.text()));
    EXPECT_THAT(neighbours(), HasSubstr("fd00:1::8 lladdr " + moved.mac.text()));
    EXPECT_THAT(neighbours(), testing::Not(HasSubstr(former)));
}

}  // namespace
}  // namespace warren::overlay
