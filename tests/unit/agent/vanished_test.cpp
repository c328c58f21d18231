#include "agent/vanished.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::agent {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Sight = Vanished::Sight;

const base::EndpointId kOne{{1}};
const base::EndpointId kTwo{{2}};

class VanishedTest : public testing::Test {
  protected:
    base::Moment now_ = base::Moment() + std::chrono::hours(1);
    Vanished vanished_;

    std::vector<base::EndpointId> after(base::Duration time, Sight sight) {
        now_ += time;
        vanished_.see(kOne, sight, now_);
        vanished_.keep_seen_at(now_);
        return vanished_.due(now_);
    }
};

TEST_F(VanishedTest, OneThatWasThereIsReleasedSoon) {
    EXPECT_THAT(after(seconds(0), Sight::kThere), IsEmpty());
    EXPECT_THAT(after(seconds(60), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kMissing), ElementsAre(kOne));
}

TEST_F(VanishedTest, OneThatComesBackIsNot) {
    EXPECT_THAT(after(seconds(0), Sight::kThere), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kThere), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kMissing), IsEmpty()) << "its time begins anew";
    EXPECT_THAT(after(seconds(2), Sight::kMissing), ElementsAre(kOne));
}

TEST_F(VanishedTest, AfterABootThereIsTimeToMakeItAgain) {
    EXPECT_THAT(after(seconds(0), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(minutes(4), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(seconds(59), Sight::kMissing), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kMissing), ElementsAre(kOne));
}

TEST_F(VanishedTest, AProcessDoesNotComeBack) {
    EXPECT_THAT(after(seconds(0), Sight::kReplaced), IsEmpty());
    EXPECT_THAT(after(seconds(2), Sight::kReplaced), ElementsAre(kOne));
}

TEST_F(VanishedTest, WhatWasNotReleasedIsAskedForAgain) {
    EXPECT_THAT(after(seconds(0), Sight::kReplaced), IsEmpty());
    EXPECT_THAT(after(seconds(2), Sight::kReplaced), ElementsAre(kOne));
    EXPECT_THAT(after(seconds(29), Sight::kReplaced), IsEmpty());
    EXPECT_THAT(after(seconds(1), Sight::kReplaced), ElementsAre(kOne));
    vanished_.see(kTwo, Sight::kThere, now_ + seconds(60));
    vanished_.keep_seen_at(now_ + seconds(60));
    EXPECT_THAT(vanished_.due(now_ + minutes(9)), IsEmpty()) << "it is no endpoint of this node any more";
}

}  // namespace
}  // namespace warren::agent
