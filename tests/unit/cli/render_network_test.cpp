#include <gtest/gtest.h>

#include "cli/render.h"
#include "sample.h"

namespace warren::cli {
namespace {

constexpr const char* kEncrypted = R"(
    id: "d1b2c3d4e5f60000000000000000000d" name: "net1" driver: "overlay" encrypted: true udp_port: 10001 mtu: 1416
    subnets { subnet: "10.128.0.0/24" gateway: "10.128.0.1" } vnis: 5701632 active_epoch: 4 cipher: "aes-128-gcm"
    key_rotation_ms: 43200000 rekey_after_packets: 4294967296 rekey_after_bytes: 1099511627776
    replay_window: 1024 created_unix_ms: 1799999875000 members: 2 endpoint_count: 1 revision: 7
    labels { key: "team" value: "web" } labels { key: "env" value: "lab" }
    member_nodes { node: "host1" data_address: "192.0.2.1" reachable: true acked_revision: 7 }
    member_nodes { node: "host2" data_address: "192.0.2.2" reachable: false acked_revision: 5 }
    endpoints { id: "e1b2c3d4e5f60000000000000000000e" name: "web" network: "net1" ip: "10.128.0.2/24"
                mac: "02:00:00:00:00:02" node: "host1" netns: "/run/netns/web" created_unix_ms: 1799999995000 })";
constexpr const char* kPlain = R"(
    id: "f1b2c3d4e5f60000000000000000000f" name: "plain" driver: "overlay" udp_port: 4789 mtu: 1450
    subnets { subnet: "10.128.1.0/24" gateway: "10.128.1.1" } vnis: 5701633 created_unix_ms: 1799999875000
    internal: true multicast: true revision: 1)";

TEST(RenderNetworks, TableTellsEncryptedFromPlain) {
    v1::NetworkListReply reply;
    *reply.add_networks() = sample<v1::Network>(kEncrypted);
    *reply.add_networks() = sample<v1::Network>(kPlain);
    EXPECT_EQ(render_networks(reply, false, kSampleView),
              R"(NETWORK ID     NAME    DRIVER    ENCRYPTED     SUBNET          PORT    MTU    NODES   ENDPOINTS   AGE
d1b2c3d4e5f6   net1    overlay   aes-128-gcm   10.128.0.0/24   10001   1416   2       1           2m 5s
f1b2c3d4e5f6   plain   overlay   no            10.128.1.0/24   4789    1450   0       0           2m 5s
)");
    EXPECT_EQ(render_networks(reply, true, kSampleView),
              "d1b2c3d4e5f60000000000000000000d\nf1b2c3d4e5f60000000000000000000f\n");
}

TEST(RenderNetworks, NoneIsTheHeader) {
    EXPECT_EQ(render_networks({}, false, kSampleView),
              "NETWORK ID   NAME   DRIVER   ENCRYPTED   SUBNET   PORT   MTU   NODES   ENDPOINTS   AGE\n");
}

TEST(RenderNetwork, ShowsFactsNodesAndEndpoints) {
    EXPECT_EQ(render_network(sample<v1::Network>(kEncrypted), false, kSampleView),
              R"(ID:            d1b2c3d4e5f60000000000000000000d
Name:          net1
Driver:        overlay
Encrypted:     yes, aes-128-gcm, replay window 1024
Active epoch:  4
Key rotation:  every 12h 0m
Rekey after:   4294967296 packets, 1099511627776 bytes
Subnet:        10.128.0.0/24
Gateway:       10.128.0.1
Internal:      no
Multicast:     stays on the host
VNI:           5701632 (0x570000)
UDP port:      10001
MTU:           1416
Labels:        env=lab, team=web
Created:       2027-01-15 07:57:55 UTC (2m 5s ago)
Revision:      7

Nodes:
NODE    DATA ADDRESS   STATE         REVISION
host1   192.0.2.1      ready         7
host2   192.0.2.2      unreachable   5 (behind)

Endpoints:
ENDPOINT ID    NAME   NETWORK   IP              MAC                 NODE    NETNS            IFNAME   AGE
e1b2c3d4e5f6   web    net1      10.128.0.2/24   02:00:00:00:00:02   host1   /run/netns/web   -        5.0 s
)");
}

TEST(RenderNetwork, OfNodesAndEndpointsThereIsMoreWhenAsked) {
    auto network = sample<v1::Network>(kEncrypted);
    network.mutable_member_nodes(0)->set_underlay_mtu(1500);
    network.mutable_member_nodes(0)->set_installed_epoch(4);
    network.mutable_member_nodes(0)->set_sending_epoch(3);
    network.mutable_member_nodes(1)->set_underlay_mtu(9000);
    auto& endpoint = *network.mutable_endpoints(0);
    endpoint.add_aliases("www");
    endpoint.add_services("http:80/tcp");
    endpoint.add_services("dns:53/udp");
    const auto brief = render_network(network, false, kSampleView);
    const auto text = render_network(network, true, kSampleView);
    const auto nodes = R"(
Nodes:
NODE    DATA ADDRESS   STATE         REVISION     UNDERLAY MTU   INSTALLED   SENDING
host1   192.0.2.1      ready         7            1500           4           3
host2   192.0.2.2      unreachable   5 (behind)   9000           none        none
)";
    EXPECT_NE(text.find(nodes), std::string::npos) << text;
    EXPECT_EQ(text.substr(text.find("\nWhere")), R"(
Where they are:
NAME   NODE    VTEP        ALIASES   SERVICES                  PUBLISHED
web    host1   192.0.2.1   www       http:80/tcp, dns:53/udp   -
)");
    EXPECT_EQ(text.substr(0, text.find("\nNodes")), brief.substr(0, brief.find("\nNodes")));
    EXPECT_EQ(brief.find("9000"), std::string::npos);
    network.set_encrypted(false);
    EXPECT_EQ(render_network(network, true, kSampleView).find("INSTALLED"), std::string::npos);
}

TEST(RenderNetwork, SaysWhatItIsWrappedInAndWhoChoseTheCipher) {
    auto network = sample<v1::Network>(kEncrypted);
    network.set_encap("udp:7443");
    network.set_cipher("chacha20-poly1305");
    network.set_cipher_choice("node 'pi' has no AES instructions");
    const auto text = render_network(network, false, kSampleView);
    EXPECT_NE(text.find("Encrypted:     yes, chacha20-poly1305, replay window 1024, ESP in udp:7443\n"
                        "Cipher:        auto: node 'pi' has no AES instructions\n"),
              std::string::npos)
        << text;
    network.set_encap("none");
    EXPECT_EQ(render_network(network, false, kSampleView).find("ESP in"), std::string::npos);
}

TEST(RenderNetwork, SaysWhyTheMtuIsWhatItIs) {
    auto network = sample<v1::Network>(kEncrypted);
    network.set_mtu_choice("the underlay of node 'pi' carries packets of 1400");
    const auto text = render_network(network, false, kSampleView);
    EXPECT_NE(text.find("MTU:           1416 (the underlay of node 'pi' carries packets of 1400)\n"), std::string::npos)
        << text;
}

TEST(RenderNetwork, APlainOneHasNoKeys) {
    EXPECT_EQ(render_network(sample<v1::Network>(kPlain), false, kSampleView),
              R"(ID:         f1b2c3d4e5f60000000000000000000f
Name:       plain
Driver:     overlay
Encrypted:  no
Subnet:     10.128.1.0/24
Gateway:    10.128.1.1
Internal:   yes
Multicast:  to all members
VNI:        5701633 (0x570001)
UDP port:   4789
MTU:        1450
Labels:     -
Created:    2027-01-15 07:57:55 UTC (2m 5s ago)
Revision:   1

Nodes:
NODE   DATA ADDRESS   STATE   REVISION

Endpoints:
ENDPOINT ID   NAME   NETWORK   IP   MAC   NODE   NETNS   IFNAME   AGE
)");
}

TEST(RenderNetwork, AnEncryptedOneWithoutMembersHasNoEpochYet) {
    auto network = sample<v1::Network>(kEncrypted);
    network.set_active_epoch(0);
    EXPECT_NE(render_network(network, false, kSampleView).find("Active epoch:  none yet\n"), std::string::npos);
}

TEST(RenderConnected, SaysWhatTheContainerGot) {
    EXPECT_EQ(
        render_connected(sample<v1::NetworkConnectReply>(
            R"(name: "web" network: "net1" ip: "10.128.0.2/24" mac: "02:00:00:00:00:02" ifname: "eth0" mtu: 1416)")),
        "web is connected to net1: eth0 10.128.0.2/24, MAC 02:00:00:00:00:02, MTU 1416\n");
    EXPECT_EQ(
        render_connected(sample<v1::NetworkConnectReply>(
            R"(name: "web" network: "net1" ip: "10.128.0.2/24" mac: "02:00:00:00:00:02" ifname: "eth0" mtu: 1416
               published: "8080:80/tcp" services: "http:80/tcp" services: "dns:53/udp")")),
        "web is connected to net1: eth0 10.128.0.2/24, MAC 02:00:00:00:00:02, MTU 1416, published 8080:80/tcp, offers "
        "http:80/tcp, dns:53/udp\n");
}

}  // namespace
}  // namespace warren::cli
