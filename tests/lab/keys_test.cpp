#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// What makes a network rotate, what takes a rotation back, and what one is told of it.
namespace warren::lab {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using testing::HasSubstr;

v1::KeyNetwork keys(const Host& host, const std::string& network = "net1") {
    return host.ask<v1::KeyStatusReply>({"key", "status", network}).networks(0);
}

v1::KeyHistoryReply history(const Host& host) {
    return host.ask<v1::KeyHistoryReply>({"key", "history", "net1"});
}

// Two hosts, and a container on each in an encrypted network.
struct Pair {
    explicit Pair(const Argv& options = {}) : lab(cluster_of(2)), manager(lab->host(1)) {
        Argv create{"network", "create", "--opt", "encrypted"};
        create.insert(create.end(), options.begin(), options.end());
        create.emplace_back("net1");
        manager.warren_ok(create);
        containers = containers_on_all(*lab, "net1");
        first = inspect(manager, "net1").active_epoch();
    }

    std::unique_ptr<Lab> lab;
    Host& manager;
    std::vector<Container> containers;
    std::uint32_t first = 0;  // epoch
};

// Pings as fast as they are answered. ping waits for the last answers before it counts.
std::string burst(const Container& from, const std::string& to) {
    return from.run({"ping", "-f", "-q", "-c", "2000", to}).out;
}

TEST(Keys, ASoftLimitOfPacketsRotatesAgainAndAgainAndLosesNothing) {
    const Pair pair({"--opt", "rekey-after-packets=10000"});
    const Host& manager = pair.manager;
    const auto& containers = pair.containers;
    const auto first = pair.first;
    auto floods = flood_all_pairs(*pair.lab, containers);
    const auto rotated_thrice = [&, to = containers[1].ip()] {
        EXPECT_THAT(burst(containers[0], to), HasSubstr("2000 packets transmitted, 2000 received"));
        return inspect(manager, "net1").active_epoch() >= first + 3;
    };
    EXPECT_TRUE(eventually(seconds(60), rotated_thrice)) << manager.warren({"key", "status"}).out;
    EXPECT_EQ(losses(floods), "");

    // Who asked, and what the epochs carried.
    EXPECT_TRUE(eventually(seconds(10), [&] { return keys(manager).phase() == "idle"; }));
    const auto told = history(manager);
    ASSERT_GE(told.rotations_size(), 4);
    const auto& rotation = told.rotations(told.rotations_size() - 2);
    EXPECT_EQ(rotation.causes(0).reason(), "limit");
    EXPECT_TRUE(rotation.causes(0).by() == "h1" || rotation.causes(0).by() == "h2") << rotation.causes(0).by();
    EXPECT_EQ(rotation.outcome(), "done");
    EXPECT_GE(rotation.packets_sent(), 10'000U) << manager.warren({"key", "history", "net1"}).out;
}

// The kernel gets the limits, and one that is lowered counts for SAs that are there.
TEST(Keys, ALimitThatIsLoweredCountsAtOnce) {
    const Pair pair;
    const Host& manager = pair.manager;
    const auto& containers = pair.containers;
    const auto first = pair.first;
    ASSERT_TRUE(containers[0].run({"ping", "-f", "-q", "-c", "1500", containers[1].ip()}).ok());
    manager.warren_ok({"network", "update", "net1", "--opt", "rekey-after-packets=1000"});
    EXPECT_TRUE(eventually(seconds(20), [&] { return inspect(manager, "net1").active_epoch() > first; }));
    manager.warren_ok({"key", "rotate", "net1"});
    const auto states = pair.lab->host(2).must({"ip", "-s", "xfrm", "state", "list", "nokeys"});
    EXPECT_NE(states.find("soft 1000(packets)"), std::string::npos) << states;
}

TEST(Keys, AnAbortEndsTheRotationForWhoWaitsAndTheOldKeysStay) {
    const Pair pair;
    const Host& manager = pair.manager;
    const auto& containers = pair.containers;
    const auto first = pair.first;
    const auto nothing = manager.warren({"key", "rotate", "--abort", "net1"});
    EXPECT_EQ(nothing.code, 1);
    EXPECT_NE(nothing.err.find("no rotation to abort"), std::string::npos) << nothing.err;

    auto floods = flood_all_pairs(*pair.lab, containers);
    pair.lab->host(2).freeze_daemon();
    Process rotation(manager.warren_command({"key", "rotate", "net1"}), {});
    ASSERT_TRUE(eventually(seconds(10), [&] { return keys(manager).phase() == "installing"; }));
    const auto aborted = manager.warren_ok({"key", "rotate", "--abort", "net1"});
    EXPECT_NE(aborted.find("is taken back"), std::string::npos) << aborted;
    const auto ended = rotation.wait(seconds(10));
    EXPECT_EQ(ended.code, 1);
    EXPECT_NE(ended.err.find("was aborted"), std::string::npos) << ended.err;
    pair.lab->host(2).thaw_daemon();

    ASSERT_TRUE(eventually(seconds(20), [&] { return settled(pair.lab->host(2)); }));
    EXPECT_EQ(inspect(manager, "net1").active_epoch(), first);
    manager.warren_ok({"key", "rotate", "net1"});
    EXPECT_EQ(inspect(manager, "net1").active_epoch(), first + 2) << "the number is not given again";
    EXPECT_EQ(losses(floods), "");
    const auto told = history(manager);
    EXPECT_EQ(told.rotations(told.rotations_size() - 2).outcome(), "aborted");
    EXPECT_NE(told.rotations(told.rotations_size() - 2).aborted_by(), "");
}

TEST(Keys, TheScheduleSurvivesTheManagerAndIsKept) {
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "--opt", "key-rotation=2h", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const auto due = keys(manager).next_rotation_unix_ms();
    EXPECT_GT(due, 0);
    manager.kill_daemon(SIGKILL);
    manager.start_daemon();
    EXPECT_EQ(keys(manager).next_rotation_unix_ms(), due) << "neither sooner nor later for the restart";

    const auto first = inspect(manager, "net1").active_epoch();
    manager.stop_daemon();
    manager.start_daemon_at_other_time(hours(3));
    EXPECT_TRUE(eventually(seconds(20), [&] { return inspect(manager, "net1").active_epoch() > first; }));
    const auto told = history(manager);
    EXPECT_EQ(told.rotations(told.rotations_size() - 1).causes(0).reason(), "schedule");
    EXPECT_GT(keys(manager).next_rotation_unix_ms(), due);
}

// Another cipher or replay window comes with new keys, and all networks rotate by one command.
TEST(Keys, CipherChangesAndAllNetworksRotateUnderFlood) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    for (const std::string name : {"net1", "net2", "net3"}) {
        manager.warren_ok({"network", "create", "--opt", "encrypted", name});
    }
    const auto containers = containers_on_all(*lab, "net1");
    auto floods = flood_all_pairs(*lab, containers);
    manager.warren_ok(
        {"network", "update", "net1", "--opt", "cipher=chacha20-poly1305", "--opt", "replay-window=4096"});
    EXPECT_TRUE(eventually(seconds(20), [&] { return keys(manager).phase() == "idle"; }));
    EXPECT_EQ(keys(manager).active_epoch(), 2U);
    const auto states = lab->host(2).must({"ip", "xfrm", "state", "list", "nokeys"});
    EXPECT_NE(states.find("rfc7539esp(chacha20,poly1305)"), std::string::npos) << states;
    EXPECT_EQ(states.find("gcm"), std::string::npos) << states;
    EXPECT_NE(states.find("replay_window 4096"), std::string::npos) << states;
    EXPECT_EQ(states.find("replay_window 1024"), std::string::npos) << states;

    const auto all = manager.warren({"key", "rotate", "--all", "--at-once", "2"});
    EXPECT_EQ(all.code, 0) << all.err;
    EXPECT_NE(all.out.find("\nnet3      2       done"), std::string::npos) << all.out;
    EXPECT_EQ(keys(manager, "net1").active_epoch(), 3U);
    EXPECT_EQ(keys(manager, "net2").active_epoch(), 2U);
    EXPECT_EQ(losses(floods), "");
}

}  // namespace
}  // namespace warren::lab
