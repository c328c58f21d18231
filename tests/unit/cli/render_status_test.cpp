#include <gtest/gtest.h>

#include "cli/render.h"
#include "sample.h"

namespace warren::cli {
namespace {

constexpr const char* kHealthy = R"(
    version: "0.1.0" state: "ok" started_unix_ms: 1799996400000
    cluster { cluster_id: "c0000000000000000000000000000000" cluster_name: "lab"
              node_id: "a1b2c3d4e5f60000000000000000000a" node_name: "host1" role: "worker"
              data_address: "192.0.2.2" certificate_expires_unix_ms: 1807776000000 }
    manager: "192.0.2.1:7443" manager_connected: true manager_since_unix_ms: 1799999875000
    underlay_device: "eth0" underlay_mtu: 1500 ciphers: "aes-128-gcm" ciphers: "chacha20-poly1305"
    segmentation: "fine"
    networks { name: "net1" encrypted: true udp_port: 10001 mtu: 1416 local_endpoints: 1 remote_endpoints: 2 peers: 2
               active_epoch: 4 sas: 4 revision: 7 applied_revision: 7 esp_out_packets: 1200 esp_in_packets: 1199 }
    networks { name: "plain" udp_port: 4789 mtu: 1450 local_endpoints: 1 revision: 2 applied_revision: 1 })";

TEST(RenderStatus, HealthyNodeInOneScreen) {
    EXPECT_EQ(render_status(sample<v1::StatusReply>(kHealthy), kSampleView),
              R"(Node:          host1 (a1b2c3d4e5f6), worker
Cluster:       lab (c00000000000)
Daemon:        warrend 0.1.0, up 1h 0m
Manager:       192.0.2.1:7443, connected for 2m 5s
Certificate:   expires 2027-04-15 08:00:00 UTC (in 90d 0h)
Underlay:      eth0, address 192.0.2.2, MTU 1500
Encryption:    aes-128-gcm, chacha20-poly1305
Segmentation:  fine

NETWORK   ENCRYPTED   PORT    MTU    LOCAL   REMOTE   PEERS   EPOCH   SAS   ESP OUT   ESP IN   STATE
net1      yes         10001   1416   1       2        2       4       4     1200      1199     ok
plain     no          4789    1450   1       0        0       -       -     -         -        applying 2 (has 1)

OK: everything works, 2 networks here.
)");
}

TEST(RenderStatus, DegradedNodeSaysWhyAndEndsInTheVerdict) {
    auto reply = sample<v1::StatusReply>(kHealthy);
    reply.set_state("degraded");
    reply.set_manager_connected(false);
    reply.add_problems("no manager reachable at 192.0.2.1:7443: check that it runs");
    reply.set_esp_problem("the kernel has no ESP (CONFIG_INET_ESP)");
    reply.mutable_networks(0)->add_problems("policy refused: EPERM");
    reply.mutable_networks(1)->add_problems("check that it runs");  // said above
    v1::Counter& counter = *reply.add_counters();
    counter.set_name("XfrmInTmplMismatch");
    counter.set_value(12);
    counter.set_meaning("plaintext, or another network's key: dropped");
    counter.set_remedy("look who sends it");
    counter.set_lately(3);
    v1::Counter& past = *reply.add_counters();
    past = counter;
    past.set_name("XfrmInNoStates");
    past.set_lately(0);
    const std::string text = render_status(reply, kSampleView);
    EXPECT_NE(text.find("Manager:       192.0.2.1:7443, not connected for 2m 5s\n"), std::string::npos) << text;
    EXPECT_NE(text.find("Encryption:    none\n               the kernel has no ESP (CONFIG_INET_ESP)\n"),
              std::string::npos);
    const std::size_t tail = text.find("\nCOUNTER");
    ASSERT_NE(tail, std::string::npos) << text;
    EXPECT_EQ(text.substr(tail), R"(
COUNTER              PACKETS   LAST MINUTE   MEANING
XfrmInTmplMismatch   12        3             plaintext, or another network's key: dropped
XfrmInNoStates       12        0             plaintext, or another network's key: dropped

To do about what goes on:
  * XfrmInTmplMismatch: look who sends it

Problems:
  * no manager reachable at 192.0.2.1:7443: check that it runs
  * net1: policy refused: EPERM

Degraded: 2 problems, see above.
)");
}

TEST(RenderStatus, EachSaHasALineWhenAskedFor) {
    auto status = sample<v1::StatusReply>(kHealthy);
    *status.mutable_networks(0)->add_sa_list() = sample<v1::SaStatus>(
        R"x(direction: "out" peer: "192.0.2.1" epoch: 4 spi: 0x50008001 cipher: "aes-128-gcm" encap: "none" packets: 1200
           bytes: 96000 sequence: 1200 limit_used_percent: 12.5)x");
    *status.mutable_networks(0)->add_sa_list() = sample<v1::SaStatus>(
        R"x(direction: "in" peer: "192.0.2.1" spi: 0x50004001 cipher: "rfc4106(gcm(aes))" encap: "udp:7443" packets: 7
           bytes: 560 sequence: 9 replayed: 3 outside_window: 1 integrity_failed: 2)x");
    const auto text = render_status(status, kSampleView);
    EXPECT_NE(text.find(R"(
NETWORK   PEER        DIRECTION   EPOCH   SPI          CIPHER              ENCAP      PACKETS   BYTES   SEQUENCE   LIMIT USED   REPLAYED   LATE   FORGED
net1      192.0.2.1   out         4       0x50008001   aes-128-gcm         none       1200      96000   1200       12 %         0          0      0
net1      192.0.2.1   in          -       0x50004001   rfc4106(gcm(aes))   udp:7443   7         560     9          0.0 %        3          1      2
)"),
              std::string::npos)
        << text;
}

TEST(RenderStatus, ColourIsForStates) {
    auto reply = sample<v1::StatusReply>(kHealthy);
    std::string text = render_status(reply, kSampleColourView);
    EXPECT_NE(text.find("\x1b[32mOK\x1b[0m"), std::string::npos);
    EXPECT_NE(text.find("\x1b[33mapplying 2 (has 1)\x1b[0m"), std::string::npos);
    reply.set_state("degraded");
    text = render_status(reply, kSampleColourView);
    EXPECT_NE(text.find("\x1b[31mDegraded\x1b[0m"), std::string::npos);
}

TEST(RenderStatus, ANodeWithoutAClusterIsToldTheFirstStep) {
    EXPECT_EQ(
        render_status(sample<v1::StatusReply>(R"(version: "0.1.0" state: "no-cluster" started_unix_ms: 1799999995000
                  ciphers: "aes-128-gcm" segmentation: "fine")"),
                      kSampleView),
        R"(Cluster:       none
Daemon:        warrend 0.1.0, up 5.0 s
Encryption:    aes-128-gcm
Segmentation:  fine

Not in a cluster: make one with 'warren cluster init', or join one with the command that 'warren token show worker' prints on a manager.
)");
}

}  // namespace
}  // namespace warren::cli
