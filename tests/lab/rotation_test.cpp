#include <gtest/gtest.h>

#include <set>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

TEST(Rotation, TwentyUnderFloodLoseNothing) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    auto epoch = inspect(manager, "net1").active_epoch();
    std::set<unsigned> slots;
    auto floods = flood_all_pairs(*lab, containers);
    for (int i = 0; i < 20; ++i) {
        manager.warren_ok({"key", "rotate", "net1"});
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

// A key that an endpoint's node had in an earlier membership would meet the peers' replay windows, or a used nonce.
TEST(Rotation, RejoinedMemberHasOtherKeys) {
    const auto lab = cluster_of(2);
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const auto before = key_fingerprints(lab->host(1));
    ASSERT_GE(before.size(), 2U);

    lab->host(2).warren_ok({"network", "disconnect", "net1", "c2"});
    lab->host(2).connect("net1", containers[1]);
    EXPECT_EQ(unreachable_pairs(containers), "");

    ASSERT_TRUE(eventually(seconds(10), [&] { return settled(lab->host(1)) && settled(lab->host(2)); }));
    for (const auto& host : lab->hosts()) {
        const auto after = key_fingerprints(*host);
        EXPECT_GE(after.size(), 2U) << host->name();
        EXPECT_EQ(keys_in_both(before, after), 0U) << host->name() << ": keys were installed before";
    }
}

}  // namespace
}  // namespace warren::lab
