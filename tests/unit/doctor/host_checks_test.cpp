#include "doctor/host_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::doctor {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(CheckClock, TellsHowFarItIsOff) {
    auto finding = check_clock({.ahead = 20ms, .synchronised = true});
    EXPECT_EQ(finding.verdict, Verdict::kOk);
    EXPECT_EQ(finding.detail, "the manager's, to a second");
    finding = check_clock({.ahead = 30s, .synchronised = true});
    EXPECT_EQ(finding.verdict, Verdict::kWarning);
    EXPECT_EQ(finding.detail, "30 s ahead of the manager's");
    finding = check_clock({.ahead = -2h, .synchronised = true});
    EXPECT_EQ(finding.verdict, Verdict::kWrong);
    EXPECT_EQ(finding.detail, "2h 0m behind the manager's");
    EXPECT_THAT(finding.remedy, HasSubstr("timedatectl"));
}

TEST(CheckClock, UnknownIsSaidAndUnsynchronisedToo) {
    EXPECT_EQ(check_clock({}).verdict, Verdict::kUnknown);
    const auto finding = check_clock({.ahead = 0s, .synchronised = false});
    EXPECT_EQ(finding.verdict, Verdict::kOk);
    EXPECT_THAT(finding.detail, HasSubstr("not synchronised"));
    EXPECT_FALSE(finding.remedy.empty());
}

TEST(LocalPorts, AreReadAsTheKernelWritesThem) {
    const auto ports = parse_local_ports("32768\t60999\n", "4789,10000-10010\n");
    ASSERT_TRUE(ports);
    EXPECT_EQ(ports->low, 32768);
    EXPECT_EQ(ports->high, 60999);
    EXPECT_THAT(ports->reserved, testing::ElementsAre(testing::Pair(4789, 4789), testing::Pair(10000, 10010)));
    EXPECT_TRUE(parse_local_ports("1 2", "\n"));
    for (const auto* bad : {"", "1", "a b", "1 70000"}) {
        EXPECT_FALSE(parse_local_ports(bad, "")) << bad;
    }
    EXPECT_FALSE(parse_local_ports("1 2", "x-3"));
}

TEST(LocalPorts, OursAmongThemAreNamedWithTheSysctl) {
    const std::vector<NeededPort> needed{{10001, "network net1"}, {10011, "network net2"}, {4789, "network plain"}};
    EXPECT_EQ(check_local_ports(parse_local_ports("32768 60999", ""), needed).verdict, Verdict::kOk);
    const auto finding = check_local_ports(parse_local_ports("1024 65535", "10000-10010"), needed);
    EXPECT_EQ(finding.verdict, Verdict::kWarning);
    EXPECT_THAT(finding.detail, HasSubstr("10011 of network net2, 4789 of network plain: among"));
    EXPECT_THAT(finding.remedy, HasSubstr("net.ipv4.ip_local_reserved_ports=10000-10010,10011,4789"));
    EXPECT_EQ(check_local_ports(std::nullopt, needed).verdict, Verdict::kUnknown);
}

TEST(CheckUnderlay, SaysWhichDeviceItIs) {
    const UnderlaySight there{.device = "eth0", .mtu = base::Mtu{1500}, .address = base::IpAddress::v4(0xc0000201)};
    EXPECT_EQ(check_underlay(there).verdict, Verdict::kOk);
    EXPECT_EQ(check_underlay(there).detail, "eth0 with 192.0.2.1, MTU 1500");
}

TEST(CheckUnderlay, ALostAddressIsWrong) {
    const auto finding = check_underlay({.device = "eth0", .mtu = {}, .address = base::IpAddress::v4(0xc0000201)});
    EXPECT_EQ(finding.verdict, Verdict::kWrong);
    EXPECT_THAT(finding.detail, HasSubstr("192.0.2.1"));
}

}  // namespace
}  // namespace warren::doctor
