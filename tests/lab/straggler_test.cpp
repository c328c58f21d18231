#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

bool status_says(const Host& host, const std::string& words) {
    const auto output = host.warren({"status"});
    return output.code == 4 && output.out.find(words) != std::string::npos;
}

// What the log says of how the node keeps up with the network's epochs, in order, without repetitions.
std::vector<std::string> told_of(const Host& manager, const std::string& node, const std::string& network) {
    const std::set<std::string> of_stragglers{"straggler", "cut-off", "caught-up"};
    std::vector<std::string> kinds;
    for (const auto& event : manager.ask_all<v1::Event>({"events", "--network", network})) {
        if (event.node() == node && of_stragglers.contains(event.kind()) &&
            (kinds.empty() || kinds.back() != event.kind())) {
            kinds.push_back(event.kind());
        }
    }
    return kinds;
}

// Whoever is cut off from the manager holds up no rotation, and goes on with the keys that it has until the straggler
// limit. Then it has none in common with the others, and is told of as such.
TEST(Straggler, TalksThroughARotationThatItMissesAndIsCutOffAtTheLimit) {
    const auto lab = cluster_of(3, {"--straggler-limit", "15s"});
    auto& manager = lab->host(1);
    auto& straggler = lab->host(3);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    auto floods = flood_all_pairs(*lab, containers);

    straggler.cut_off_from_managers();
    const auto rotated = manager.warren_ok({"key", "rotate", "net1"});
    EXPECT_NE(rotated.find("h3"), std::string::npos) << "the straggler is not named: " << rotated;
    EXPECT_EQ(losses(floods), "");
    ASSERT_EQ(manager.log_text().find("cut-off"), std::string::npos)
        << "the limit came before the floods ended: this machine is too slow for this test";
    EXPECT_TRUE(status_says(straggler, "no session with manager"));
    EXPECT_THAT(told_of(manager, "h3", "net1"), ElementsAre("straggler"));

    const auto cut_off = fmt::format("at {} is cut off", straggler.address());
    ASSERT_TRUE(eventually(seconds(60), [&] { return status_says(manager, cut_off); }))
        << manager.warren({"status"}).out;
    EXPECT_TRUE(status_says(lab->host(2), cut_off));
    EXPECT_NE(manager.warren_ok({"events", "--network", "net1"})
                  .find("h3 did not change over from epoch 1 in time and is cut off"),
              std::string::npos);
    EXPECT_THAT(told_of(manager, "h3", "net1"), ElementsAre("straggler", "cut-off"));
    EXPECT_FALSE(containers[0].ping(containers[2].ip()));
    EXPECT_FALSE(containers[2].ping(containers[0].ip()));
    EXPECT_TRUE(containers[0].ping(containers[1].ip()));

    straggler.let_through_to_managers();
    EXPECT_EQ(unreachable_pairs(containers, seconds(30)), "");
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return host->warren({"status"}).code == 0; }))
            << host->warren({"status"}).out;
    }
    EXPECT_THAT(told_of(manager, "h3", "net1"), ElementsAre("straggler", "cut-off", "caught-up"));
    EXPECT_THAT(told_of(manager, "h2", "net1"), IsEmpty());
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
}

}  // namespace
}  // namespace warren::lab
