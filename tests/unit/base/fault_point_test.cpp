#include "base/fault_point.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <set>

namespace warren::base {
namespace {

// Each death happens in a process of its own, so nothing stays armed in this one.
void arm_and_pass(const char* setting, int times) {
    if (!arm_fault(setting)) {
        ::_exit(2);
    }
    for (int i = 0; i < times; ++i) {
        fault_point(FaultPoint::kJoinIssued);
        fault_point(FaultPoint::kJoinCommitted);
    }
    ::_exit(0);
}

TEST(FaultPoint, EveryPointHasOneNameOfItsOwn) {
    std::set<std::string_view> names;
    std::set<FaultPoint> points;
    for (const auto& known : kFaultPoints) {
        EXPECT_TRUE(names.insert(known.name).second) << known.name;
        EXPECT_TRUE(points.insert(known.point).second) << known.name;
        EXPECT_NE(known.name.find('.'), std::string_view::npos) << known.name;
    }
}

TEST(FaultPoint, UnarmedPointsDoNothing) {
    ASSERT_TRUE(arm_fault(nullptr));
    for (const auto& known : kFaultPoints) {
        fault_point(known.point);
    }
}

TEST(FaultPoint, KillsAtItsPointAndAtNoOther) {
    EXPECT_EXIT(arm_and_pass("join.issued", 1), testing::KilledBySignal(SIGKILL), "");
    EXPECT_EXIT(arm_and_pass("join.prepared", 5), testing::ExitedWithCode(0), "");
}

TEST(FaultPoint, KillsAtTheNthPass) {
    EXPECT_EXIT(arm_and_pass("join.committed:3", 3), testing::KilledBySignal(SIGKILL), "");
    EXPECT_EXIT(arm_and_pass("join.committed:3", 2), testing::ExitedWithCode(0), "");
}

TEST(FaultPoint, RefusesWhatIsNoPoint) {
    for (const char* setting : {"", "join", "join.issued:", "join.issued:0", "join.issued:x", "join.issued:1 "}) {
        const auto armed = arm_fault(setting);
        ASSERT_FALSE(armed) << setting;
        EXPECT_NE(armed.error().message().find("WARREN_FAULT"), std::string::npos) << setting;
    }
}

}  // namespace
}  // namespace warren::base
