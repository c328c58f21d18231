#include "agent/xfrm_stat.h"

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

TEST(XfrmStat, TellsWhatIsNotZeroAndWhatItMeans) {
    const auto errors = parse_xfrm_errors(kText);
    ASSERT_EQ(errors.size(), 3U);
    EXPECT_EQ(errors[0].name, "XfrmInNoStates");
    EXPECT_EQ(errors[0].value, 3U);
    EXPECT_EQ(errors[1].name, "XfrmInTmplMismatch");
    EXPECT_EQ(errors[1].meaning, "frames came in clear, or through an SA of another network: refused");
    EXPECT_EQ(errors[2].name, "XfrmNewerThanUs");
    EXPECT_FALSE(errors[2].meaning.empty());
}

TEST(XfrmStat, TakesAnything) {
    EXPECT_TRUE(parse_xfrm_errors("").empty());
    EXPECT_TRUE(parse_xfrm_errors("XfrmInNoStates").empty());
    EXPECT_TRUE(parse_xfrm_errors("XfrmInNoStates x\n\n \t\n").empty());
}

}  // namespace
}  // namespace warren::agent
