#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <cstdlib>

namespace warren {

// From now on the test's process is in a network of its own, with loopback up: other tests that run meanwhile may use
// the same ports. As root.
inline void enter_own_network() {
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << "needs root";
    ASSERT_EQ(std::system("ip link set lo up"), 0);
}

}  // namespace warren
