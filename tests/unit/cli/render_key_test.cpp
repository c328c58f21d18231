#include <gtest/gtest.h>

#include <ostream>

#include "cli/render.h"
#include "sample.h"

namespace warren::cli {
namespace {

TEST(RenderKeys, ListsEpochs) {
    const auto reply = sample<v1::KeyListReply>(R"(
        epochs { network: "net1" epoch: 3 slot: 2 state: "retiring" cipher: "aes-128-gcm" created_unix_ms: 1799956800000 reason: "schedule" }
        epochs { network: "net1" epoch: 4 slot: 3 state: "active" cipher: "aes-256-gcm" created_unix_ms: 1799999998000 reason: "by command" })");
    EXPECT_EQ(render_keys(reply, kSampleView),
              R"(NETWORK   EPOCH   STATE      CIPHER        SLOT   AGE      REASON
net1      3       retiring   aes-128-gcm   2      12h 0m   schedule
net1      4       active     aes-256-gcm   3      2.0 s    by command
)");
}

TEST(RenderKeyStatus, ShowsNetworksThenMembers) {
    const auto reply = sample<v1::KeyStatusReply>(R"(
        networks { network: "net1" active_epoch: 4 phase: "idle" phase_since_unix_ms: 1799999875000 cipher: "aes-128-gcm"
                   members { node: "host1" installed_epoch: 4 sending_epoch: 4 reachable: true since_unix_ms: 1799996400000 }
                   members { node: "host2" installed_epoch: 3 sending_epoch: 3 reachable: false since_unix_ms: 1799999995000 } }
        networks { network: "net2" phase: "installing" phase_since_unix_ms: 1799999999900 cipher: "aes-128-gcm"
                   members { node: "host1" reachable: true } })");
    EXPECT_EQ(render_key_status(reply, kSampleView),
              R"(NETWORK   EPOCH   PHASE        SINCE    CIPHER        MEMBERS
net1      4       idle         2m 5s    aes-128-gcm   2
net2      -       installing   100 ms   aes-128-gcm   1

NETWORK   NODE    INSTALLED   SENDING   STATE         SINCE
net1      host1   4           4         ready         1h 0m
net1      host2   3           3         unreachable   5.0 s
net2      host1   -           -         ready         -
)");
    const std::string coloured = render_key_status(reply, kSampleColourView);
    EXPECT_NE(coloured.find("\x1b[33m3\x1b[0m"), std::string::npos) << "a sender that is behind";
    EXPECT_NE(coloured.find("\x1b[33minstalling\x1b[0m"), std::string::npos);
}

TEST(RenderKeyStatus, NoneIsTheHeaders) {
    EXPECT_EQ(render_key_status({}, kSampleView),
              "NETWORK   EPOCH   PHASE   SINCE   CIPHER   MEMBERS\n\n"
              "NETWORK   NODE   INSTALLED   SENDING   STATE   SINCE\n");
}

struct Step {
    const char* progress;
    const char* line;
};
// What names the test: not the bytes of two pointers.
void PrintTo(const Step& step, std::ostream* out) {
    *out << step.line;
}

class RotationLine : public testing::TestWithParam<Step> {};

TEST_P(RotationLine, TellsTheStepsSoFar) {
    EXPECT_EQ(rotation_line(sample<v1::RotationProgress>(std::string(R"(network: "net1" )") + GetParam().progress)),
              GetParam().line);
}

INSTANTIATE_TEST_SUITE_P(
    Steps, RotationLine,
    testing::Values(
        Step{R"(epoch: 4 waiting: true phase: "retiring")", "net1: waiting for the rotation in progress"},
        Step{R"(epoch: 4 phase: "installing" members: 3)", "net1: epoch 4  installing 0/3"},
        Step{R"(epoch: 4 phase: "activating" members: 3 installed: 3 active: 1)",
             "net1: epoch 4  installed 3/3  activating 1/3"},
        Step{R"(epoch: 4 phase: "retiring" members: 3 installed: 3 active: 3 retired: 0)",
             "net1: epoch 4  installed 3/3  active 3/3  retiring 0/3"},
        Step{R"(epoch: 4 phase: "idle" members: 3 installed: 3 active: 3 retired: 3 done: true)",
             "net1: epoch 4  installed 3/3  active 3/3  retired 3/3"},
        Step{
            R"(epoch: 4 phase: "retiring" members: 3 installed: 2 active: 2 retired: 2 done: true stragglers: "host3")",
            "net1: epoch 4  installed 2/3  active 2/3  retired 2/3  without host3"},
        Step{R"(epoch: 4 phase: "aborted" members: 3 done: true)", "net1: epoch 4  aborted"},
        Step{R"(phase: "removed" done: true)", "network removed"},
        Step{R"(epoch: 4 phase: "activating" members: 3 installed: 3 active: 1 done: true)",
             "net1: epoch 4  done; the next rotation has begun"},
        Step{R"(epoch: 4 phase: "installing" members: 2 installed: 1 stragglers: "host3" stragglers: "host4")",
             "net1: epoch 4  installing 1/2  without host3, host4"}));

}  // namespace
}  // namespace warren::cli
