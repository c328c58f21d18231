#include "overlay/neighbour_limits.h"

#include <gtest/gtest.h>

namespace warren::overlay {
namespace {

TEST(NeighbourLimit, IsRaisedAsFarAsTheEndpointsCallForAndNoFurther) {
    EXPECT_EQ(neighbour_limit({.local = 0}, 1024), std::nullopt);
    EXPECT_EQ(neighbour_limit({.local = 16}, 1024), std::nullopt);
    EXPECT_EQ(neighbour_limit({.local = 17}, 1024), 2048U);
    EXPECT_EQ(neighbour_limit({.local = 1000}, 1024), 65536U);
    EXPECT_EQ(neighbour_limit({.local = 1000}, 65536), std::nullopt);
    EXPECT_EQ(neighbour_limit({.local = 1000}, 100000), std::nullopt) << "somebody wanted more: it stays";
    EXPECT_EQ(neighbour_limit({.local = 1000000}, 1024), 1048576U);
}

TEST(NeighbourLimit, HasRoomForAnEndpointThatTalksToAllOthers) {
    EXPECT_EQ(neighbour_limit({.local = 1, .all = 960}, 1024), std::nullopt);
    EXPECT_EQ(neighbour_limit({.local = 1, .all = 961}, 1024), 2048U);
    EXPECT_EQ(neighbour_limit({.local = 1, .all = 20000}, 1024), 32768U);
}

}  // namespace
}  // namespace warren::overlay
