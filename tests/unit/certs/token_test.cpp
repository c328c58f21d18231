#include "certs/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

using testing::HasSubstr;
using testing::Not;

JoinToken sample() {
    JoinToken token;
    token.root_pin.fill(0xa5);
    std::ranges::fill(token.secret.reveal_mutable(), std::uint8_t{0x3c});
    return token;
}
// Written by hand from RFC 4648: not what the code under test made.
constexpr std::string_view kHash = "uws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuwsq";
constexpr std::string_view kSecret = "hq6dypb4hq6dypb4hq6dypb4hq";

std::string token_text(std::string_view prefix, std::string_view hash, std::string_view secret) {
    return fmt::format("{}-{}-{}", prefix, hash, secret);
}

TEST(JoinToken, TextIsPrefixHashAndSecret) {
    EXPECT_EQ(sample().text(), token_text("WRN1", kHash, kSecret));
}

TEST(JoinToken, ParsesItsOwnText) {
    const JoinToken token = must(parse_join_token("--token", sample().text()));
    EXPECT_EQ(token.root_pin, sample().root_pin);
    EXPECT_EQ(token.secret, sample().secret);
}

TEST(JoinToken, SecretsAreRandomAndDiffer) {
    EXPECT_FALSE(random_token_secret() == random_token_secret());
    EXPECT_FALSE(random_token_secret() == TokenSecret());
}

struct BadToken {
    std::string text;
    std::string complaint;
};

class BadJoinToken : public testing::TestWithParam<BadToken> {};

TEST_P(BadJoinToken, IsRefusedByNamingThePart) {
    const auto parsed = parse_join_token("--token", GetParam().text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code(), base::Code::kInvalid);
    EXPECT_THAT(parsed.error().message(), HasSubstr("--token: "));
    EXPECT_THAT(parsed.error().message(), HasSubstr(GetParam().complaint));
    EXPECT_THAT(parsed.error().message(), Not(HasSubstr(std::string(kSecret.substr(0, 8)))));
}

INSTANTIATE_TEST_SUITE_P(
    JoinToken, BadJoinToken,
    testing::Values(BadToken{"", "must be WRN1-<root hash>-<secret>"}, BadToken{"WRN1", "must be WRN1-"},
                    BadToken{token_text("WRN1", kHash, kSecret) + "-x", "must be WRN1-"},
                    BadToken{token_text("SWMTKN", kHash, kSecret), "must begin with WRN1-"},
                    BadToken{token_text("WRN2", kHash, kSecret), "must begin with WRN1-"},
                    BadToken{token_text(" WRN1", kHash, kSecret), "must begin with WRN1-"},
                    BadToken{token_text("WRN1", kHash.substr(1), kSecret), "root hash is damaged"},
                    BadToken{token_text("WRN1", std::string(kHash) + "a", kSecret), "root hash is damaged"},
                    BadToken{token_text("WRN1", std::string(kHash.substr(1)) + "1", kSecret), "root hash is damaged"},
                    // The last character carries four bits of padding, which must be zero.
                    BadToken{token_text("WRN1", std::string(kHash.substr(0, 51)) + "r", kSecret),
                             "root hash is damaged"},
                    BadToken{token_text("WRN1", kHash, kSecret.substr(1)), "secret is damaged"},
                    BadToken{token_text("WRN1", kHash, ""), "secret is damaged"},
                    BadToken{token_text("WRN1", kHash, std::string(kSecret.substr(0, 25)) + "\n"), "secret is damaged"},
                    BadToken{token_text("WRN1", kHash, std::string(kSecret) + " "), "secret is damaged"},
                    BadToken{std::string(1U << 20U, 'a'), "a join token has 84"}));

TEST(JoinToken, PinsTheRootsItWasMadeFor) {
    const TestCluster cluster;
    const TestCluster other;
    const JoinToken token{.root_pin = cluster.roots.pin(), .secret = random_token_secret()};
    EXPECT_EQ(must(token.trusted(cluster.roots)).pem(), cluster.roots.pem());
    const auto refused = token.trusted(other.roots);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kDenied);
    // Somebody who puts a root of his own beside the right one gains nothing by it.
    const Roots more = must(Roots::parse("roots", cluster.authority.root_pem() + other.authority.root_pem()));
    EXPECT_EQ(must(token.trusted(more)).pem(), cluster.roots.pem());
}

}  // namespace
}  // namespace warren::certs
