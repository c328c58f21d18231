#include <gtest/gtest.h>

#include <csignal>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

// At boot warrend may be there before its network is: it says what it waits for, and goes on by itself.
TEST(Boot, ANodeWithoutItsDataAddressSaysSoAndWaits) {
    const auto lab = cluster_of(2);
    auto& node = lab->host(2);
    node.kill_daemon(SIGKILL);
    node.must({"ip", "address", "flush", "dev", "eth0"});
    node.start_daemon();

    ASSERT_TRUE(eventually(seconds(10), [&] { return node.warren({"status"}).code == 4; }));
    const auto status = node.warren({"status"});
    EXPECT_EQ(status.code, 4) << status.out;
    EXPECT_NE(status.out.find("data address 192.0.2.2: no interface of this host has this address; this node waits"),
              std::string::npos)
        << status.out;
    const auto reply = node.ask<v1::StatusReply>({"status"});
    EXPECT_EQ(reply.state(), "degraded");
    EXPECT_EQ(reply.cluster().node_name(), "h2");
    EXPECT_EQ(node.warren({"cluster", "info"}).code, 0);
    const Container container("c2");
    const auto refused = node.warren({"network", "connect", "net1", "--netns", "c2"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("data address 192.0.2.2"), std::string::npos) << refused.err;

    node.must({"ip", "address", "add", "192.0.2.2/24", "dev", "eth0"});
    EXPECT_TRUE(eventually(seconds(15), [&] { return node.warren({"status"}).code == 0; }))
        << node.warren({"status"}).out;
}

}  // namespace
}  // namespace warren::lab
