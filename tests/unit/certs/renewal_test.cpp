#include "certs/renewal.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

class RenewalTest : public testing::Test {
  protected:
    [[nodiscard]] Leaf leaf(base::Duration lifetime) const {
        const std::string request = must(make_request(key_));
        return must(parse_leaf("leaf", must(cluster_.authority.issue(request, who_, lifetime, kNow, 1s))));
    }

    TestCluster cluster_;
    Identity who_ = cluster_.identity(Role::kWorker);
    PrivateKey key_ = must(PrivateKey::generate());
};

TEST_F(RenewalTest, IsAtARandomPointOfTheLifeThatBeginsWithTheIssue) {
    for (const base::Duration lifetime : {base::Duration(8s), base::Duration(1h), base::Duration(90 * kDay)}) {
        std::set<base::Time> times;
        for (int i = 0; i < 200; ++i) {
            const base::Time time = renewal_time(leaf(lifetime));
            EXPECT_GE(time, kNow + lifetime / 2) << base::format_age(lifetime);
            EXPECT_LE(time, kNow + lifetime * 4 / 5) << base::format_age(lifetime);
            times.insert(time);
        }
        EXPECT_GE(times.size(), 50U) << "of 200 leaves";
        EXPECT_LT(*times.begin(), kNow + lifetime * 11 / 20);
        EXPECT_GT(*times.rbegin(), kNow + lifetime * 3 / 4);
    }
}

TEST_F(RenewalTest, TheSameLeafHasTheSameTime) {
    const Leaf one = leaf(90 * kDay);
    EXPECT_EQ(renewal_time(one), renewal_time(Leaf(one)));
}

TEST_F(RenewalTest, IsOverdueADayLaterOrHalfwayToTheEnd) {
    const Leaf common = leaf(90 * kDay);
    EXPECT_EQ(renewal_overdue(common), renewal_time(common) + 24h);
    const Leaf brief = leaf(1h);
    EXPECT_EQ(renewal_overdue(brief), renewal_time(brief) + (brief.not_after - renewal_time(brief)) / 2);
}

TEST_F(RenewalTest, BacksOffFromSecondsToAnHour) {
    const Leaf common = leaf(90 * kDay);
    base::Duration before{};
    for (int failures = 1; failures <= 40; ++failures) {
        const base::Duration shortest = renewal_backoff(failures, common, kNow, 0);
        const base::Duration longest = renewal_backoff(failures, common, kNow, 999);
        EXPECT_GE(shortest, before);
        EXPECT_GT(longest, shortest);
        EXPECT_LE(longest, 1h);
        before = shortest;
    }
    EXPECT_LE(renewal_backoff(1, common, kNow, 999), 4s);
    EXPECT_EQ(before, 30min);
}

TEST_F(RenewalTest, LeavesTriesBeforeTheLeafExpires) {
    const Leaf brief = leaf(1h);
    const base::Time late = brief.not_after - 8min;
    EXPECT_LE(renewal_backoff(40, brief, late, 999), 1min);
    EXPECT_GE(renewal_backoff(40, brief, brief.not_after - 1ms, 0), 500ms) << "but does not knock without a pause";
    EXPECT_GE(renewal_backoff(40, brief, brief.not_after + 1h, 0), 30min) << "what expired has time";
}

}  // namespace
}  // namespace warren::certs
