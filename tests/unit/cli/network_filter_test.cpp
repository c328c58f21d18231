#include "cli/network_filter.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace warren::cli {
namespace {

const v1::Network& network() {
    static const auto network = sample<v1::Network>(R"(id: "a1b2" name: "web-front" driver: "overlay" encrypted: true
        labels { key: "env" value: "lab" } labels { key: "bare" value: "" } endpoint_count: 1)");
    return network;
}
bool takes(const std::vector<std::string>& filters) {
    const auto filter = NetworkFilter::parse(filters);
    EXPECT_TRUE(filter) << filter.error().message();
    return filter->takes(network());
}
std::string refusal(const std::vector<std::string>& filters) {
    const auto filter = NetworkFilter::parse(filters);
    return filter ? "taken" : filter.error().message();
}

TEST(NetworkFilter, TakesWhatHolds) {
    EXPECT_TRUE(takes({}));
    EXPECT_TRUE(takes({"name=front", "id=a1", "driver=overlay", "encrypted=true", "dangling=false"}));
    EXPECT_TRUE(takes({"name=nothing", "name=web"})) << "any of one key";
    EXPECT_TRUE(takes({"label=env", "label=bare", "label=env=lab", "label=bare="}));
    for (const auto* filter : {"name=back", "id=1b", "driver=bridge", "encrypted=false", "dangling=true", "label=team",
                               "label=env=prod", "label=en"}) {
        EXPECT_FALSE(takes({filter})) << filter;
    }
    EXPECT_FALSE(takes({"label=env", "label=team"})) << "all labels";
}

TEST(NetworkFilter, SaysWhatItCannotTake) {
    EXPECT_EQ(refusal({"name"}), "--filter name: must be KEY=VALUE");
    EXPECT_EQ(refusal({"encrypted=yes"}), "--filter encrypted=yes: must be true or false");
    EXPECT_EQ(refusal({"dangling=true", "dangling=false"}), "--filter dangling: given as true and as false");
    EXPECT_EQ(refusal({"scope=swarm"}),
              "--filter scope=swarm: unknown key; known are name, id, driver, label, encrypted, dangling");
}

}  // namespace
}  // namespace warren::cli
