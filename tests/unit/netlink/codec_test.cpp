#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "netlink/route.h"
#include "scratch.h"

// Decoding what a kernel said: capture-fixtures records it and sets the values.
namespace warren::netlink {
namespace {

base::MacAddress mac(std::string_view text) {
    return must(base::parse_mac("mac", text));
}

template <typename T>
std::vector<T> decode_all(const std::string& name, base::Result<std::optional<T>> (*decode)(const Received&)) {
    std::vector<T> out;
    for (const auto& datagram : fixture(name)) {
        EXPECT_TRUE(ok(for_each_message(datagram, [&](const Received& received) {
            if (received.type < NLMSG_MIN_TYPE) {
                return;  // the end of a dump
            }
            if (auto value = must(decode(received))) {
                out.push_back(*std::move(value));
            }
        })));
    }
    return out;
}

template <typename T>
bool contains(const std::vector<T>& all, const T& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

Link recorded_link(std::string_view name) {
    for (const auto& link : decode_all<Link>("links", decode_link)) {
        if (link.name == name) {
            return link;
        }
    }
    ADD_FAILURE() << name << " is not in the fixture";
    return {};
}

TEST(DecodeLink, Vxlan) {
    const Link expected{
        .index = base::IfIndex(11),
        .name = "vx0",
        .alias = "warren:0123:4567",
        .kind = "vxlan",
        .mac = mac("02:57:00:00:00:02"),
        .mtu = base::Mtu(1416),
        .up = true,
        .running = true,
        .master = base::IfIndex(10),
        .gso_max_segs = 65535,
        .gso_max_size = 65536,
        .vxlan = Vxlan{.vni = base::Vni(0x570000),
                       .local = must(base::parse_ip("", "192.0.2.1")),
                       .port = base::UdpPort(10007),
                       .source_low = base::UdpPort(512),
                       .source_high = base::UdpPort(1023),
                       .ttl = 64,
                       .learning = false,
                       .proxy = true,
                       .l3miss = true,
                       .udp_checksum = false},
        .port =
            BridgePort{.learning = false, .unicast_flood = false, .multicast_flood = false, .neighbour_suppress = true},
    };
    EXPECT_EQ(recorded_link("vx0"), expected);
}

TEST(DecodeLink, VxlanOverIpv6) {
    const auto link = recorded_link("vx6");
    EXPECT_FALSE(link.up);
    const Vxlan expected{.vni = base::Vni(42),
                         .local = must(base::parse_ip("", "2001:db8::1")),
                         .port = base::UdpPort(4789),
                         .l2miss = true,
                         .udp_checksum = link.vxlan.value().udp_checksum,  // of IPv4 only
                         .udp_zero_checksum6_tx = true,
                         .udp_zero_checksum6_rx = true};
    EXPECT_EQ(link.vxlan, expected);
    EXPECT_EQ(link.port, std::nullopt);
}

TEST(DecodeLink, Bridge) {
    const auto link = recorded_link("br0");
    EXPECT_EQ(link.kind, "bridge");
    EXPECT_EQ(link.bridge, (Bridge{.multicast_snooping = false, .ageing = UserTicks(12000)}));
    EXPECT_EQ(link.master, base::IfIndex(0));
}

TEST(DecodeLink, VethWithItsPeerInAnotherNamespace) {
    const auto link = recorded_link("ve0");
    EXPECT_EQ(link.kind, "veth");
    EXPECT_TRUE(link.lower_netns.has_value());
    EXPECT_NE(link.lower, base::IfIndex(0));
    EXPECT_EQ(link.port,
              (BridgePort{.multicast_flood = false, .broadcast_flood = false, .isolated = true, .hairpin = true}));
    EXPECT_EQ(recorded_link("dm0").gso_max_segs, 1U);
}

TEST(DecodeLink, Loopback) {
    const auto link = recorded_link("lo");
    EXPECT_TRUE(link.loopback);
    EXPECT_TRUE(link.up);
    EXPECT_EQ(link.kind, "");
    EXPECT_EQ(link.lower_netns, std::nullopt);
}

TEST(DecodeAddress, EveryShape) {
    const auto all = decode_all<Address>("addresses", decode_address);
    const auto address = [](unsigned link, std::string_view prefix) {
        return Address{.link = base::IfIndex(link), .prefix = must(base::parse_prefix("", prefix))};
    };
    auto gateway = address(10, "10.128.3.1/24");
    gateway.no_prefix_route = true;
    EXPECT_TRUE(contains(all, gateway));
    EXPECT_TRUE(contains(all, address(14, "198.51.100.2/30")));
    EXPECT_TRUE(contains(all, address(14, "10.9.0.1/32"))) << "our end, not the peer's";
    auto loopback = address(1, "127.0.0.1/8");
    loopback.host_scope = true;
    EXPECT_TRUE(contains(all, loopback));
    auto v6 = address(14, "2001:db8:1::1/64");
    v6.no_dad = true;
    EXPECT_TRUE(contains(all, v6));
}

TEST(DecodeNeighbour, PermanentAndNot) {
    const auto all = decode_all<Neighbour>("neighbours", decode_neighbour);
    Neighbour expected{
        .link = base::IfIndex(10), .ip = must(base::parse_ip("", "10.128.3.7")), .mac = mac("02:42:0a:80:03:07")};
    EXPECT_TRUE(contains(all, expected));
    EXPECT_TRUE(contains(all, Neighbour{.link = base::IfIndex(14),
                                        .ip = must(base::parse_ip("", "2001:db8:1::7")),
                                        .mac = mac("02:42:0a:80:03:07")}));
    EXPECT_TRUE(contains(all, Neighbour{.link = base::IfIndex(10),
                                        .ip = must(base::parse_ip("", "10.128.3.8")),
                                        .mac = mac("02:42:0a:80:03:08"),
                                        .permanent = false}));
    EXPECT_TRUE(decode_all<FdbEntry>("neighbours", decode_fdb).empty());
}

TEST(DecodeFdb, BothTables) {
    const auto all = decode_all<FdbEntry>("fdb", decode_fdb);
    const auto device = [](unsigned link, std::string_view to, base::MacAddress address) {
        return FdbEntry{.link = base::IfIndex(link), .mac = address, .destination = must(base::parse_ip("", to))};
    };
    EXPECT_TRUE(contains(all, device(11, "192.0.2.7", mac("02:42:0a:80:03:07"))));
    EXPECT_TRUE(contains(all, device(11, "192.0.2.7", {})));
    EXPECT_TRUE(contains(all, device(11, "192.0.2.8", {})));
    EXPECT_TRUE(contains(all, device(12, "2001:db8::9", mac("02:42:0a:80:03:09"))));
    EXPECT_TRUE(contains(all, FdbEntry{.link = base::IfIndex(11),
                                       .mac = mac("02:42:0a:80:03:07"),
                                       .table = FdbTable::kBridge,
                                       .state = FdbState::kStatic}));
    EXPECT_TRUE(decode_all<Neighbour>("fdb", decode_neighbour).empty());
}

TEST(DecodeRoute, EveryShape) {
    auto all = decode_all<Route>("routes4", decode_route);
    const auto v6 = decode_all<Route>("routes6", decode_route);
    all.insert(all.end(), v6.begin(), v6.end());
    const auto prefix = [](std::string_view text) { return must(base::parse_prefix("", text)); };
    const auto ip = [](std::string_view text) { return must(base::parse_ip("", text)); };
    const base::IfIndex device(14);
    EXPECT_TRUE(contains(all, Route{.destination = prefix("0.0.0.0/0"),
                                    .link = device,
                                    .gateway = ip("198.51.100.1"),
                                    .source = ip("198.51.100.2"),
                                    .metric = 77}));
    EXPECT_TRUE(contains(
        all, Route{.destination = prefix("203.0.113.0/24"), .link = device, .table = 1000, .mtu = base::Mtu(1280)}));
    EXPECT_TRUE(contains(all, Route{.destination = prefix("10.66.0.0/16"), .type = RouteType::kBlackhole}));
    EXPECT_TRUE(
        contains(all, Route{.destination = prefix("10.67.0.0/16"), .link = device, .gateway = ip("198.51.100.1")}));
    EXPECT_TRUE(
        contains(all, Route{.destination = prefix("10.68.0.0/16"), .link = device, .gateway = ip("2001:db8:1::99")}));
    EXPECT_TRUE(contains(all, Route{.destination = prefix("198.51.100.2/32"),
                                    .link = device,
                                    .source = ip("198.51.100.2"),
                                    .type = RouteType::kLocal,
                                    .table = 255}));
    EXPECT_TRUE(contains(all, Route{.destination = prefix("2001:db8:2::/48"),
                                    .link = device,
                                    .gateway = ip("2001:db8:1::99"),
                                    .metric = 1024}));
}

TEST(DecodeRoute, TheAnswerToALookup) {
    const auto all = decode_all<Route>("route_get", decode_route);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].destination.text(), "203.0.113.99/32");
    EXPECT_EQ(all[0].link, base::IfIndex(14));
    EXPECT_EQ(all[0].source, must(base::parse_ip("", "198.51.100.2")));
    EXPECT_EQ(all[0].gateway, must(base::parse_ip("", "198.51.100.1")));
}

// Whatever comes in, nothing is read out of bounds: ASan is the judge.

void decode_everything(Bytes datagram) {
    static_cast<void>(for_each_message(datagram, [](const Received& received) {
        static_cast<void>(decode_link(received));
        static_cast<void>(decode_address(received));
        static_cast<void>(decode_neighbour(received));
        static_cast<void>(decode_fdb(received));
        static_cast<void>(decode_route(received));
    }));
}

constexpr std::array kFixtures{"links", "addresses", "neighbours", "fdb", "routes4", "routes6", "route_get"};

TEST(Decoders, StayInBoundsOfTruncatedInput) {
    for (const auto* name : kFixtures) {
        for (const auto& datagram : fixture(name)) {
            for (std::size_t size = 0; size <= datagram.size(); size += size < 2000 ? 1 : 13) {
                const Datagram cut(datagram.begin(), datagram.begin() + static_cast<std::ptrdiff_t>(size));
                decode_everything(cut);
                // A message that claims to end where the datagram does, so that its inside is looked at.
                Datagram sealed = cut;
                if (size >= sizeof(nlmsghdr)) {
                    const auto length = static_cast<std::uint32_t>(size);
                    std::memcpy(sealed.data(), &length, sizeof length);
                    decode_everything(sealed);
                }
            }
        }
    }
}

TEST(Decoders, StayInBoundsOfMutatedInput) {
    std::mt19937 random(20'260'131);
    for (const auto* name : kFixtures) {
        for (const auto& datagram : fixture(name)) {
            for (int round = 0; round < 1000; ++round) {
                Datagram mutated = datagram;
                for (auto changes = random() % 8 + 1; changes > 0; --changes) {
                    mutated[random() % mutated.size()] = static_cast<std::byte>(random());
                }
                decode_everything(mutated);
            }
        }
    }
}

}  // namespace
}  // namespace warren::netlink
