#include <gtest/gtest.h>

#include "cli/render.h"
#include "sample.h"

namespace warren::cli {
namespace {

constexpr const char* kInfo = R"(
    cluster_id: "c0000000000000000000000000000000" cluster_name: "lab"
    node_id: "a1b2c3d4e5f60000000000000000000a" node_name: "host1" role: "manager"
    managers: "192.0.2.1:7443" managers: "192.0.2.2:7443"
    data_address: "192.0.2.1" advertise_address: "192.0.2.1" root_fingerprint: "00ff"
    root_expires_unix_ms: 2400000000000 certificate_expires_unix_ms: 1807776000000)";

TEST(RenderCluster, InfoSaysEachThingOnALine) {
    EXPECT_EQ(render_cluster(sample<v1::ClusterInfoReply>(kInfo), kSampleView),
              R"(Cluster:       lab
Cluster ID:    c0000000000000000000000000000000
Node:          host1
Node ID:       a1b2c3d4e5f60000000000000000000a
Role:          manager
Managers:      192.0.2.1:7443, 192.0.2.2:7443
Data address:  192.0.2.1
Advertised:    192.0.2.1
Root CA:       sha256 00ff
Root expires:  2046-01-19 18:40:00 UTC (in 6944d 10h)
Certificate:   expires 2027-04-15 08:00:00 UTC (in 90d 0h)
)");
}

TEST(RenderCluster, AnExpiredCertificateIsRed) {
    auto info = sample<v1::ClusterInfoReply>(kInfo);
    info.set_certificate_expires_unix_ms(kSampleNow - 1000);
    EXPECT_NE(render_cluster(info, kSampleColourView).find("\x1b[31mexpires 2027-01-15 07:59:59 UTC (expired"),
              std::string::npos);
}

TEST(RenderCluster, InitLeadsOnToTheNextSteps) {
    const auto info = sample<v1::ClusterInfoReply>(kInfo);
    EXPECT_EQ(render_initialised(info, "warren cluster join --token T 192.0.2.1:7443"),
              R"(Cluster lab is there; this node, host1, is its manager at 192.0.2.1:7443, 192.0.2.2:7443.

To add a worker, run on its host:

    warren cluster join --token T 192.0.2.1:7443

To make an encrypted network:

    warren network create --opt encrypted net1
)");
    EXPECT_NE(render_initialised(info, "").find("'warren token show worker'"), std::string::npos);
}

TEST(RenderCluster, JoinSaysWhoJoinedWhat) {
    EXPECT_EQ(render_joined(sample<v1::ClusterInfoReply>(kInfo)),
              "This node, host1, is now a manager of cluster lab; data address 192.0.2.1.\n");
}

TEST(RenderToken, IsReadyToPasteOrAlone) {
    const auto reply = sample<v1::TokenShowReply>(
        R"(role: "worker" token: "WRN1-a-b" join_command: "warren cluster join --token WRN1-a-b 192.0.2.1:7443")");
    EXPECT_EQ(render_token(reply, false, kSampleView),
              "To add a worker to this cluster, run on its host:\n\n"
              "    warren cluster join --token WRN1-a-b 192.0.2.1:7443\n");
    EXPECT_EQ(render_token(reply, true, kSampleView), "WRN1-a-b\n");
}

TEST(RenderToken, SaysItsLimits) {
    auto reply = sample<v1::TokenShowReply>(
        R"(role: "worker" join_command: "J" expires_unix_ms: 1800003600000 uses: 3 uses_left: 1)");
    EXPECT_EQ(render_token(reply, false, kSampleView),
              "To add a worker to this cluster, run on its host:\n\n    J\n\n"
              "Expires: 2027-01-15 09:00:00 UTC (in 1h 0m)\nUses left: 1 of 3\n");
    reply.clear_expires_unix_ms();
    EXPECT_EQ(render_token(reply, false, kSampleView),
              "To add a worker to this cluster, run on its host:\n\n    J\n\nUses left: 1 of 3\n");
}

constexpr const char* kNodes = R"(
    nodes { id: "a1b2c3d4e5f60000000000000000000a" name: "host1" role: "manager" state: "ready" self: true
            data_address: "192.0.2.1" ciphers: "aes-128-gcm" networks: "net1" endpoints: 2
            last_seen_unix_ms: 1799999999700 certificate_expires_unix_ms: 1807776000000 }
    nodes { id: "b1b2c3d4e5f60000000000000000000b" name: "a-host-of-longer-name" role: "worker" state: "unreachable"
            data_address: "192.0.2.200" esp_problem: "no CONFIG_INET_ESP" last_seen_unix_ms: 1799999875000
            certificate_expires_unix_ms: 1799999999999 })";

TEST(RenderNodes, TableMarksThisNode) {
    EXPECT_EQ(
        render_nodes(sample<v1::NodeListReply>(kNodes), false, kSampleView),
        R"(ID               NAME                    ROLE      STATE         DATA ADDRESS   ENCRYPTION   NETWORKS   ENDPOINTS   CERTIFICATE   LAST SEEN
a1b2c3d4e5f6 *   host1                   manager   ready         192.0.2.1      yes          1          2           90d 0h        300 ms
b1b2c3d4e5f6     a-host-of-longer-name   worker    unreachable   192.0.2.200    no           0          0           expired       2m 5s
)");
}

TEST(RenderNodes, StatesHaveColours) {
    const std::string text = render_nodes(sample<v1::NodeListReply>(kNodes), false, kSampleColourView);
    EXPECT_NE(text.find("\x1b[32mready\x1b[0m"), std::string::npos);
    EXPECT_NE(text.find("\x1b[31munreachable\x1b[0m"), std::string::npos);
}

TEST(RenderNodes, QuietIsWholeIdsAlone) {
    EXPECT_EQ(render_nodes(sample<v1::NodeListReply>(kNodes), true, kSampleView),
              "a1b2c3d4e5f60000000000000000000a\nb1b2c3d4e5f60000000000000000000b\n");
    EXPECT_EQ(render_nodes({}, true, kSampleView), "");
}

TEST(RenderNode, SaysWhyThereIsNoEncryption) {
    const auto node = sample<v1::Node>(R"(
        id: "b1b2c3d4e5f60000000000000000000b" name: "host2" role: "worker" state: "ready" self: true index: 2
        data_address: "192.0.2.2" advertise_address: "198.51.100.2" version: "0.1.0" underlay_mtu: 1500
        esp_problem: "no aes-128-gcm: it needs CONFIG_CRYPTO_GCM; no aes-256-gcm: it needs CONFIG_CRYPTO_GCM" joined_unix_ms: 1799996400000
        last_seen_unix_ms: 1799999999000 certificate_expires_unix_ms: 1807776000000
        networks: "net1" networks: "net2" endpoints: 3)");
    EXPECT_EQ(render_node(node, kSampleView), R"(ID:            b1b2c3d4e5f60000000000000000000b
Name:          host2 (this node)
Role:          worker
State:         ready
Last seen:     2027-01-15 07:59:59 UTC (1.0 s ago)
Joined:        2027-01-15 07:00:00 UTC (1h 0m ago)
Data address:  192.0.2.2
Advertised:    198.51.100.2
Underlay MTU:  1500
Ciphers:       none
               no aes-128-gcm: it needs CONFIG_CRYPTO_GCM
               no aes-256-gcm: it needs CONFIG_CRYPTO_GCM
Index:         2
Version:       0.1.0
Certificate:   expires 2027-04-15 08:00:00 UTC (in 90d 0h)
Networks:      net1, net2
Endpoints:     3
)");
}

TEST(RenderCertificate, SaysWhoseItIsAndWhenItIsRenewed) {
    auto reply = sample<v1::CertShowReply>(R"(
        cluster_id: "c1" node_id: "n1" role: "worker" uri: "spiffe://c1/node/n1" serial: "0a1b" issuer: "warren"
        issuer_key_id: "aabb" issued_unix_ms: 1799996400000 not_before_unix_ms: 1799992800000
        not_after_unix_ms: 1807776000000 next_renewal_unix_ms: 1804665600000 file: "/var/lib/warren/node.pem")");
    EXPECT_EQ(render_certificate(reply, kSampleView), R"(Subject:       worker n1 of cluster c1
URI:           spiffe://c1/node/n1
Issuer:        warren (key id aabb)
Serial:        0a1b
Issued:        2027-01-15 07:00:00 UTC (1h 0m ago)
Certificate:   expires 2027-04-15 08:00:00 UTC (in 90d 0h)
Next renewal:  2027-03-10 08:00:00 UTC (in 54d 0h)
File:          /var/lib/warren/node.pem
)");
    reply.set_problem("the authority is locked");
    reply.set_failing_since_unix_ms(1799996400000);
    const auto text = render_certificate(reply, kSampleView);
    EXPECT_NE(text.find("Next attempt:  2027-03-10"), std::string::npos) << text;
    EXPECT_NE(text.find("Not renewed:   the authority is locked, since 2027-01-15 07:00:00 UTC"), std::string::npos)
        << text;
}

TEST(RenderAuthority, SaysWhichRootIssuesAndWhoIsWaitedFor) {
    auto reply = sample<v1::CaShowReply>(R"(
        phase: "moving" started_unix_ms: 1799999990000 nodes: 3 moved: 1
        roots { name: "lab-2" fingerprint: "aa" state: "issuing" not_after_unix_ms: 1807776000000 }
        roots { name: "lab" fingerprint: "bb" state: "trusted" not_after_unix_ms: 1807776000000 }
        waiting { node: "host2" state: "ready" } waiting { node: "host3" state: "unreachable" })");
    EXPECT_EQ(render_authority(reply, kSampleView),
              R"(ROOT    STATE     EXPIRES                               SHA-256
lab-2   issuing   2027-04-15 08:00:00 UTC (in 90d 0h)   aa
lab     trusted   2027-04-15 08:00:00 UTC (in 90d 0h)   bb

moving: 1 of 3 nodes, waiting for host2, host3 (unreachable); began 2027-01-15 07:59:50 UTC (10 s ago)
)");
    reply.set_phase("idle");
    reply.set_moved(2);
    reply.clear_waiting();
    *reply.add_left() = sample<v1::CaNode>(R"(node: "host3" state: "unreachable")");
    const auto text = render_authority(reply, kSampleView);
    EXPECT_NE(text.find("moved: 2 of 3 nodes\n"), std::string::npos) << text;
    EXPECT_NE(text.find("let in again when they come back: host3 (unreachable)"), std::string::npos) << text;
}

}  // namespace
}  // namespace warren::cli
