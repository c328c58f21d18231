#include "base/token_bucket.h"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

using namespace std::chrono_literals;

const Time kNow{std::chrono::hours(500'000)};
constexpr Rate kRate{.burst = 3, .refill = 1s};

TEST(TokenBucket, GivesABurstAndThenOneEachRefill) {
    TokenBucket bucket;
    EXPECT_TRUE(bucket.is_full(kNow));
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(bucket.take(kRate, kNow));
    }
    EXPECT_FALSE(bucket.is_full(kNow));
    EXPECT_EQ(bucket.take(kRate, kNow), Duration(1s));
    EXPECT_EQ(bucket.take(kRate, kNow + 400ms), Duration(600ms)) << "asking too early costs nothing";
    EXPECT_FALSE(bucket.take(kRate, kNow + 1s));
    EXPECT_TRUE(bucket.take(kRate, kNow + 1s));
    EXPECT_TRUE(bucket.is_full(kNow + 4s));
}

TEST(TokenBucket, AClockThatIsSetBackLocksNobodyOut) {
    TokenBucket bucket;
    EXPECT_FALSE(bucket.take(kRate, kNow));
    const Time before = kNow - 24h;
    ASSERT_TRUE(bucket.take(kRate, before)) << "taken for empty, but ...";
    EXPECT_FALSE(bucket.take(kRate, before + 1s)) << "not for the whole day";
}

TEST(TellingRate, WhatWasHeldBackIsSaidWithTheNext) {
    TellingRate rate;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(rate.pass(kRate, kNow), 0U);
    }
    EXPECT_FALSE(rate.pass(kRate, kNow));
    EXPECT_FALSE(rate.pass(kRate, kNow));
    EXPECT_EQ(rate.pass(kRate, kNow + 1s), 2U);
    EXPECT_EQ(rate.pass(kRate, kNow + 2s), 0U) << "said once";
}

TEST(TellingRate, WhatWasHeldBackIsSaidByItselfOnceThereIsRoom) {
    TellingRate rate;
    EXPECT_FALSE(rate.flush(kRate, kNow)) << "nothing to say";
    for (int i = 0; i < 5; ++i) {
        (void)rate.pass(kRate, kNow);
    }
    EXPECT_FALSE(rate.flush(kRate, kNow + 500ms)) << "no room yet, and asking counts nothing";
    EXPECT_EQ(rate.flush(kRate, kNow + 1s), 2U);
    EXPECT_FALSE(rate.flush(kRate, kNow + 1min));
}

}  // namespace
}  // namespace warren::base
