#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"
#include "tests/lab/udp_sender.h"

// Nothing of an encrypted network leaves in clear, whatever is missing.
namespace warren::lab {
namespace {

using std::chrono::seconds;

void expect_silence(Capture& capture) {
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
}

TEST(Clear, NoSaNoTraffic) {
    const auto lab = cluster_of(2);
    auto& sender = lab->host(1);
    sender.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const Container from("c1");
    const Container to("c2");
    // c1 sends from before it has a peer, a key or an SA until long after, and c2 from the instant it has an interface.
    sender.connect("net1", from);
    Process early({"ping", "-n", "-q", "-i", "0.01", "10.128.0.3"}, from.where());
    Process at_once({"bash", "-c", "while true; do echo > /dev/udp/10.128.0.2/9; done 2> /dev/null"}, to.where());
    lab->host(2).connect("net1", to, {"--ip", "10.128.0.3"});
    ASSERT_TRUE(eventually(seconds(10), [&] { return from.ping(to.ip()); }));
    at_once.signal(SIGKILL);

    const auto lost = key_fingerprints(sender);
    ASSERT_GE(lost.size(), 2U);
    sender.freeze_daemon();
    sender.must({"ip", "xfrm", "state", "flush"});
    const auto before = xfrm_stat(sender).at("XfrmOutNoStates");
    EXPECT_FALSE(from.ping(to.ip(), 3));
    EXPECT_GT(xfrm_stat(sender).at("XfrmOutNoStates"), before);
    sender.thaw_daemon();
    // The daemon notices, and asks for new keys: nobody may re-create what was lost.
    EXPECT_TRUE(eventually(seconds(10), [&] { return from.ping(to.ip()); })) << "no rotation has healed it";
    EXPECT_EQ(keys_in_both(lost, key_fingerprints(sender)), 0U) << "a lost SA was re-created";
    expect_silence(capture);
    EXPECT_GT(capture.count("esp"), 0U);
}

// The host's administrator rewrites the source of everything: the flow then matches no policy that encrypts.
void expect_no_clear_behind(const std::string& snat) {
    const auto lab = cluster_of(2);
    auto& sender = lab->host(1);
    sender.warren_ok({"network", "create", "plain"});
    sender.warren_ok({"network", "create", "--opt", "encrypted", "secret"});
    const auto port = inspect(sender, "secret").udp_port();
    sender.must({"nft", fmt::format("table ip lab {{ chain nat {{ type nat hook postrouting priority srcnat; "
                                    "udp dport {{ 4789, {} }} {}; }}; }}",
                                    port, snat)});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto plain = containers_on_all(*lab, "plain", "p");
    const Container from("c1");
    const Container to("c2");
    sender.connect("secret", from);
    lab->host(2).connect("secret", to);
    // Encrypted or lost, either will do.
    static_cast<void>(from.ping(to.ip(), 5));
    capture.stop();
    EXPECT_GT(capture.count("udp dst port 4789 and (src 192.0.2.101 or portrange 2000-3000)"), 0U)
        << "the rule rewrites nothing, so this test proves nothing";
    const auto clear = fmt::format("udp and not port 4789");
    EXPECT_EQ(capture.count(clear), 0U) << capture.show(clear);
}

TEST(Clear, NotBehindNatOfTheSourceAddress) {
    expect_no_clear_behind("snat to 192.0.2.101");
}
TEST(Clear, NotBehindNatOfTheSourcePort) {
    expect_no_clear_behind("snat to 192.0.2.1:2000-3000");
}

// Two hosts with an encrypted network, an outsider on the underlay, and daemons that can't repair anything.
class OneBarrier : public testing::Test {
  protected:
    OneBarrier() : lab(cluster_of(2)), outsider(lab->add_host()) {
        sender.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        for (const unsigned number : {1U, 2U}) {
            lab->host(number).connect("net1", containers.emplace_back(fmt::format("c{}", number)));
        }
        if (const auto missing = unreachable_pairs(containers); !missing.empty()) {
            throw std::runtime_error("no answer: " + missing);
        }
        network = inspect(sender, "net1");
        sender.freeze_daemon();
        receiver.freeze_daemon();
    }

    // Forged frames from a privileged and an unprivileged port do not arrive, and `dropped` counts each of them.
    void expect_forged_stay_out(const std::function<uint64_t()>& dropped) {
        Capture inside(lab->artefacts(), "container", containers[1].interface(), containers[1].where());
        const auto payload = forged_payload({.vni = network.vnis(0),
                                             .inner_source_mac = containers[0].mac(),
                                             .inner_mac = containers[1].mac(),
                                             .inner_source_ip = containers[0].ip(),
                                             .inner_ip = containers[1].ip()});
        const auto before = dropped();
        for (const uint16_t source_port : {uint16_t{600}, uint16_t{5000}}) {
            const auto sent = send_udp(outsider.where(), {.source_port = source_port,
                                                          .destination = receiver.address(),
                                                          .destination_port = static_cast<uint16_t>(network.udp_port()),
                                                          .payload = payload});
            ASSERT_TRUE(sent.ok()) << sent.err;
        }
        EXPECT_TRUE(eventually(seconds(5), [&] { return dropped() >= before + 10; })) << dropped() << " of 10 dropped";
        inside.stop();
        EXPECT_EQ(inside.count("udp port 7777"), 0U);
    }

    std::unique_ptr<Lab> lab;
    Host& sender = lab->host(1);
    Host& receiver = lab->host(2);
    Host& outsider;
    std::vector<Container> containers;
    v1::Network network;
};

TEST_F(OneBarrier, FirewallAloneStopsBothDirections) {
    sender.must({"ip", "xfrm", "policy", "flush"});
    receiver.must({"ip", "xfrm", "policy", "flush"});
    Capture underlay(lab->artefacts(), "underlay", kUnderlay);
    const auto before = barrier_counter(sender, "sent_clear");
    EXPECT_FALSE(containers[0].ping(containers[1].ip(), 3));
    EXPECT_GT(barrier_counter(sender, "sent_clear"), before);
    expect_silence(underlay);
    expect_forged_stay_out([&] { return barrier_counter(receiver, "received_clear"); });
}

// To another source the policies that encrypt do not apply.
TEST_F(OneBarrier, PoliciesAloneStopWhatNatRewrites) {
    const auto port = network.udp_port();
    sender.must({"nft", fmt::format("table ip lab {{ chain nat {{ type nat hook postrouting priority srcnat; "
                                    "udp dport {} snat to 192.0.2.101; }}; }}",
                                    port)});
    sender.must({"nft", "delete", "table", "inet", "warren"});
    Capture underlay(lab->artefacts(), "underlay", kUnderlay);
    const auto before = xfrm_stat(sender).at("XfrmOutPolBlock");
    EXPECT_FALSE(containers[0].ping(containers[1].ip(), 3));
    EXPECT_GE(xfrm_stat(sender).at("XfrmOutPolBlock"), before + 3);
    expect_silence(underlay);
}

TEST_F(OneBarrier, PoliciesAloneStopBothDirections) {
    sender.must({"nft", "delete", "table", "inet", "warren"});
    receiver.must({"nft", "delete", "table", "inet", "warren"});
    Capture underlay(lab->artefacts(), "underlay", kUnderlay);
    EXPECT_TRUE(containers[0].ping(containers[1].ip()));
    sender.must({"ip", "xfrm", "state", "flush"});
    const auto before = xfrm_stat(sender).at("XfrmOutNoStates");
    EXPECT_FALSE(containers[0].ping(containers[1].ip(), 3));
    EXPECT_GT(xfrm_stat(sender).at("XfrmOutNoStates"), before);
    expect_silence(underlay);
    expect_forged_stay_out([&] {
        const auto counters = xfrm_stat(receiver);
        return counters.at("XfrmInTmplMismatch") + counters.at("XfrmInPolBlock") + counters.at("XfrmInNoPols");
    });
}

}  // namespace
}  // namespace warren::lab
