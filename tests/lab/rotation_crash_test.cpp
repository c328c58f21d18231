#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include "base/fault_point.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

std::vector<std::string> rotation_points() {
    std::vector<std::string> names;
    for (const auto& known : base::kFaultPoints) {
        if (known.name.starts_with("rotation.")) {
            names.emplace_back(known.name);
        }
    }
    return names;
}

std::string name_of(const testing::TestParamInfo<std::string>& point) {
    auto name = point.param;
    std::ranges::replace(name, '.', '_');
    return name;
}

// The manager dies in a rotation; the next one goes on where it was.
class RotationCrash : public testing::TestWithParam<std::string> {};

TEST_P(RotationCrash, IsCompletedAfterTheRestartAndLosesNothing) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const auto all_settled = [&] {
        return std::ranges::all_of(lab->hosts(), [](const auto& host) { return settled(*host); });
    };
    ASSERT_TRUE(eventually(seconds(20), all_settled));
    const auto before = inspect(manager, "net1").active_epoch();
    auto floods = flood_all_pairs(*lab, containers);

    manager.kill_daemon(SIGKILL);
    // The three agents acknowledge what they have when they come back; the fourth time is in the rotation.
    manager.start_daemon_to_die_at(GetParam() == "rotation.acknowledged" ? "rotation.acknowledged:4" : GetParam());
    ASSERT_TRUE(eventually(seconds(30), all_settled));
    static_cast<void>(manager.warren({"key", "rotate", "--detach", "net1"}));
    ASSERT_TRUE(eventually(seconds(30), [&] { return !manager.daemon_running(); })) << "it does not pass this point";

    manager.start_daemon();
    const auto done = [&] {
        const auto keys = manager.ask<v1::KeyListReply>({"key", "ls"});
        return keys.epochs_size() == 1 && keys.epochs(0).epoch() > before && all_settled();
    };
    EXPECT_TRUE(eventually(seconds(60), done)) << manager.warren({"key", "ls"}).out << manager.warren({"status"}).out;
    EXPECT_EQ(losses(floods), "");
}

INSTANTIATE_TEST_SUITE_P(AtEveryFaultPoint, RotationCrash, testing::ValuesIn(rotation_points()), name_of);

}  // namespace
}  // namespace warren::lab
