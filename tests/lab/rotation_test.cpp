#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

// No rotation is under way, or its old epoch still there.
bool at_rest(const Host& manager, const std::string& network) {
    return settled(manager) &&
           manager.ask<v1::KeyStatusReply>({"key", "status", network}).networks(0).phase() == "idle";
}

// Whole, or until the new epoch is active: the old one's grace then runs beside the next rotations.
void rotate(const Host& manager, const std::string& network, bool whole) {
    if (whole) {
        manager.warren_ok({"key", "rotate", network});
        return;
    }
    const auto before = inspect(manager, network).active_epoch();
    manager.warren_ok({"key", "rotate", "--detach", network});
    if (!eventually(seconds(20), [&] { return inspect(manager, network).active_epoch() > before; })) {
        throw std::runtime_error("the new epoch does not become active");
    }
}

TEST(Rotation, TwentyUnderFloodLoseNothing) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    auto epoch = inspect(manager, "net1").active_epoch();
    std::set<unsigned> slots;
    auto floods = flood_all_pairs(*lab, containers);
    for (int i = 1; i <= 20; ++i) {
        rotate(manager, "net1", i % 5 == 0);
        const auto now = inspect(manager, "net1").active_epoch();
        EXPECT_GT(now, epoch);
        epoch = now;
        slots.insert(sa_table(lab->host(2)).at(0).slot());
    }
    EXPECT_EQ(losses(floods), "");
    EXPECT_GE(slots.size(), 2U) << "every epoch had the slot of the one before";
    for (const auto& host : lab->hosts()) {
        const auto table = sa_table(*host);
        EXPECT_EQ(table.size(), 4U) << host->name() << ": one SA to and one from each of two peers";
        for (const auto& sa : table) {
            EXPECT_EQ(sa.slot(), table.front().slot()) << host->name() << ": an SA of an old epoch is left";
        }
    }
}

// Nobody was silent and nothing has waited because the manager's clock says that an hour has passed.
TEST(Rotation, AClockThatIsSetInTheMiddleLosesNothing) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    manager.stop_daemon();
    manager.start_daemon_at_other_time(seconds(0));
    const auto all_settled = [&] {
        return std::ranges::all_of(lab->hosts(), [](const auto& host) { return settled(*host); });
    };
    ASSERT_TRUE(eventually(seconds(20), [&] { return all_settled() && at_rest(manager, "net1"); }));
    const auto sessions = [&] { return lab->host(2).times_logged("session with manager"); };
    const auto sessions_before = sessions();
    auto floods = flood_all_pairs(*lab, containers);
    for (const auto& [set_to, says] : {std::pair(seconds(3600), "the clock was set forward by"),
                                       std::pair(seconds(0), "the clock was set back by")}) {
        rotate(manager, "net1", false);
        manager.set_clock(set_to);
        ASSERT_TRUE(eventually(seconds(10), [&] { return manager.times_logged(says) > 0; })) << says;
        EXPECT_TRUE(eventually(seconds(20), [&] { return at_rest(manager, "net1"); })) << says;
    }
    EXPECT_EQ(losses(floods), "");
    EXPECT_EQ(sessions(), sessions_before) << "a session was taken for silent";
}

// A key that an endpoint's node had in an earlier membership would meet the peers' replay windows, or a used nonce.
// That a member left is followed by a rotation, at most one in a minute: so the second time it is the same epoch.
TEST(Rotation, RejoinedMemberHasOtherKeysInTheSameEpochToo) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    std::set<size_t> before = key_fingerprints(manager);
    ASSERT_GE(before.size(), 2U);
    std::vector<uint32_t> epochs;
    for (int round = 0; round < 2; ++round) {
        lab->host(2).warren_ok({"network", "disconnect", "net1", "c2"});
        lab->host(2).connect("net1", containers[1]);
        EXPECT_EQ(unreachable_pairs(containers), "") << "round " << round;
        ASSERT_TRUE(eventually(seconds(20), [&] { return at_rest(manager, "net1") && settled(lab->host(2)); }));
        epochs.push_back(inspect(manager, "net1").active_epoch());
        const auto after = key_fingerprints(manager);
        EXPECT_GE(after.size(), 2U);
        EXPECT_EQ(keys_in_both(before, after), 0U) << "round " << round << ": keys were installed before";
        EXPECT_EQ(key_fingerprints(lab->host(2)), after) << "round " << round;
        before.insert(after.begin(), after.end());
    }
    EXPECT_EQ(epochs[0], epochs[1]) << "another rotation came between: the round proved nothing";
}

}  // namespace
}  // namespace warren::lab
