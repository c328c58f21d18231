#include "cli/ca_rotate.h"

#include <gtest/gtest.h>

#include <csignal>
#include <sstream>

#include "tests/unit/cli/sample.h"

namespace warren::cli {
namespace {

v1::CaShowReply at(const std::string& phase, std::uint32_t moved) {
    v1::CaShowReply reply;
    reply.set_phase(phase);
    reply.set_nodes(2);
    reply.set_moved(moved);
    return reply;
}

class RotateAuthority : public testing::Test {
  protected:
    Exit run(const CaRotate& command) {
        return rotate_authority({.rotate = [this](const v1::CaRotateRequest& request) -> base::Result<v1::CaShowReply> {
                                     asked_.push_back(request);
                                     return at("moving", 0);
                                 },
                                 .show = [this]() -> base::Result<v1::CaShowReply> {
                                     if (interrupted_) {
                                         ::raise(SIGINT);
                                     }
                                     auto reply = replies_.front();
                                     replies_.erase(replies_.begin());
                                     return reply;
                                 }},
                                command, Format::kTable, {.out = out_, .err = err_, .view = kSampleView});
    }

    std::vector<v1::CaRotateRequest> asked_;
    std::vector<base::Result<v1::CaShowReply>> replies_;
    bool interrupted_ = false;  // with the first look
    std::ostringstream out_;
    std::ostringstream err_;
};

TEST_F(RotateAuthority, FollowsItToTheEndThroughARestartOfTheDaemon) {
    replies_ = {at("moving", 1), base::fail(base::Code::kUnavailable, "the daemon is away"), at("moving", 1),
                at("idle", 2)};
    EXPECT_EQ(run({}), Exit::kDone);
    EXPECT_EQ(out_.str().substr(0, out_.str().find("ROOT")),
              "moving: 0 of 2 nodes\nmoving: 1 of 2 nodes\nmoved: 2 of 2 nodes\n");
    EXPECT_EQ(err_.str(), "");
    EXPECT_TRUE(replies_.empty());
}

TEST_F(RotateAuthority, InterruptedItSaysThatTheRotationGoesOnAndLeavesItAlone) {
    replies_ = {at("moving", 1), at("idle", 2)};
    interrupted_ = true;
    EXPECT_EQ(run({}), Exit::kFailed);
    EXPECT_EQ(err_.str(), "warren: interrupted; the rotation goes on: look with 'warren ca show'\n");
    EXPECT_EQ(out_.str(), "moving: 0 of 2 nodes\nmoving: 1 of 2 nodes\n");
    EXPECT_EQ(asked_.size(), 1U);
    EXPECT_EQ(replies_.size(), 1U) << "it has gone on looking";
}

TEST_F(RotateAuthority, DetachedItOnlyBegins) {
    EXPECT_EQ(run({.external_root = "", .detach = true}), Exit::kDone);
    EXPECT_EQ(asked_.size(), 1U);
}

TEST_F(RotateAuthority, AFileThatCannotBeReadIsRefusedBeforeAnythingIsAsked) {
    EXPECT_EQ(run({.external_root = "/nowhere/ca.pem"}), Exit::kFailed);
    EXPECT_TRUE(asked_.empty());
    EXPECT_NE(err_.str().find("--external-root: open /nowhere/ca.pem"), std::string::npos) << err_.str();
}

}  // namespace
}  // namespace warren::cli
