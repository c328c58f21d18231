#include "overlay/desired.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sample.h"

namespace warren::overlay {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(GatewayMac, IsTheSameEverywhereLocalAndUnicast) {
    base::NetworkId id;
    id.bytes = {0xff, 0x11, 0x22, 0x33, 0x44, 0xff};
    EXPECT_EQ(gateway_mac(id, 0).text(), "fe:11:22:33:44:ff");
    EXPECT_EQ(gateway_mac(id, 1).text(), "fe:11:22:33:44:00");
    id.bytes[0] = 0x00;
    EXPECT_EQ(gateway_mac(id, 0).text(), "02:11:22:33:44:ff");
}

TEST(Marks, NameClusterNetworkAndEndpoint) {
    const Network n = sample_network();
    EXPECT_EQ(network_mark(n.cluster, n.id),
              "warren:00000001000000000000000000000001:4e000002000000000000000000000001");
    EXPECT_EQ(endpoint_mark(n.cluster, n.id, id_of<base::EndpointId>(5)),
              network_mark(n.cluster, n.id) + ":00000005000000000000000000000001");
    EXPECT_LT(endpoint_mark(n.cluster, n.id, id_of<base::EndpointId>(5)).size(), 256U);  // IFALIASZ
}

TEST(Desired, ABridgeWithTheGatewayAndAVxlanThatNeverLearns) {
    const Desired want = desired(sample_network());
    ASSERT_EQ(want.bridges.size(), 1U);
    EXPECT_EQ(want.bridges[0].name, "br0");
    EXPECT_THAT(want.bridges[0].addresses, ElementsAre(prefix("10.1.0.1/16")));
    EXPECT_EQ(want.bridges[0].mtu, base::Mtu(1450));
    EXPECT_FALSE(want.bridges[0].options.multicast_snooping);
    EXPECT_FALSE(want.bridges[0].options.stp);
    ASSERT_EQ(want.vxlans.size(), 1U);
    const auto& vxlan = want.vxlans[0];
    EXPECT_EQ(vxlan.options.vni, base::Vni(0x570000));
    EXPECT_EQ(vxlan.options.local, ip("192.0.2.1"));
    EXPECT_EQ(vxlan.options.port, base::UdpPort(4789));
    EXPECT_FALSE(vxlan.options.learning);
    EXPECT_TRUE(vxlan.options.proxy);
    EXPECT_TRUE(vxlan.options.udp_checksum);
    EXPECT_EQ(vxlan.options.source_high, base::UdpPort(0));
    EXPECT_FALSE(vxlan.port.learning);
    EXPECT_TRUE(vxlan.segmentation);
}

TEST(Desired, AnEncryptedNetworkSendsFromPrivilegedPortsWithoutChecksums) {
    Network network = sample_network();
    network.encrypted = true;
    network.segmentation = false;
    const Desired want = desired(network);
    const auto& vxlan = want.vxlans.at(0);
    EXPECT_EQ(vxlan.options.source_low, base::UdpPort(512));
    EXPECT_EQ(vxlan.options.source_high, base::UdpPort(1023));
    EXPECT_FALSE(vxlan.options.udp_checksum);
    EXPECT_TRUE(vxlan.options.udp_zero_checksum6_tx);
    EXPECT_TRUE(vxlan.options.udp_zero_checksum6_rx);
    EXPECT_FALSE(vxlan.segmentation);
}

TEST(Desired, OnlyTheVxlanPortGetsUnknownUnicast) {
    Network network = sample_network();
    network.local = {sample_local(7)};
    const Desired want = desired(network);
    EXPECT_TRUE(want.vxlans[0].port.unicast_flood);
    ASSERT_EQ(want.pairs.size(), 1U);
    EXPECT_FALSE(want.pairs[0].port.unicast_flood);
    EXPECT_FALSE(want.pairs[0].port.multicast_flood);
    EXPECT_TRUE(want.pairs[0].port.broadcast_flood);  // ARP
    EXPECT_FALSE(want.pairs[0].port.learning);
    EXPECT_THAT(want.pairs[0].addresses, ElementsAre(prefix("10.1.0.7/16")));
    EXPECT_EQ(want.pairs[0].name, "v00000007000000");
}

Network multicast_network() {
    Network network = sample_network();
    network.multicast = true;
    network.local = {sample_local(7)};
    network.remote = {sample_remote(9)};
    network.peers = {{ip("192.0.2.1"), mac_of(101)}, {ip("192.0.2.2"), mac_of(102)}, {ip("192.0.2.3"), mac_of(103)}};
    return network;
}

TEST(Desired, MulticastGoesToAllOtherMembersAndUnknownUnicastNowhere) {
    const Desired want = desired(multicast_network());
    const auto& vxlan = want.vxlans.at(0);
    EXPECT_THAT(vxlan.copies, ElementsAre(ip("192.0.2.2"), ip("192.0.2.3"))) << "not to itself";
    EXPECT_TRUE(vxlan.port.multicast_flood);
    EXPECT_TRUE(vxlan.port.broadcast_flood);
    EXPECT_FALSE(vxlan.port.unicast_flood);
    EXPECT_TRUE(vxlan.in_bridge) << "who else would know where a remote endpoint is";
    EXPECT_TRUE(vxlan.options.proxy);
}

TEST(Desired, WithMulticastEachBridgeAsksItsOwnContainersAndBelievesNoOtherAddress) {
    const Desired want = desired(multicast_network());
    EXPECT_TRUE(want.bridges[0].options.multicast_snooping);
    EXPECT_TRUE(want.bridges[0].options.multicast_querier);
    EXPECT_EQ(want.vxlans[0].port.multicast_router, netlink::MulticastRouter::kAlways);
    EXPECT_EQ(want.pairs[0].port.multicast_router, netlink::MulticastRouter::kWhenHeard);
    EXPECT_TRUE(want.pairs[0].port.multicast_flood) << "224.0.0.0/24, which nobody joins";
    EXPECT_FALSE(want.pairs[0].port.unicast_flood);
    EXPECT_TRUE(want.vxlans[0].port.locked);
    EXPECT_TRUE(want.pairs[0].port.locked);
    // A peer's probes come from an address of its own.
    EXPECT_THAT(want.vxlans[0].forwarding,
                ElementsAre(Pair(mac_of(9), ip("192.0.2.2")), Pair(mac_of(102), ip("192.0.2.2")),
                            Pair(mac_of(103), ip("192.0.2.3"))));
}

TEST(Desired, WithoutMulticastPeersAreNobodysBusiness) {
    Network network = multicast_network();
    network.multicast = false;
    Network without = network;
    without.peers.clear();
    const Desired want = desired(network);
    EXPECT_EQ(want.vxlans, desired(without).vxlans);
    EXPECT_THAT(want.vxlans[0].copies, IsEmpty());
    EXPECT_FALSE(want.vxlans[0].port.multicast_flood);
    EXPECT_FALSE(want.vxlans[0].port.locked);
    EXPECT_FALSE(want.bridges[0].options.multicast_querier);
}

TEST(Desired, APeerOfTheOtherFamilyGetsNoCopies) {
    Network network = multicast_network();
    network.peers.push_back({ip("2001:db8::2"), mac_of(104)});
    EXPECT_THAT(desired(network).vxlans[0].copies, ElementsAre(ip("192.0.2.2"), ip("192.0.2.3")));
}

TEST(Desired, ARemoteEndpointIsANeighbourAndAForwardingEntry) {
    Network network = sample_network();
    network.remote = {sample_remote(9)};
    const auto want = desired(network).vxlans[0];
    EXPECT_THAT(want.forwarding, ElementsAre(Pair(mac_of(9), ip("192.0.2.2"))));
    EXPECT_THAT(want.neighbours, ElementsAre(Pair(ip("10.1.0.9"), mac_of(9))));
}

TEST(Desired, SubnetsAreApart) {
    Network network = sample_network();
    network.subnets.push_back({prefix("10.2.0.0/24"), ip("10.2.0.1"), base::Vni(0x570001)});
    network.local = {sample_local(7)};
    network.local[0].ips = {ip("10.2.0.7")};
    network.remote = {sample_remote(9)};
    const Desired want = desired(network);
    ASSERT_EQ(want.vxlans.size(), 2U);
    EXPECT_EQ(want.vxlans[1].bridge, "br1");
    EXPECT_NE(want.bridges[0].mac, want.bridges[1].mac);
    EXPECT_EQ(want.pairs[0].bridge, "br1");
    EXPECT_THAT(want.pairs[0].addresses, ElementsAre(prefix("10.2.0.7/24")));
    EXPECT_EQ(want.vxlans[0].forwarding.size(), 1U);
    EXPECT_THAT(want.vxlans[1].forwarding, IsEmpty());
}

TEST(Desired, OneSubnetLeadsToTheOtherThroughTheOwnGateway) {
    Network network = sample_network();
    network.local = {sample_local(7), sample_local(8)};
    EXPECT_THAT(desired(network).pairs[0].routes, IsEmpty());
    EXPECT_FALSE(desired(network).forwards);
    network.subnets.push_back({prefix("10.2.0.0/24"), ip("10.2.0.1"), base::Vni(0x570001)});
    network.local[1].ips = {ip("10.2.0.7")};
    const Desired want = desired(network);
    EXPECT_TRUE(want.forwards);
    EXPECT_THAT(want.pairs[0].routes, ElementsAre(WantedRoute{prefix("10.2.0.0/24"), ip("10.1.0.1")}));
    EXPECT_THAT(want.pairs[1].routes, ElementsAre(WantedRoute{prefix("10.1.0.0/16"), ip("10.2.0.1")}));
}

Network dual_stack() {
    Network network = sample_network();
    network.subnets.push_back({prefix("fd00:1::/64"), ip("fd00:1::1"), base::Vni(0x570000)});
    network.local = {sample_local(7)};
    network.local[0].ips.push_back(ip("fd00:1::7"));
    network.remote = {sample_remote(9)};
    network.remote[0].ips.push_back(ip("fd00:1::9"));
    return network;
}

TEST(Desired, BothFamiliesOfOneVniShareABridge) {
    const Desired want = desired(dual_stack());
    ASSERT_EQ(want.bridges.size(), 1U);
    EXPECT_THAT(want.bridges[0].addresses, ElementsAre(prefix("10.1.0.1/16"), prefix("fd00:1::1/64")));
    ASSERT_EQ(want.pairs.size(), 1U);
    EXPECT_THAT(want.pairs[0].addresses, ElementsAre(prefix("10.1.0.7/16"), prefix("fd00:1::7/64")));
    EXPECT_THAT(want.pairs[0].routes, IsEmpty());
    EXPECT_FALSE(want.forwards);
    EXPECT_THAT(want.vxlans[0].forwarding, ElementsAre(Pair(mac_of(9), ip("192.0.2.2"))));
}

// No container gets multicast, so the VXLAN device answers for the local ones, too.
TEST(Desired, NeighbourSolicitationsAreAnsweredForEverybody) {
    const Desired want = desired(dual_stack());
    EXPECT_TRUE(want.vxlans[0].port.multicast_flood);
    EXPECT_FALSE(want.pairs[0].port.multicast_flood);
    EXPECT_THAT(want.vxlans[0].neighbours,
                ElementsAre(Pair(ip("10.1.0.9"), mac_of(9)), Pair(ip("fd00:1::7"), mac_of(7)),
                            Pair(ip("fd00:1::9"), mac_of(9))));
    EXPECT_FALSE(desired(sample_network()).vxlans[0].port.multicast_flood) << "nobody asks by multicast";
}

TEST(Desired, AddressesOfTwoBridgesDoNotGoTogether) {
    Network network = dual_stack();
    network.subnets[1].vni = base::Vni(0x570001);
    const Desired want = desired(network);
    EXPECT_THAT(want.pairs, IsEmpty());
    ASSERT_EQ(want.refused.size(), 2U);
    EXPECT_EQ(want.refused[0].error.message(),
              "endpoint local7: address fd00:1::7 is in another part of network blue than 10.1.0.7");
}

// An endpoint that moved here: the news that it left its old node may come later.
TEST(Desired, WhatIsLocalWinsOverWhatIsRemote) {
    Network network = sample_network();
    network.local = {sample_local(7)};
    network.remote = {sample_remote(7), sample_remote(8, "192.0.2.1"), sample_remote(9)};
    network.remote[0].mac = mac_of(77);  // same address, another MAC
    const Desired want = desired(network);
    EXPECT_THAT(want.vxlans[0].forwarding, ElementsAre(Pair(mac_of(9), ip("192.0.2.2"))));
    EXPECT_THAT(want.refused, IsEmpty());
}

TEST(Desired, RefusesWhatContradictsItself) {
    Network network = sample_network();
    network.local = {sample_local(7), sample_local(8), sample_local(9), sample_local(10), sample_local(1)};
    network.local[1].ips = network.local[0].ips;
    network.local[2].mac = network.local[0].mac;
    network.local[3].ips = {ip("10.9.0.1")};
    network.remote = {sample_remote(20, "2001:db8::2"), sample_remote(21)};
    network.remote[1].ips = {ip("10.9.0.2")};
    const Desired want = desired(network);
    ASSERT_EQ(want.pairs.size(), 1U);
    EXPECT_EQ(want.pairs[0].endpoint, network.local[0].id);
    ASSERT_EQ(want.refused.size(), 6U);
    EXPECT_EQ(want.refused[0].endpoint, network.local[1].id);
    EXPECT_EQ(want.refused[0].error.message(),
              "endpoint local8: address 10.1.0.7 is the gateway's or another endpoint's");
    EXPECT_EQ(want.refused[1].error.message(), "endpoint local9: MAC address 02:57:00:00:00:07 is another endpoint's");
    EXPECT_EQ(want.refused[2].error.message(), "endpoint local10: address 10.9.0.1 is in no subnet of network blue");
    EXPECT_EQ(want.refused[3].endpoint, network.local[4].id);  // the gateway's address
    EXPECT_EQ(want.refused[4].endpoint, std::nullopt);
    EXPECT_EQ(want.refused[4].error.message(),
              "remote endpoint 02:57:00:00:00:14: its node's VTEP address 2001:db8::2 and this node's 192.0.2.1 are of "
              "different families");
    EXPECT_EQ(want.refused[5].error.message(),
              "remote endpoint 02:57:00:00:00:15: address 10.9.0.2 is in no subnet of network blue");
}

}  // namespace
}  // namespace warren::overlay
