#include "cli/rotate.h"

#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <sstream>
#include <thread>

#include "base/text.h"
#include "fake_daemon.h"

namespace warren::cli {
namespace {

using Writer = grpc::ServerWriter<v1::RotationProgress>;

v1::RotationProgress step(const std::string& text) {
    return sample<v1::RotationProgress>(R"(network: "net1" epoch: 4 members: 3 )" + text);
}

// Waits for a condition that another thread makes true.
bool soon(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
    }
    return condition();
}

const std::vector<v1::RotationProgress>& whole_rotation() {
    static const std::vector<v1::RotationProgress> steps{
        step(R"(waiting: true)"),
        step(R"(phase: "installing" elapsed_ms: 100)"),
        step(R"(phase: "installing" installed: 2 elapsed_ms: 300)"),
        step(R"(phase: "installing" installed: 2 elapsed_ms: 400)"),
        step(R"(phase: "activating" installed: 3 active: 1 elapsed_ms: 500)"),
        step(R"(phase: "retiring" installed: 3 active: 3 elapsed_ms: 900)"),
        step(R"(phase: "idle" installed: 3 active: 3 retired: 3 elapsed_ms: 1250 done: true)")};
    return steps;
}

auto report(std::vector<v1::RotationProgress> steps, const grpc::Status& end = grpc::Status::OK) {
    return [steps = std::move(steps), end](grpc::ServerContext& /*context*/, Writer& writer) {
        for (const v1::RotationProgress& progress : steps) {
            writer.Write(progress);
        }
        return end;
    };
}

TEST_F(DaemonTest, RotatePrintsALineForEachChange) {
    control.rotate = report(whole_rotation());
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.out, R"(net1: waiting for the rotation in progress  0 ms
net1: epoch 4  installing 0/3  100 ms
net1: epoch 4  installing 2/3  300 ms
net1: epoch 4  installed 3/3  activating 1/3  500 ms
net1: epoch 4  installed 3/3  active 3/3  retiring 0/3  900 ms
net1: epoch 4  installed 3/3  active 3/3  retired 3/3  1.2 s
)");
    ASSERT_EQ(control.rotate_asked.size(), 1U);
    EXPECT_EQ(control.rotate_asked[0].ShortDebugString(), R"(network: "net1")");
}

TEST_F(DaemonTest, RotateRedrawsOneLineOnATerminal) {
    control.rotate = report(whole_rotation());
    const Outcome outcome = on_terminal({"key", "rotate", "net1"}, true, 40);
    EXPECT_EQ(outcome.exit, Exit::kDone);
    ASSERT_TRUE(outcome.out.ends_with("\x1b[K\n"));
    EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);
    for (const std::string_view drawn : base::split(std::string_view(outcome.out).substr(1), '\r')) {
        const std::string_view line = drawn.substr(0, drawn.find('\x1b'));
        EXPECT_LE(columns(line), 39U) << line;
        EXPECT_TRUE(line.starts_with("net1: ")) << line;
    }
}

TEST_F(DaemonTest, RotateInJsonIsAnObjectPerLine) {
    control.rotate = report(whole_rotation());
    const Outcome outcome = on_terminal({"key", "rotate", "net1", "--format", "json"}, true, 80);
    EXPECT_EQ(outcome.exit, Exit::kDone);
    const auto lines = base::split(outcome.out, '\n');
    ASSERT_EQ(lines.size(), whole_rotation().size() + 1);
    EXPECT_TRUE(lines.back().empty());
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
        EXPECT_TRUE(lines[i].starts_with("{\"network\":\"net1\",\"epoch\":4") && lines[i].ends_with("}")) << lines[i];
    }
}

TEST_F(DaemonTest, RotateNamesTheStragglers) {
    control.rotate = report({step(
        R"(phase: "idle" installed: 3 active: 3 retired: 3 done: true stragglers: "host4" late { node: "host4" })")});
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone) << "nobody waits for a member that is not reachable";
    EXPECT_NE(outcome.out.find("not reached, so still served with an older epoch until the straggler limit: host4\n"),
              std::string::npos)
        << outcome.out;
}

// Zero means: active on all that can be reached.
TEST_F(DaemonTest, RotateFailsWhereAReachableMemberDoesNotConfirm) {
    control.rotate = report({step(
        R"(phase: "idle" installed: 2 active: 2 retired: 2 done: true stragglers: "host3" late { node: "host3" reachable: true })")});
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(
        outcome.err,
        "warren: epoch 4 of net1 is active, but not on host3, which can be reached and does not confirm: look with "
        "'warren key status net1'\n");
}

TEST_F(DaemonTest, RotateOnATerminalNamesWhoIsWaitedForBelowTheLine) {
    control.rotate = report({step(R"(phase: "installing" late { node: "host2" reachable: true waited_for: true })"),
                             whole_rotation().back()});
    const Outcome outcome = on_terminal({"key", "rotate", "net1"}, true, 80);
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_NE(outcome.out.find("\n  waiting for host2\x1b[K"), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("\r\x1b[1Anet1: epoch 4  installed 3/3"), std::string::npos) << "drawn over both lines";
    EXPECT_NE(outcome.out.find("\x1b[K\x1b[J"), std::string::npos) << "and the second is gone";
}

// All networks --------------------------------------------------------------------------------------------------------

// Each network's rotation ends as its name says; counts how many are under way at once.
struct Fleet {
    std::atomic<int> running{0};
    std::atomic<int> most{0};

    grpc::Status rotate(const std::string& network, Writer& writer, int meanwhile) {
        const int now = ++running;
        int known = most;
        while (now > known && !most.compare_exchange_weak(known, now)) {
        }
        soon([&] { return running >= meanwhile || most >= meanwhile; });
        v1::RotationProgress progress = whole_rotation().back();
        progress.set_network(network);
        progress.set_phase(network == "bad" ? "aborted" : "idle");
        --running;
        if (network == "refused") {
            return {grpc::StatusCode::FAILED_PRECONDITION, "network refused: no"};
        }
        writer.Write(progress);
        return grpc::Status::OK;
    }
};

TEST_F(DaemonTest, RotateAllKeepsToItsBoundAndGoesOnAfterAFailure) {
    for (const char* name : {"a", "bad", "c", "d", "refused", "f"}) {
        control.key_status.reply.add_networks()->set_network(name);
    }
    Fleet fleet;
    control.rotate_network = [&](const v1::KeyRotateRequest& request, Writer& writer) {
        return fleet.rotate(request.network(), writer, 2);
    };
    const Outcome outcome = warren({"key", "rotate", "--all", "--at-once", "2"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(fleet.most, 2) << "neither one after the other nor all at once";
    EXPECT_EQ(control.rotate_asked.size(), 6U);
    EXPECT_NE(outcome.err.find("network refused: no\n"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("the rotation of bad to epoch 4 was aborted"), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.out.find("NETWORK   EPOCH   RESULT    TIME    WITHOUT\n"
                               "a         4       done      1.2 s   -\n"
                               "bad       4       aborted   1.2 s   -\n"
                               "c         4       done      1.2 s   -\n"
                               "d         4       done      1.2 s   -\n"
                               "f         4       done      1.2 s   -\n"
                               "refused   -       failed    -       -\n"),
              std::string::npos)
        << outcome.out;
}

TEST_F(DaemonTest, RotateAllOfNoneIsDone) {
    const Outcome outcome = warren({"key", "rotate", "--all"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.out, "NETWORK   EPOCH   RESULT   TIME   WITHOUT\n");
}

TEST_F(DaemonTest, InterruptedRotateAllSaysWhatWasNotAskedFor) {
    for (const char* name : {"a", "b", "c"}) {
        control.key_status.reply.add_networks()->set_network(name);
    }
    control.rotate = [&](grpc::ServerContext& context, Writer& /*writer*/) {
        ::kill(::getpid(), SIGINT);
        soon([&] { return context.IsCancelled(); });
        return grpc::Status::OK;
    };
    const Outcome outcome = warren({"key", "rotate", "--all", "--at-once", "1"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err, "warren: interrupted; the rotation of a goes on: look with 'warren key status a'\n");
    EXPECT_NE(outcome.out.find("c         -       not asked for"), std::string::npos) << outcome.out;
    EXPECT_EQ(control.rotate_asked.size(), 1U);
}

TEST_F(DaemonTest, RotateIsNotDoneUntilTheDaemonSaysSo) {
    control.rotate = report({step(R"(phase: "activating" installed: 3 active: 1)")});
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err,
              "warren: warrend stopped reporting before the rotation was done; look with 'warren key status net1'\n");
    control.rotate = report({});
    EXPECT_EQ(warren({"key", "rotate", "net1"}).exit, Exit::kFailed);
}

struct Ending {
    const char* phase;
    const char* error;
};
TEST_F(DaemonTest, RotateThatEndsOtherwiseIsAFailure) {
    for (const Ending& ending : {Ending{"aborted",
                                        "warren: the rotation of net1 to epoch 4 was aborted; the old one stays "
                                        "active: look with 'warren key status net1'\n"},
                                 Ending{"removed", "warren: network net1 was removed meanwhile\n"}}) {
        control.rotate = report({step(std::string("done: true phase: \"") + ending.phase + "\"")});
        const Outcome outcome = warren({"key", "rotate", "net1"});
        EXPECT_EQ(outcome.exit, Exit::kFailed);
        EXPECT_EQ(outcome.err, ending.error);
    }
}

// The counts may be of the next rotation by then.
TEST_F(DaemonTest, RotateIsDoneWhenTheDaemonSaysSo) {
    control.rotate = report({step(R"(phase: "installing" done: true)")});
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.out, "net1: epoch 4  done; the next rotation has begun  0 ms\n");
}

TEST_F(DaemonTest, RotateRefused) {
    control.rotate = report({}, {grpc::StatusCode::FAILED_PRECONDITION, "network net1 is not encrypted"});
    const Outcome outcome = warren({"key", "rotate", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "warren: network net1 is not encrypted\n");
}

TEST_F(DaemonTest, RotateThatBreaksOffSaysWhereToLook) {
    control.rotate = report({step(R"(phase: "installing")")}, {grpc::StatusCode::FAILED_PRECONDITION, "manager gone"});
    const Outcome outcome = on_terminal({"key", "rotate", "net1"}, true, 80);
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err, "warren: manager gone; the rotation may go on: look with 'warren key status net1'\n");
    EXPECT_TRUE(outcome.out.ends_with("\n")) << "the error begins on a line of its own";
}

TEST_F(DaemonTest, RotateDetachedAsksAndReturns) {
    control.rotate = report({step(R"(phase: "installing")")});
    const Outcome outcome = warren({"key", "rotate", "--detach", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_TRUE(outcome.out.ends_with("asked for; look with 'warren key status net1'\n")) << outcome.out;
    ASSERT_EQ(control.rotate_asked.size(), 1U);
    EXPECT_TRUE(control.rotate_asked[0].detach());
}

TEST_F(ProgramTest, RotateWithoutADaemonIsThree) {
    EXPECT_EQ(warren({"key", "rotate", "net1"}).exit, Exit::kUnreachable);
}

TEST_F(DaemonTest, InterruptedRotateSaysThatTheRotationGoesOn) {
    std::atomic<bool> cancelled{false};
    control.rotate = [&](grpc::ServerContext& context, Writer& writer) {
        writer.Write(step(R"(phase: "installing")"));
        ::kill(::getpid(), SIGINT);
        cancelled = soon([&] { return context.IsCancelled(); });
        return grpc::Status::OK;
    };
    const Outcome outcome = on_terminal({"key", "rotate", "net1"}, true, 80);
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err, "warren: interrupted; the rotation of net1 goes on: look with 'warren key status net1'\n");
    EXPECT_TRUE(soon([&] { return cancelled.load(); })) << "the stream is given up, not left open";
}

// Output that tells another thread when a text has been written.
class WatchedOutput : public std::stringbuf {
  public:
    explicit WatchedOutput(std::string awaited) : awaited_(std::move(awaited)) {}
    [[nodiscard]] bool seen() const { return seen_; }

  protected:
    int sync() override {
        seen_ = seen_ || str().find(awaited_) != std::string::npos;
        return std::stringbuf::sync();
    }

  private:
    std::string awaited_;
    std::atomic<bool> seen_{false};
};

// While nothing changes the clock of the live line still moves.
TEST_F(DaemonTest, LiveLineTicks) {
    WatchedOutput buffer("retiring 0/3  10 s");
    control.rotate = [&](grpc::ServerContext& context, Writer& writer) {
        writer.Write(step(R"(phase: "retiring" installed: 3 active: 3 elapsed_ms: 9950)"));
        EXPECT_TRUE(soon([&] { return buffer.seen() || context.IsCancelled(); }));
        writer.Write(whole_rotation().back());
        return grpc::Status::OK;
    };
    std::ostream out(&buffer);
    std::ostringstream err;
    const Environment environment{.warren_host = "unix://" + socket(), .working_directory = "/"};
    EXPECT_EQ(run({"key", "rotate", "net1"}, environment,
                  {.out = out, .err = err, .view = kSampleView, .live = true, .width = 80}),
              Exit::kDone);
    EXPECT_TRUE(buffer.seen()) << buffer.str();
}

}  // namespace
}  // namespace warren::cli
