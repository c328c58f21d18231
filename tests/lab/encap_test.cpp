#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// ESP in UDP (--opt encap=udp): for underlays that let no ESP through.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// Everything between VTEPs that is neither UDP to the port of ESP in UDP nor the control plane.
std::string not_in_udp(unsigned port = 7443) {
    return fmt::format("({}) and not udp port {}", kNotEsp, port);
}

void create(Lab& lab, const std::string& encap) {
    lab.host(1).warren_ok({"network", "create", "--opt", "encrypted", "--opt", "encap=" + encap, "net1"});
}
void update(Lab& lab, const std::string& encap) {
    lab.host(1).warren_ok({"network", "update", "net1", "--opt", "encap=" + encap});
}
// The rotation that an update brings about is done, and every SA of the host is encapsulated so.
bool all_sas_are(const Host& host, const std::string& encap) {
    const auto status = host.ask<v1::StatusReply>({"status", "--sas"});
    for (const auto& sa : status.networks(0).sa_list()) {
        if (sa.encap() != encap) {
            return false;
        }
    }
    return status.networks(0).sa_list_size() > 0;
}
bool all_hosts_are(Lab& lab, const std::string& encap) {
    return eventually(seconds(20), [&] {
        return std::all_of(lab.hosts().begin(), lab.hosts().end(),
                           [&](const auto& host) { return all_sas_are(*host, encap); });
    });
}
// A packet of the network's full size, which is not to be cut, gets through.
bool carries(const Container& from, const Container& to, std::uint32_t mtu) {
    constexpr std::uint32_t kIpAndIcmp = 28;
    return from
        .run({"ping", "-c", "3", "-i", "0.1", "-W", "2", "-M", "do", "-s", std::to_string(mtu - kIpAndIcmp), to.ip()})
        .ok();
}
std::string mtu_of(const Container& container) {
    const auto shown = container.run({"ip", "-o", "link", "show", container.interface()}).out;
    const auto at = shown.find(" mtu ") + 5;
    return shown.substr(at, shown.find(' ', at) - at);
}
// The processes that hold sockets for a host's daemon.
std::string holders(const Host& host) {
    return run({"pgrep", "-af", "^warren-hold " + host.run_dir().string()}).out;
}

class EncapOver : public testing::TestWithParam<Underlay> {};

TEST_P(EncapOver, CarriesAllInUdpAtFullSizeAndLosesNothingToRotations) {
    const auto lab = cluster_of(3, {}, GetParam());
    const bool four = GetParam() == Underlay::kIpv4;
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    create(*lab, "udp");
    const auto containers = containers_on_all(*lab, "net1");
    const auto network = inspect(lab->host(1), "net1");
    EXPECT_EQ(network.encap(), "udp:7443");
    EXPECT_EQ(network.mtu(), four ? 1408U : 1388U);
    EXPECT_TRUE(carries(containers[0], containers[1], network.mtu()));
    EXPECT_FALSE(carries(containers[0], containers[1], network.mtu() + 1));
    auto floods = flood_all_pairs(*lab, containers);
    for (int i = 0; i < 3; ++i) {
        lab->host(1).warren_ok({"key", "rotate", "net1"});
    }
    EXPECT_EQ(losses(floods), "");
    EXPECT_TRUE(all_hosts_are(*lab, "udp:7443"));
    const auto proven = lab->host(2).warren({"network", "verify", "net1"});
    EXPECT_EQ(proven.code, 0) << proven.out << proven.err;
    capture.stop();
    // The verification's own forged ones: three to each of two peers.
    EXPECT_EQ(capture.count("esp"), 0U) << capture.show("esp");
    EXPECT_EQ(capture.count(not_in_udp()), 6U) << capture.show(not_in_udp());
    // SPIs of Warren's begin with 01, and no packet is cut: tcpdump's word.
    const std::string spi = four ? "udp[8:4]" : "ip6[48:4]";
    EXPECT_EQ(capture.count("udp port 7443 and " + spi + " & 0xc0000000 != 0x40000000"), 0U);
    EXPECT_GT(capture.count("udp src port 7443 and udp dst port 7443"), 1000U);
    EXPECT_EQ(capture.count(four ? "ip[6:2] & 0x3fff != 0" : "ip6 proto 44"), 0U);
}

INSTANTIATE_TEST_SUITE_P(Underlays, EncapOver, testing::Values(Underlay::kIpv4, Underlay::kIpv6),
                         [](const auto& given) { return given.param == Underlay::kIpv4 ? "Ipv4" : "Ipv6"; });

// The socket is not the daemon's alone: what comes while it is away is decrypted.
TEST(Encap, LosesNoPacketToARestartOfAnyKind) {
    const auto lab = cluster_of(2);
    create(*lab, "udp");
    const auto containers = containers_on_all(*lab, "net1");
    auto& host = lab->host(2);
    EXPECT_THAT(holders(host), HasSubstr("esp-in-udp-7443-c0000202"));
    auto floods = flood_all_pairs(*lab, containers);
    for (const int signal : {SIGTERM, SIGKILL}) {
        host.kill_daemon(signal);
        for (auto& flood : floods) {
            EXPECT_TRUE(flood.flowing()) << flood.name() << " without the daemon, after signal " << signal;
        }
        host.start_daemon();
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(host); }));
        lab->host(1).warren_ok({"key", "rotate", "net1"});
    }
    // Who kills the one that holds it loses nothing while the daemon is there, and nothing afterwards.
    const auto before = holders(host);
    run({"pkill", "-KILL", "-f", "^warren-hold " + host.run_dir().string()});
    lab->host(1).warren_ok({"key", "rotate", "net1"});
    EXPECT_TRUE(eventually(seconds(10), [&] { return !holders(host).empty() && holders(host) != before; }));
    host.kill_daemon(SIGKILL);
    for (auto& flood : floods) {
        EXPECT_TRUE(flood.flowing()) << flood.name() << " with the second holder";
    }
    host.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(host); }));
    EXPECT_EQ(losses(floods), "");
}

// A way with a firewall that drops ESP: doctor says so and what to do, which heals it.
TEST(Encap, HealsANetworkWhoseEspAFirewallDrops) {
    const auto lab = cluster_of(2);
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    EXPECT_EQ(mtu_of(containers[0]), "1416");
    for (const auto& host : lab->hosts()) {
        host->must({"nft",
                    "add table ip wall; add chain ip wall in { type filter hook prerouting priority -300; }; "
                    "add rule ip wall in meta l4proto esp drop"});
    }
    EXPECT_FALSE(containers[0].ping(containers[1].ip()));
    EXPECT_THAT(lab->host(1).warren({"doctor"}).out, HasSubstr("--opt encap=udp"));
    update(*lab, "udp");
    EXPECT_EQ(unreachable_pairs(containers), "");
    EXPECT_EQ(inspect(lab->host(1), "net1").mtu(), 1408U);
    EXPECT_TRUE(eventually(seconds(5), [&] { return mtu_of(containers[0]) == "1408"; }));
    EXPECT_TRUE(carries(containers[0], containers[1], 1408));
    const auto examined = lab->host(2).warren({"doctor"}).out;
    EXPECT_THAT(examined, HasSubstr("full frames uncut"));
    EXPECT_THAT(examined, testing::Not(HasSubstr("encap")));
}

TEST(Encap, LosesNothingToAChangeToAnotherPortAndBackToPlainEsp) {
    const auto lab = cluster_of(3);
    create(*lab, "udp");
    const auto containers = containers_on_all(*lab, "net1");
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    auto floods = flood_all_pairs(*lab, containers);
    update(*lab, "udp:4501");
    ASSERT_TRUE(all_hosts_are(*lab, "udp:4501"));
    EXPECT_TRUE(capture.sees("udp port 4501"));
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(10), [&] { return holders(*host).find("7443") == std::string::npos; }))
            << holders(*host);
    }
    update(*lab, "none");
    ASSERT_TRUE(all_hosts_are(*lab, "none"));
    EXPECT_TRUE(capture.sees("esp"));
    EXPECT_EQ(losses(floods), "");
    capture.stop();
    EXPECT_EQ(capture.count(not_in_udp() + " and not udp port 4501"), 0U);
    EXPECT_EQ(inspect(lab->host(1), "net1").mtu(), 1408U) << "it grows when that has lasted";
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(10), [&] { return holders(*host).empty(); })) << holders(*host);
    }
}

TEST(Encap, APortThatIsTakenHoldsUpItsEpochAndNoTraffic) {
    const auto lab = cluster_of(2);
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    auto& host = lab->host(2);
    auto floods = flood_all_pairs(*lab, containers);
    Process squatter({"socat", "-u", "UDP4-RECV:7443", "/dev/null"}, host.where());
    ASSERT_TRUE(eventually(seconds(20), [&] {
        return host.run({"ss", "-Hlun", "sport", "=", ":7443"}).out.find(":7443") != std::string::npos;
    }));
    update(*lab, "udp");
    EXPECT_TRUE(eventually(seconds(10), [&] {
        const auto status = host.warren({"status"});
        return status.code == 4 &&
               status.out.find("UDP port 7443 for ESP in UDP is taken by process") != std::string::npos;
    })) << host.warren({"status"}).out;
    EXPECT_EQ(inspect(lab->host(1), "net1").active_epoch(), 1U);
    // Another port: what is being installed is taken back.
    update(*lab, "udp:4501");
    EXPECT_TRUE(all_hosts_are(*lab, "udp:4501"));
    EXPECT_EQ(inspect(lab->host(1), "net1").active_epoch(), 3U);
    update(*lab, "udp");
    squatter.signal(SIGKILL);
    EXPECT_TRUE(all_hosts_are(*lab, "udp:7443"));
    EXPECT_EQ(losses(floods), "");
    EXPECT_EQ(host.warren({"status"}).code, 0) << host.warren({"status"}).out;
}

TEST(Encap, AContainerThatNobodyCouldSendToIsNotConnected) {
    const auto lab = cluster_of(2);
    create(*lab, "udp");
    auto& host = lab->host(2);
    Process squatter({"socat", "-u", "UDP4-RECV:7443", "/dev/null"}, host.where());
    ASSERT_TRUE(eventually(seconds(20), [&] {
        return host.run({"ss", "-Hlun", "sport", "=", ":7443"}).out.find(":7443") != std::string::npos;
    }));
    const Container container("c2");
    const auto refused = host.warren({"network", "connect", "net1", "--netns", "c2"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("UDP port 7443 for ESP in UDP is taken by process"));
    squatter.signal(SIGKILL);
    EXPECT_TRUE(eventually(seconds(20), [&] { return host.warren({"status"}).code == 0; }))
        << host.warren({"status"}).out;
}

TEST(Encap, LeavesNothingBehind) {
    const auto lab = cluster_of(2);
    create(*lab, "udp");
    {
        const auto containers = containers_on_all(*lab, "net1");
        for (unsigned i = 1; i <= 2; ++i) {
            EXPECT_THAT(holders(lab->host(i)), HasSubstr("esp-in-udp-7443"));
            lab->host(i).warren_ok({"network", "disconnect", "net1", fmt::format("c{}", i)});
        }
    }
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(10), [&] { return holders(*host).empty(); })) << holders(*host);
        EXPECT_EQ(host->run({"ss", "-Hlun", "sport", "=", ":7443"}).out, "");
    }
}

}  // namespace
}  // namespace warren::lab
