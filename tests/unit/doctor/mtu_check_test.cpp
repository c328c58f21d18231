#include "doctor/mtu_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::doctor {
namespace {

using base::Mtu;
using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

base::IpAddress ip(std::string_view text) {
    return base::parse_ip("ip", text).value();
}

MtuSight fitting() {
    return {.network = "net1",
            .mtu = Mtu{1416},
            .protection = overlay::Protection::kEsp,
            .family = base::Family::kIpv4,
            .underlay = Mtu{1500},
            .by = "device eth0"};
}

TEST(CheckMtu, SaysWhatFits) {
    const auto findings = check_mtu(fitting());
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].check, "network net1: MTU");
    EXPECT_EQ(findings[0].verdict, Verdict::kOk);
    EXPECT_EQ(findings[0].detail, "1416: full packets, 1500 on the underlay, fit device eth0 (MTU 1500)");
    EXPECT_EQ(mtu_problem(fitting()), std::nullopt);
}

TEST(CheckMtu, NamesTheDeviceOfThisHostThatMakesItSmall) {
    auto sight = fitting();
    sight.mtu = Mtu{1316};
    sight.underlay = Mtu{1400};
    sight.culprit = {.node = "h2", .here = true, .underlay = Mtu{1400}};
    const auto findings = check_mtu(sight);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_EQ(findings[0].detail, "MTU 1316: this host makes it so small: device eth0 has MTU 1400");
    EXPECT_THAT(findings[0].remedy, HasSubstr("warren network update net1 --opt mtu=1316"));
}

TEST(CheckMtu, NamesTheNodeElsewhere) {
    auto sight = fitting();
    sight.mtu = Mtu{1316};
    sight.culprit = {.node = "h2", .underlay = Mtu{1400}, .peer = ip("192.0.2.3")};
    const auto findings = check_mtu(sight);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_EQ(findings[0].detail,
              "MTU 1316: node 'h2' makes it so small: its underlay carries packets of 1400 to 192.0.2.3");
    EXPECT_THAT(findings[0].remedy, HasSubstr("warren doctor, on node 'h2'"));
}

TEST(CheckMtu, WhatDoesNotFitIsSentInPiecesAndWhatNeverFitsIsWrong) {
    auto sight = fitting();
    sight.underlay = Mtu{1400};
    auto findings = check_mtu(sight);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_THAT(findings[0].detail, HasSubstr("1416, become 1500, but device eth0 has MTU 1400"));
    sight.underlay = Mtu{600};
    findings = check_mtu(sight);
    ASSERT_THAT(findings, SizeIs(1));
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_THAT(findings[0].detail, AllOf(HasSubstr("device eth0 has MTU 600"), HasSubstr("must be at least 660")));
    EXPECT_THAT(findings[0].remedy, HasSubstr("raise it to 1500"));
}

TEST(CheckMtu, TellsWhatTheKernelLearnedOnTheWay) {
    auto sight = fitting();
    sight.learned = {{.to = ip("192.0.2.3"), .mtu = Mtu{1400}}, {.to = ip("192.0.2.4"), .mtu = Mtu{1500}}};
    const auto findings = check_mtu(sight);
    ASSERT_THAT(findings, SizeIs(1)) << "one of the two is in no way";
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_THAT(findings[0].detail, HasSubstr("192.0.2.3 carries packets of 1400, and full ones need 1500"));
    EXPECT_THAT(findings[0].remedy, AllOf(HasSubstr("tracepath -n 192.0.2.3"), HasSubstr("--opt mtu=1316")));
}

}  // namespace
}  // namespace warren::doctor
