#include "cli/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/types.h>
#include <unistd.h>

#include <csignal>

#include "base/text.h"
#include "fake_daemon.h"

namespace warren::cli {
namespace {

using testing::HasSubstr;
using Writer = grpc::ServerWriter<v1::EventsReply>;

v1::EventsReply two_events() {
    return sample<v1::EventsReply>(
        R"(last: 9 events { sequence: 8 time_unix_ms: 1800000000000 kind: "epoch-active" network: "net1" epoch: 4
             text: "epoch 4 is active" }
           events { sequence: 9 time_unix_ms: 1800000001000 kind: "refused" text: "no \tcertificate" by: "198.51.100.7" })");
}

TEST_F(DaemonTest, EventsAreALineEach) {
    control.events = [](grpc::ServerContext& /*context*/, Writer& writer) {
        writer.Write(two_events());
        return grpc::Status::OK;
    };
    const Outcome outcome = warren({"events", "--since", "2h", "--network", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.out,
              "TIME                      KIND                 NETWORK        NODE           WHAT\n"
              "2027-01-15 08:00:00 UTC   epoch-active         net1           -              epoch 4 is active\n"
              "2027-01-15 08:00:01 UTC   refused              -              -              no  certificate (by "
              "198.51.100.7)\n");
    ASSERT_EQ(control.events_asked.size(), 1U);
    EXPECT_EQ(control.events_asked[0].ShortDebugString(), R"(since: "2h" network: "net1")");
}

TEST_F(DaemonTest, EventsInJsonAreAnObjectPerLine) {
    control.events = [](grpc::ServerContext& /*context*/, Writer& writer) {
        writer.Write(two_events());
        return grpc::Status::OK;
    };
    const Outcome outcome = warren({"events", "--format", "json"});
    const auto lines = base::split(outcome.out, '\n');
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_TRUE(lines[0].starts_with(R"({"sequence":"8",)")) << lines[0];
    EXPECT_THAT(std::string(lines[1]), HasSubstr(R"("kind":"refused")"));
}

// The daemon goes away in the middle and comes back: nothing is shown twice, and nothing is asked for again.
TEST_F(DaemonTest, FollowingGoesOnWhereItWas) {
    control.events = [this](grpc::ServerContext& /*context*/, Writer& writer) -> grpc::Status {
        if (control.events_asked.size() == 1) {
            writer.Write(two_events());
            return {grpc::StatusCode::UNAVAILABLE, "going down"};
        }
        if (control.events_asked.size() == 2) {
            return {grpc::StatusCode::FAILED_PRECONDITION, "no manager runs on this host"};
        }
        writer.Write(sample<v1::EventsReply>(R"(last: 12 dropped: 2 events { sequence: 12 kind: "caught-up" })"));
        return grpc::Status::OK;
    };
    const Outcome outcome = warren({"events", "--follow", "--format", "json"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    ASSERT_EQ(control.events_asked.size(), 3U);
    EXPECT_FALSE(control.events_asked[0].has_after());
    EXPECT_EQ(control.events_asked[1].after(), 9U);
    EXPECT_EQ(control.events_asked[2].after(), 9U);
    EXPECT_EQ(base::split(outcome.out, '\n').size(), 4U) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr("trying again until it is back"));
    EXPECT_THAT(outcome.err, HasSubstr("2 events were dropped"));
}

TEST_F(DaemonTest, FollowingEndsAtOnceWhereItCantBegin) {
    control.events = [](grpc::ServerContext& /*context*/, Writer& /*writer*/) -> grpc::Status {
        return {grpc::StatusCode::FAILED_PRECONDITION, "no manager runs on this host"};
    };
    const Outcome outcome = warren({"events", "--follow"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err, "warren: no manager runs on this host\n");
}

TEST_F(DaemonTest, InterruptedFollowingIsDone) {
    control.events = [](grpc::ServerContext& context, Writer& writer) -> grpc::Status {
        writer.Write(two_events());
        ::kill(::getpid(), SIGINT);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!context.IsCancelled() && std::chrono::steady_clock::now() < deadline) {
            ::usleep(1000);
        }
        return grpc::Status::CANCELLED;
    };
    EXPECT_EQ(warren({"events", "--follow"}).exit, Exit::kDone);
}

TEST_F(ProgramTest, EventsWithoutADaemonIsThree) {
    EXPECT_EQ(warren({"events", "--follow"}).exit, Exit::kUnreachable);
}

}  // namespace
}  // namespace warren::cli
