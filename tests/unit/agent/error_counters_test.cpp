#include "agent/error_counters.h"

#include <gtest/gtest.h>

namespace warren::agent {
namespace {

// As Linux 6.12 prints it.
constexpr std::string_view kText =
    "XfrmInError             \t0\n"
    "XfrmInNoStates          \t3\n"
    "XfrmInTmplMismatch      \t12\n"
    "XfrmOutNoStates         \t0\n"
    "XfrmAcquireError        \t7\n"
    "XfrmNewerThanUs         \t1\n";

TEST(ErrorCounters, TellsWhatIsNotZeroAndWhatItMeans) {
    const auto errors = parse_xfrm_errors(kText);
    ASSERT_EQ(errors.size(), 3U);
    EXPECT_EQ(errors[0].name, "XfrmInNoStates");
    EXPECT_EQ(errors[0].value, 3U);
    EXPECT_EQ(errors[1].name, "XfrmInTmplMismatch");
    EXPECT_EQ(errors[1].meaning, "frames came in clear, or through an SA of another network: refused");
    EXPECT_EQ(errors[2].name, "XfrmNewerThanUs");
    EXPECT_FALSE(errors[2].meaning.empty());
    EXPECT_FALSE(errors[1].remedy.empty());
}

TEST(ErrorCounters, TheBarriersAreToldByWhatTheyDropped) {
    EXPECT_TRUE(barrier_errors({}).empty());
    const auto errors = barrier_errors({.received_clear = 7});
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0].name, "nft received_clear");
    EXPECT_EQ(errors[0].value, 7U);
}

std::vector<ErrorCounter> forged(std::uint64_t value) {
    return {{.name = "XfrmInTmplMismatch", .value = value, .meaning = {}, .remedy = {}}};
}

TEST(RecentErrors, WhatWasCountedInTheLastMinuteIsTold) {
    RecentErrors recent;
    const base::Moment start{std::chrono::hours(5)};
    EXPECT_EQ(recent.lately(forged(9)[0]), 0U) << "of what was before nobody knows when it was";
    recent.note(start, forged(10));
    EXPECT_EQ(recent.lately(forged(12)[0]), 2U);
    recent.note(start + std::chrono::seconds(30), forged(15));
    recent.note(start + std::chrono::seconds(60), forged(16));
    EXPECT_EQ(recent.lately(forged(16)[0]), 6U);
    recent.note(start + std::chrono::seconds(90), forged(16));
    EXPECT_EQ(recent.lately(forged(16)[0]), 1U);
    recent.note(start + std::chrono::seconds(120), forged(16));
    EXPECT_EQ(recent.lately(forged(16)[0]), 0U);
}

TEST(RecentErrors, ACounterThatAppearsOrBeginsAnewCountsWhole) {
    RecentErrors recent;
    recent.note(base::Moment{std::chrono::hours(5)}, {});
    EXPECT_EQ(recent.lately(forged(3)[0]), 3U);
    recent.note(base::Moment{std::chrono::hours(6)}, forged(100));
    recent.note(base::Moment{std::chrono::hours(7)}, forged(100));
    EXPECT_EQ(recent.lately(forged(4)[0]), 4U);
}

TEST(ErrorCounters, TakesAnything) {
    EXPECT_TRUE(parse_xfrm_errors("").empty());
    EXPECT_TRUE(parse_xfrm_errors("XfrmInNoStates").empty());
    EXPECT_TRUE(parse_xfrm_errors("XfrmInNoStates x\n\n \t\n").empty());
}

}  // namespace
}  // namespace warren::agent
