#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"
#include "tests/lab/udp_sender.h"

// Forged VXLAN reaches no container of an encrypted network. Each attack runs against a plain network too, where it has
// to succeed: else it would prove nothing.
namespace warren::lab {
namespace {

using std::chrono::seconds;

// Sends a datagram with the given destination and payload from wherever the attacker is.
using Attack = std::function<Output(Datagram datagram)>;

class Forged : public testing::Test {
  protected:
    Forged() : lab(cluster_of(2)) {
        victim.warren_ok({"network", "create", "plain"});
        victim.warren_ok({"network", "create", "--opt", "encrypted", "secret"});
        plain = containers_on_all(*lab, "plain", "p");
        secret = containers_on_all(*lab, "secret", "s");
    }

    Output strike(const Attack& attack, const std::string& network_name, const std::vector<Container>& containers) {
        const auto network = inspect(victim, network_name);
        return attack({.destination = victim.address(),
                       .destination_port = static_cast<uint16_t>(network.udp_port()),
                       .payload = forged_payload({.vni = network.vnis(0),
                                                  .inner_source_mac = containers[1].mac(),
                                                  .inner_mac = containers[0].mac(),
                                                  .inner_source_ip = containers[1].ip(),
                                                  .inner_ip = containers[0].ip()})});
    }

    // Everything that either host's barriers have dropped.
    uint64_t dropped() {
        uint64_t sum = 0;
        for (auto* host : {&victim, &other}) {
            sum += barrier_counter(*host, "received_clear") + barrier_counter(*host, "forwarded");
            const auto counters = xfrm_stat(*host);
            for (const auto* name : {"XfrmInTmplMismatch", "XfrmInPolBlock", "XfrmOutPolBlock"}) {
                sum += counters.at(name);
            }
        }
        return sum;
    }

    void expect_barred(const Attack& attack) {
        Capture open(lab->artefacts(), "plain", plain[0].interface(), plain[0].where());
        const auto control = strike(attack, "plain", plain);
        ASSERT_TRUE(control.ok()) << control.err;
        ASSERT_TRUE(open.sees("udp port 7777")) << "the attack does not even work on a plain network";

        Capture closed(lab->artefacts(), "secret", secret[0].interface(), secret[0].where());
        const auto before = dropped();
        const auto sent = strike(attack, "secret", secret);
        ASSERT_TRUE(sent.ok()) << sent.err;
        EXPECT_TRUE(eventually(seconds(5), [&] { return dropped() >= before + 5; }))
            << dropped() - before << " of 5 dropped";
        closed.stop();
        EXPECT_EQ(closed.count("udp port 7777"), 0U);
    }

    std::unique_ptr<Lab> lab;
    Host& victim = lab->host(1);
    Host& other = lab->host(2);
    std::vector<Container> plain;
    std::vector<Container> secret;
};

TEST_F(Forged, FromTheUnderlay) {
    const auto& outsider = lab->add_host();
    expect_barred([&](Datagram datagram) {
        datagram.source_port = 600;
        return send_udp(outsider.where(), datagram);
    });
}

TEST_F(Forged, FromAnUnprivilegedProcessOfAnotherMember) {
    const auto as_nobody = [&](Datagram datagram) {
        datagram.uid = kNobody;
        return send_udp(other.where(), datagram);
    };
    expect_barred(as_nobody);
    // What keeps it from being wrapped in the member's ESP.
    EXPECT_FALSE(as_nobody({.source_port = 600, .destination = victim.address(), .destination_port = 1}).ok());
}

TEST_F(Forged, ThroughLoopback) {
    expect_barred([&](Datagram datagram) {
        datagram.uid = kNobody;
        return send_udp(victim.where(), datagram);
    });
}

TEST_F(Forged, FromBehindMasqueradeOfAnotherMember) {
    const Container guest("guest");
    other.must({"ip", "link", "add", "guest", "type", "veth", "peer", "name", "eth0", "netns", "guest"});
    other.must({"ip", "address", "add", "10.99.0.1/24", "dev", "guest"});
    other.must({"ip", "link", "set", "guest", "up"});
    other.must({"sysctl", "-qw", "net.ipv4.ip_forward=1"});
    other.must({"nft",
                "table ip lab { chain nat { type nat hook postrouting priority srcnat; "
                "ip saddr 10.99.0.0/24 masquerade; }; }"});
    must({"ip", "address", "add", "10.99.0.2/24", "dev", "eth0"}, guest.where());
    must({"ip", "link", "set", "eth0", "up"}, guest.where());
    must({"ip", "route", "add", "default", "via", "10.99.0.1"}, guest.where());
    // From 600 the block policy has it before routing is done; from 5000 only the firewall of the member that forwards.
    for (const uint16_t source_port : {uint16_t{600}, uint16_t{5000}}) {
        const auto forwarded = barrier_counter(other, "forwarded");
        expect_barred([&](Datagram datagram) {
            datagram.source_port = source_port;
            return send_udp(guest.where(), datagram);
        });
        EXPECT_EQ(barrier_counter(other, "forwarded") - forwarded, source_port == 600 ? 0U : 5U);
    }
}

// A member of two networks sends through the SA of one to the port of the other.
TEST_F(Forged, ThroughTheSaOfAnotherNetwork) {
    victim.warren_ok({"network", "create", "--opt", "encrypted", "own"});
    const auto own = containers_on_all(*lab, "own", "o");
    const auto own_reqid = reqid_of_port(inspect(victim, "own").udp_port());
    const auto port = inspect(victim, "secret").udp_port();
    other.freeze_daemon();
    victim.freeze_daemon();
    other.must({"ip",
                "xfrm",
                "policy",
                "add",
                "src",
                other.address(),
                "dst",
                victim.address(),
                "proto",
                "udp",
                "dport",
                std::to_string(port),
                "dir",
                "out",
                "priority",
                "100",
                "tmpl",
                "proto",
                "esp",
                "reqid",
                std::to_string(own_reqid),
                "mode",
                "transport"});
    const auto wrapped = [&] {
        uint64_t packets = 0;
        for (const auto& sa : sa_table(other, own_reqid)) {
            packets += sa.source == other.address() ? sa.packets : 0;
        }
        return packets;
    };
    Capture inside(lab->artefacts(), "secret", secret[0].interface(), secret[0].where());
    const auto wrapped_before = wrapped();
    const auto clear_before = barrier_counter(victim, "received_clear");
    EXPECT_FALSE(secret[1].ping(secret[0].ip(), 3));
    EXPECT_GE(wrapped(), wrapped_before + 3) << "the frames did not go through the other network's SA";
    EXPECT_GE(barrier_counter(victim, "received_clear"), clear_before + 3);

    victim.must({"nft", "delete", "table", "inet", "warren"});
    const auto mismatch_before = xfrm_stat(victim).at("XfrmInTmplMismatch");
    EXPECT_FALSE(secret[1].ping(secret[0].ip(), 3));
    EXPECT_GE(xfrm_stat(victim).at("XfrmInTmplMismatch"), mismatch_before + 3);
    inside.stop();
    EXPECT_EQ(inside.count("icmp"), 0U) << inside.show("icmp");
}

}  // namespace
}  // namespace warren::lab
