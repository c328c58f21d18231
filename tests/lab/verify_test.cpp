#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

// `warren network verify`: says "encrypted" of what is, and nothing else of anything else.
namespace warren::lab {
namespace {

using testing::HasSubstr;

v1::NetworkVerifyReply verified(const Host& host, const std::string& network = "net1") {
    return host.ask<v1::NetworkVerifyReply>({"network", "verify", network});
}

class Verify : public testing::TestWithParam<Underlay> {};

TEST_P(Verify, ProvesOfEachPeerThatItIsEncrypted) {
    const auto lab = cluster_of(3, {}, GetParam());
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    auto floods = flood_all_pairs(*lab, containers);
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto output = lab->host(2).warren({"network", "verify", "net1"});
    EXPECT_EQ(output.code, 0) << output.out << output.err;
    const auto reply = verified(lab->host(3));
    capture.stop();
    EXPECT_EQ(reply.verdict(), "encrypted");
    ASSERT_EQ(reply.peers_size(), 2);
    for (const auto& peer : reply.peers()) {
        EXPECT_EQ(peer.sent(), 10U);
        EXPECT_EQ(peer.esp_seen_there(), 10U) << "a flood's packets are of another size";
        EXPECT_EQ(peer.clear_here() + peer.clear_there(), 0U);
        EXPECT_EQ(peer.forged_seen_there(), 3U);
        EXPECT_EQ(peer.forged_delivered(), 0U);
        EXPECT_THAT(peer.refused_by(), HasSubstr("nft received_clear +3"));
    }
    // tcpdump agrees: in clear there were the forged frames, three from each of two hosts to each of its peers.
    EXPECT_EQ(capture.count(kNotEsp), 12U) << capture.show(kNotEsp);
    EXPECT_EQ(losses(floods), "");
}

INSTANTIATE_TEST_SUITE_P(Over, Verify, testing::Values(Underlay::kIpv4, Underlay::kIpv6),
                         [](const auto& given) { return given.param == Underlay::kIpv4 ? "Ipv4" : "Ipv6"; });

TEST(VerifyFails, LoudlyWhenSomebodyTakesBothBarriersAway) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    // Somebody with all rights lets everything through on both hosts, over and over: what Warren puts back does not
    // last.
    std::vector<Process> openers;
    for (const auto& host : lab->hosts()) {
        openers.emplace_back(
            Argv{"bash", "-c", "while true; do nft delete table inet warren; ip xfrm policy flush; sleep 0.01; done"},
            host->where());
    }
    Output last;
    EXPECT_TRUE(eventually(std::chrono::seconds(20), [&] {
        last = manager.warren({"network", "verify", "net1"});
        return last.code == 1;
    })) << last.out;
    EXPECT_THAT(last.out, HasSubstr("NOT ENCRYPTED")) << last.err;
    for (auto& opener : openers) {
        opener.signal(SIGKILL);
    }
}

TEST(VerifyFails, WithTheReasonWhenThereIsNothingToProve) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& other = lab->host(2);
    manager.warren_ok({"network", "create", "plain"});
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto plain = containers_on_all(*lab, "plain", "p");
    const Container alone("alone");
    manager.connect("net1", alone);
    const auto refused = [&](const std::string& network) {
        const auto output = manager.warren({"network", "verify", network});
        EXPECT_EQ(output.code, 1);
        return output.err;
    };
    EXPECT_THAT(refused("plain"), HasSubstr("network 'plain': is not encrypted"));
    EXPECT_THAT(refused("nowhere"), HasSubstr("network 'nowhere': this host is no member of such a network"));
    const auto output = manager.warren({"network", "verify", "net1"});
    EXPECT_EQ(output.code, 4) << output.out;
    EXPECT_THAT(output.out, HasSubstr("no other host is a member"));
    // A peer that does not say what it saw proves nothing.
    const Container far("far");
    other.connect("net1", far);
    ASSERT_TRUE(eventually(std::chrono::seconds(10), [&] { return alone.ping(far.ip()); }));
    other.freeze_daemon();
    const auto reply = verified(manager);
    EXPECT_EQ(reply.verdict(), "unproven");
    EXPECT_THAT(reply.peers(0).detail(), HasSubstr("it did not answer"));
    other.thaw_daemon();
}

}  // namespace
}  // namespace warren::lab
