#include <gtest/gtest.h>

#include <ostream>

#include "cli/render.h"
#include "sample.h"

namespace warren::cli {
namespace {

TEST(RenderKeys, ListsEpochs) {
    const auto reply = sample<v1::KeyListReply>(R"(
        epochs { network: "net1" epoch: 3 slot: 2 state: "retiring" cipher: "aes-128-gcm" created_unix_ms: 1799956800000 reason: "schedule" kept_for: "host3" kept_for: "host4" }
        epochs { network: "net1" epoch: 4 slot: 3 state: "active" cipher: "aes-256-gcm" created_unix_ms: 1799999998000 reason: "by command" })");
    EXPECT_EQ(render_keys(reply, kSampleView),
              R"(NETWORK   EPOCH   STATE      CIPHER        SLOT   AGE      REASON       KEPT FOR
net1      3       retiring   aes-128-gcm   2      12h 0m   schedule     host3, host4
net1      4       active     aes-256-gcm   3      2.0 s    by command   -
)");
}

TEST(RenderKeyStatus, ShowsNetworksThenMembers) {
    const auto reply = sample<v1::KeyStatusReply>(R"(
        networks { network: "net1" active_epoch: 4 phase: "idle" phase_since_unix_ms: 1799999875000 cipher: "aes-128-gcm"
                   next_rotation_unix_ms: 1800010000000 key_rotation_ms: 43200000
                   members { node: "host1" installed_epoch: 4 sending_epoch: 4 limit_used_percent: 93.75 reachable: true since_unix_ms: 1799996400000 }
                   members { node: "host2" installed_epoch: 3 sending_epoch: 3 reachable: false since_unix_ms: 1799999995000 } }
        networks { network: "net2" phase: "installing" phase_since_unix_ms: 1799999999900 cipher: "aes-128-gcm"
                   waiting: "member-left" waiting: "limit" waiting_until_unix_ms: 1800000040000
                   members { node: "host1" reachable: true } })");
    EXPECT_EQ(
        render_key_status(reply, kSampleView),
        R"(NETWORK   EPOCH   PHASE        SINCE    CIPHER        MEMBERS   NEXT ROTATION                 LIMIT USED
net1      4       idle         2m 5s    aes-128-gcm   2         in 2h 46m                     94 %
net2      -       installing   100 ms   aes-128-gcm   1         member-left, limit: in 40 s   0.0 %

NETWORK   NODE    INSTALLED   SENDING   LIMIT USED   STATE         SINCE
net1      host1   4           4         94 %         ready         1h 0m
net1      host2   3           3         0.0 %        unreachable   5.0 s
net2      host1   -           -         0.0 %        ready         -
)");
    const std::string coloured = render_key_status(reply, kSampleColourView);
    EXPECT_NE(coloured.find("\x1b[33m3\x1b[0m"), std::string::npos) << "a sender that is behind";
    EXPECT_NE(coloured.find("\x1b[33minstalling\x1b[0m"), std::string::npos);
}

TEST(RenderKeyStatus, NoneIsTheHeaders) {
    EXPECT_EQ(render_key_status({}, kSampleView),
              "NETWORK   EPOCH   PHASE   SINCE   CIPHER   MEMBERS   NEXT ROTATION   LIMIT USED\n\n"
              "NETWORK   NODE   INSTALLED   SENDING   LIMIT USED   STATE   SINCE\n");
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
    EXPECT_EQ(rotation_line(sample<v1::RotationProgress>(std::string(R"(network: "net1" )") + GetParam().progress),
                            kSampleView.now),
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
            R"(epoch: 4 phase: "retiring" members: 3 installed: 2 active: 2 retired: 2 done: true late { node: "host3" since_unix_ms: 1799999815000 })",
            "net1: epoch 4  installed 2/3  active 2/3  retired 2/3  without host3 (unreachable 3m 5s)"},
        Step{R"(epoch: 4 phase: "aborted" members: 3 done: true)", "net1: epoch 4  aborted"},
        Step{R"(phase: "removed" done: true)", "network removed"},
        Step{R"(epoch: 4 phase: "activating" members: 3 installed: 3 active: 1 done: true)",
             "net1: epoch 4  done; the next rotation has begun"},
        Step{
            R"(epoch: 4 phase: "installing" members: 2 installed: 1 late { node: "host2" waited_for: true reachable: true }
             late { node: "host3" reachable: true } late { node: "host4" since_unix_ms: 1799999998000 })",
            "net1: epoch 4  installing 1/2  without host3 (does not confirm), host4 (unreachable 2.0 s)"}));

TEST(LateLines, NameWhoIsWaitedFor) {
    EXPECT_TRUE(late_lines(sample<v1::RotationProgress>(R"(late { node: "a" reachable: true })")).empty());
    EXPECT_EQ(late_lines(sample<v1::RotationProgress>(
                  R"(late { node: "a" reachable: true waited_for: true } late { node: "b" waited_for: true })")),
              std::vector<std::string>{"  waiting for a, b (away)"});
    v1::RotationProgress many;
    for (int i = 0; i < 9; ++i) {
        many.add_late()->set_waited_for(true);
        many.mutable_late(i)->set_reachable(true);
        many.mutable_late(i)->set_node(fmt::format("h{}", i));
    }
    EXPECT_EQ(late_lines(many), std::vector<std::string>{"  waiting for h0, h1, h2, h3, h4, h5 and 3 more"});
}

TEST(RenderHistory, TellsWhoAskedAndHowLongEachStepTook) {
    const auto reply = sample<v1::KeyHistoryReply>(R"(network: "net1"
        rotations { epoch: 3 causes { reason: "command" by: "root" } causes { reason: "limit" by: "host2" }
                    asked_unix_ms: 1799999940000 made_unix_ms: 1799999941000 activated_unix_ms: 1799999941500
                    moved_unix_ms: 1799999941800 retired_unix_ms: 1799999946800 outcome: "done" packets_sent: 1234567
                    stragglers: "host3" cut_off: "host4" }
        rotations { epoch: 4 causes { reason: "schedule" } asked_unix_ms: 1799999990000 made_unix_ms: 1799999990000
                    outcome: "aborted" aborted_by: "root" })");
    EXPECT_EQ(
        render_history(reply, kSampleView),
        R"(EPOCH   OUTCOME           ASKED       BY                              WAITED   INSTALL   SWITCH   RETIRE   PACKETS   WITHOUT
3       done              1m 0s ago   command (root), limit (host2)   1.0 s    500 ms    300 ms   5.0 s    1234567   host3, host4 (cut off)
4       aborted by root   10 s ago    schedule                        0 ms     -         -        -        0         -
)");
}

TEST(RenderRotations, IsALineForEachNetwork) {
    EXPECT_EQ(render_rotations({{.network = "a", .epoch = 4, .result = "done", .elapsed = base::Duration(1250)},
                                {.network = "b", .epoch = 2, .result = "aborted", .elapsed = base::Duration(90)},
                                {.network = "c", .result = "not asked for"}},
                               kSampleView),
              R"(NETWORK   EPOCH   RESULT          TIME    WITHOUT
a         4       done            1.2 s   -
b         2       aborted         90 ms   -
c         -       not asked for   -       -
)");
}

TEST(RenderAborted, SaysWhatWasTakenBackAndWhatIsStillDue) {
    const auto shown = [](const std::string& text) {
        return render_aborted(sample<v1::KeyAbortReply>(R"(network: "net1" )" + text), kSampleView);
    };
    EXPECT_EQ(shown("epoch: 4"), "net1: epoch 4 is taken back, the one before stays active\n");
    EXPECT_EQ(shown(""), "net1: the request that waited is taken back\n");
    EXPECT_EQ(
        shown(R"(epoch: 4 still_due: "member-left" still_due: "limit" due_unix_ms: 1800000060000)"),
        "net1: epoch 4 is taken back, the one before stays active; another rotation is due for member-left, limit "
        "in 1m 0s\n");
}

}  // namespace
}  // namespace warren::cli
