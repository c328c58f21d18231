#include <gtest/gtest.h>

#include "fake_daemon.h"

namespace warren::cli {
namespace {

v1::NodeRemoveProgress progress(const std::string& networks, bool done = false) {
    return sample<v1::NodeRemoveProgress>(R"(node: "host3" node_id: "3b0c926a1c65000000000000000000ff" )" + networks +
                                          (done ? " done: true" : ""));
}

TEST_F(DaemonTest, NodeRmShowsWhoHasDeletedTheKeysAndEndsWithZero) {
    control.remove_node_told = {
        progress(R"(networks { network: "net1" epoch: 5 members: 2 unconfirmed: "host1" unconfirmed: "host2" })"),
        progress(R"(networks { network: "net1" epoch: 5 members: 2 confirmed: 1 unconfirmed: "host2" })"),
        progress(R"(networks { network: "net1" epoch: 5 members: 2 confirmed: 2 })", true)};
    const Outcome outcome = warren({"node", "rm", "--force", "host3"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.err, "");
    EXPECT_EQ(outcome.out,
              "host3 is out of the cluster: its certificate is refused, its endpoints are gone\n"
              "net1: keys before epoch 5 are deleted on 0 of 2 members, not yet on host1, host2\n"
              "net1: keys before epoch 5 are deleted on 1 of 2 members, not yet on host2\n"
              "net1: keys before epoch 5 are deleted on 2 of 2 members\n"
              "It may still know the join tokens; if it is not trusted any more: warren token rotate worker\n");
    ASSERT_EQ(control.remove_node_asked.size(), 1U);
    EXPECT_EQ(control.remove_node_asked[0].ShortDebugString(), R"(node: "host3" force: true)");
}

TEST_F(DaemonTest, NodeRmNamesWhoCouldNotConfirmAndEndsWithOne) {
    control.remove_node_told = {progress(
        R"(networks { network: "net1" epoch: 5 members: 2 confirmed: 1 unconfirmed: "host2" }
           networks { network: "net2" epoch: 3 members: 1 unconfirmed: "host2" })",
        true)};
    const Outcome outcome = warren({"node", "rm", "host3"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.err,
              "warren: host3 is removed, but who could not confirm that the keys it knew are deleted: host2 (net1, "
              "net2); they are cut off from these networks until they do: 'warren node rm host3' shows it again\n");
}

TEST_F(DaemonTest, NodeRmThatIsRefusedRemovesNothing) {
    control.remove_node_status = {grpc::StatusCode::FAILED_PRECONDITION, "node 'host1' is this one"};
    const Outcome outcome = warren({"node", "rm", "host1"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "warren: node 'host1' is this one\n");
}

TEST_F(DaemonTest, NodeRmWhoseDaemonGoesAwaySaysThatTheRemovalGoesOn) {
    control.remove_node_told = {progress(R"(networks { network: "net1" epoch: 5 members: 2 })")};
    control.remove_node_status = {grpc::StatusCode::UNAVAILABLE, "Socket closed"};
    const Outcome outcome = warren({"node", "rm", "host3"});
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_NE(outcome.err.find("the node is removed and the rest goes on"), std::string::npos) << outcome.err;
}

TEST_F(DaemonTest, LeavingSaysWhatIsStillToBeDone) {
    local.leave.reply.set_cluster_name("lab");
    local.leave.reply.set_node_name("host3");
    EXPECT_EQ(warren({"cluster", "leave"}).out,
              "This node, host3, has left cluster lab; its keys and certificate are deleted.\n");
    local.leave.reply.add_remaining("no manager knows of it: run on one: warren node rm --force host3");
    const Outcome outcome = warren({"cluster", "leave", "--force"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_NE(outcome.out.find("\nTo be done: no manager knows of it: run on one: warren node rm --force host3\n"),
              std::string::npos)
        << outcome.out;
    EXPECT_TRUE(local.leave.asked.back().force());
}

}  // namespace
}  // namespace warren::cli
