#include <gtest/gtest.h>

#include "cli/render.h"
#include "tests/unit/cli/sample.h"

namespace warren::cli {
namespace {

TEST(RenderDoctor, ALineForEachCheckAndThenWhatToDo) {
    const auto reply = sample<v1::DoctorReply>(R"(
        findings { check: "clock" verdict: "ok" detail: "the manager's, to a second" }
        findings { check: "segmentation" verdict: "warning" detail: "broken" }
        findings { check: "host firewall" verdict: "wrong" detail: "chain INPUT drops ESP" remedy: "iptables -I INPUT" })");
    EXPECT_EQ(render_doctor(reply, kSampleView), R"(CHECK           VERDICT   WHAT WAS SEEN
clock           ok        the manager's, to a second
segmentation    warning   broken
host firewall   wrong     chain INPUT drops ESP

What to do:
  * host firewall: iptables -I INPUT

1 wrong, 1 warning.
)");
}

TEST(RenderDoctor, OfAHealthyHostSaysSo) {
    const auto reply = sample<v1::DoctorReply>(R"(findings { check: "clock" verdict: "ok" detail: "fine" })");
    EXPECT_EQ(render_doctor(reply, kSampleView),
              "CHECK   VERDICT   WHAT WAS SEEN\nclock   ok        fine\n\nHealthy: nothing is wrong.\n");
    const auto unsure = sample<v1::DoctorReply>(R"(findings { check: "clock" verdict: "unknown" detail: "not yet" })");
    EXPECT_NE(render_doctor(unsure, kSampleView).find("known to be wrong; 0 warnings, 1 could not be looked at.\n"),
              std::string::npos);
}

}  // namespace
}  // namespace warren::cli
