#include "doctor/path_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::doctor {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

PathSight fine() {
    return {.network = "net1",
            .peer = "192.0.2.2",
            .vtep = base::IpAddress::v4(0xc0000202),
            .mtu = base::Mtu{1416},
            .found = {.asked = 5,
                      .answered = 5,
                      .round_trip = 1'234us,
                      .large_there = true,
                      .large_back = true,
                      .uncut_there = base::Mtu{1416},
                      .uncut_back = base::Mtu{1416}},
            .keys_out = 1,
            .keys_in = 1,
            .decrypted = 10,
            .told = std::nullopt};
}
PathSight closed(std::optional<PathSight::Peer> told) {
    auto sight = fine();
    sight.found = {.asked = 5};
    sight.told = std::move(told);
    return sight;
}

TEST(CheckPath, AFineOneIsOneLine) {
    const auto findings = check_path(fine());
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0], (Finding{.check = "network net1: 192.0.2.2",
                                    .verdict = Verdict::kOk,
                                    .detail = "both ways, round trip 1.234 ms, full frames uncut",
                                    .remedy = {}}));
}

TEST(CheckPath, WhichDirectionIsClosedIsSaid) {
    struct Case {
        PathSight sight;
        const char* detail;
    };
    auto no_key = closed(PathSight::Peer{.probes = 5});
    no_key.keys_out = 0;
    auto no_key_in = closed(PathSight::Peer{.probes = 5});
    no_key_in.keys_in = 0;
    auto never = closed(PathSight::Peer{.probes = 5});
    never.decrypted = 0;
    for (const auto& [sight, detail] : {
             Case{no_key, "frames can't be sent: there is no key for what goes to it"},
             Case{closed(PathSight::Peer{.probes = 0}), "frames do not get there: none of 5 came to it"},
             Case{no_key_in, "its answers can't be decrypted: there is no key for what comes from it"},
             Case{closed(PathSight::Peer{.probes = 4}),
                  "frames get there (4 of 5), answers do not come back; ESP from it"},
             Case{never, "answers do not come back: no ESP from it was decrypted here"},
             Case{closed(PathSight::Peer{.error = "it has no session with the manager"}),
                  "can't be asked whether any came: it has no session"},
         }) {
        const auto findings = check_path(sight);
        ASSERT_EQ(findings.size(), 1U);
        EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
        EXPECT_THAT(findings[0].detail, HasSubstr(detail));
        EXPECT_FALSE(findings[0].remedy.empty());
    }
}

TEST(CheckPath, ClosedForEspItMayBeOpenForUdp) {
    auto sight = closed(PathSight::Peer{.probes = 0});
    EXPECT_THAT(check_path(sight)[0].remedy, HasSubstr("warren network update net1 --opt encap=udp, on a manager"));
    sight.encap = base::UdpPort{7443};
    const auto remedy = check_path(sight)[0].remedy;
    EXPECT_THAT(remedy, HasSubstr("let UDP port 7443 between the hosts through"));
    EXPECT_THAT(remedy, HasSubstr("tcpdump -ni DEVICE udp port 7443"));
    EXPECT_THAT(remedy, testing::Not(HasSubstr("encap")));
}

TEST(CheckPath, AnMtuThatIsTooSmallIsToldAsTheUnderlaysAndTheNetworks) {
    auto sight = fine();
    sight.found.large_there = false;
    sight.found.uncut_there = base::Mtu{1316};
    sight.found.uncut_back = base::Mtu{1316};
    const auto findings = check_path(sight);
    ASSERT_EQ(findings.size(), 2U);
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_THAT(findings[0].detail,
                HasSubstr("to it: small frames get through, full ones (1500 on the underlay) do not"));
    EXPECT_THAT(findings[0].remedy, HasSubstr("--opt mtu=1316"));
    EXPECT_EQ(findings[1].verdict, Verdict::kWarning);
    EXPECT_THAT(findings[1].detail,
                HasSubstr("from it: full frames (1500 on the underlay) get through in pieces only"));
}

TEST(CheckPath, LossIsAWarning) {
    auto sight = fine();
    sight.found.answered = 3;
    const auto findings = check_path(sight);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_EQ(findings[0].detail, "2 of 5 small frames were lost");
}

}  // namespace
}  // namespace warren::doctor
