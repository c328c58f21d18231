#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// The whole path over an underlay that has IPv6 only: control plane, VXLAN, ESP, both barriers.
namespace warren::lab {
namespace {

using std::chrono::seconds;

TEST(Ipv6Underlay, AllPairsTalkInEspOnlyAndRotationsLoseNothing) {
    const auto lab = cluster_of(3, {}, Underlay::kIpv6);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto containers = containers_on_all(*lab, "net1");
    ASSERT_EQ(unreachable_pairs(containers), "");
    EXPECT_EQ(inspect(manager, "net1").mtu(), 1396U);
    auto floods = flood_all_pairs(*lab, containers);
    for (int i = 0; i < 3; ++i) {
        manager.warren_ok({"key", "rotate", "net1"});
    }
    EXPECT_EQ(losses(floods), "");
    // As large as it says, whole.
    EXPECT_NE(containers[0]
                  .run({"ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", "-M", "do", "-s", "1368", containers[1].ip()})
                  .out.find(" 0% packet loss"),
              std::string::npos);
    capture.stop();
    EXPECT_GT(capture.count(fmt::format("ip6 and esp and src {}", manager.address())), 100U);
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
    EXPECT_EQ(capture.count("ip6 and ip6[6] = 44"), 0U) << "cut into pieces: " << capture.show("ip6[6] = 44");
    const auto doctor = manager.warren({"doctor"});
    EXPECT_EQ(doctor.code, 0) << doctor.out;
}

class OneIpv6Barrier : public testing::TestWithParam<const char*> {};

TEST_P(OneIpv6Barrier, StopsBothDirections) {
    const auto lab = cluster_of(2, {}, Underlay::kIpv6);
    auto& manager = lab->host(1);
    auto& hurt = lab->host(2);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    // Nobody puts it back meanwhile. Without keys it would be clear, if it went.
    hurt.freeze_daemon();
    hurt.must({"bash", "-c", std::string(GetParam()) + "; ip xfrm state flush"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    EXPECT_FALSE(containers[1].ping(containers[0].ip(), 3));
    EXPECT_FALSE(containers[0].ping(containers[1].ip(), 3));
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
    EXPECT_GT(capture.count("ip6 and esp"), 0U) << "from the one that has its keys";
    hurt.thaw_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return containers[1].ping(containers[0].ip(), 3); }));
}

INSTANTIATE_TEST_SUITE_P(Gone, OneIpv6Barrier, testing::Values("ip xfrm policy flush", "nft delete table inet warren"),
                         [](const auto& given) {
                             return std::string(given.param).starts_with("ip") ? "Policies" : "Firewall";
                         });

}  // namespace
}  // namespace warren::lab
