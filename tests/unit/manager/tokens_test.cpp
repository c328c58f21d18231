#include "manager/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace warren::manager {
namespace {

using base::Code;
using testing::HasSubstr;
using namespace std::chrono_literals;

const base::Time kStart{base::Duration(1'800'000'000'000)};  // 2027-01-15 08:00:00 UTC

// A test vector: 16 times the same byte.
certs::TokenSecret secret(std::uint8_t byte) {
    certs::TokenSecret made;
    std::ranges::fill(made.reveal_mutable(), byte);
    return made;
}

// Workers' token 1, managers' token 2.
class Tokens : public testing::Test {
  protected:
    v1::TokenRecord worker_;
    v1::TokenRecord manager_;

    [[nodiscard]] base::Result<certs::Role> shown(std::uint8_t byte, base::Time now = kStart) const {
        const OpenTokens tokens{OpenToken{.role = certs::Role::kWorker, .record = &worker_, .secret = secret(1)},
                                OpenToken{.role = certs::Role::kManager, .record = &manager_, .secret = secret(2)}};
        return role_of(tokens, secret(byte), now);
    }
    [[nodiscard]] base::Status replace(std::uint8_t old, const TokenLimits& limits = {}, base::Time now = kStart) {
        return replace_token(worker_, "sealed", secret(old), limits, now);
    }
};

TEST_F(Tokens, SecretDecidesTheRole) {
    EXPECT_EQ(shown(1), certs::Role::kWorker);
    EXPECT_EQ(shown(2), certs::Role::kManager);
}

TEST_F(Tokens, OneThatWasNeverOursIsCalledSo) {
    ASSERT_TRUE(replace(7));
    const auto refused = shown(9);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_EQ(refused.error().message(),
              "the join token is not one of this cluster's: get the present one on a manager with warren token show "
              "worker");
}

TEST_F(Tokens, ReplacedOneIsToldWhen) {
    ASSERT_TRUE(replace(7));
    const auto refused = shown(7, kStart + 1h);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_EQ(refused.error().message(),
              "the join token was replaced on 2027-01-15 08:00:00 UTC: get the present one on a manager with warren "
              "token show worker");
}

TEST_F(Tokens, ExpiresAtItsTime) {
    ASSERT_TRUE(replace(7, {.expires = "1h"}));
    EXPECT_TRUE(shown(1, kStart + 1h - 1ms));
    const auto refused = shown(1, kStart + 1h);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kDenied);
    EXPECT_EQ(refused.error().message(),
              "the join token expired on 2027-01-15 09:00:00 UTC: make a new one on a manager with warren token rotate "
              "worker");
    ASSERT_TRUE(replace(8, {.expires = "0"}));
    EXPECT_TRUE(shown(1, kStart + std::chrono::hours(1'000'000))) << "0: never";
}

TEST_F(Tokens, UsedUpIsRefused) {
    worker_.set_uses(2);
    worker_.set_used(1);
    EXPECT_TRUE(shown(1));
    worker_.set_used(2);
    const auto refused = shown(1);
    ASSERT_FALSE(refused);
    EXPECT_THAT(
        refused.error().message(),
        HasSubstr("is used up, it was for 2 nodes: make a new one on a manager with warren token rotate worker"));
}

TEST_F(Tokens, ReplacingStartsAfreshWithTheNewLimits) {
    worker_.set_uses(2);
    worker_.set_used(2);
    ASSERT_TRUE(replace(7, {.expires = "1h", .uses = 5}));
    EXPECT_EQ(worker_.used(), 0U);
    EXPECT_EQ(worker_.uses(), 5U);
    ASSERT_TRUE(replace(8));
    EXPECT_EQ(worker_.uses(), 0U);
    EXPECT_EQ(worker_.expires(), 0);
}

TEST_F(Tokens, BadExpiryIsRefusedByName) {
    const auto refused = replace(7, {.expires = "soon"});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("--expires 'soon': must be a duration"));
    EXPECT_EQ(worker_.replaced_size(), 0);
}

TEST_F(Tokens, KeepsTheLastSixteenReplaced) {
    for (std::uint8_t old = 100; old < 117; ++old) {
        ASSERT_TRUE(replace(old));
    }
    EXPECT_EQ(worker_.replaced_size(), 16);
    EXPECT_THAT(shown(100).error().message(), HasSubstr("is not one of this cluster's"));
    EXPECT_THAT(shown(101).error().message(), HasSubstr("was replaced"));
    EXPECT_THAT(shown(116).error().message(), HasSubstr("was replaced"));
}

}  // namespace
}  // namespace warren::manager
