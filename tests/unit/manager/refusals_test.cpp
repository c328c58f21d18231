#include "manager/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"

namespace warren::manager {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

const base::Time kNow{std::chrono::hours(500'000)};

TEST(Refusals, CountsAllAndSaysFewerOfAFlood) {
    Refusals refusals;
    base::start_logging(base::LogLevel::kWarn);
    testing::internal::CaptureStderr();
    for (int i = 0; i < 1000; ++i) {
        refusals.note(Refusal::kJoin, "ipv4:192.0.2.9:1", "the join token is not one of this cluster's", kNow);
    }
    refusals.note(Refusal::kRole, "ipv4:192.0.2.2:1", "not allowed", kNow);
    refusals.note(Refusal::kJoin, "ipv4:192.0.2.9:1", "once more", kNow + 5s);
    const auto log = testing::internal::GetCapturedStderr();
    base::start_logging(base::LogLevel::kError);
    EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 12) << log;
    EXPECT_THAT(log, HasSubstr("refused role: ipv4:192.0.2.2:1: not allowed"));
    EXPECT_THAT(log, HasSubstr("once more (and 990 more like it)"));
    for (const auto& count : refusals.counts()) {
        const std::uint64_t expected = count.name == "refused join" ? 1001U : count.name == "refused role" ? 1U : 0U;
        EXPECT_EQ(count.value, expected) << count.name;
        EXPECT_FALSE(count.meaning.empty());
    }
}

}  // namespace
}  // namespace warren::manager
