#include "base/text.h"

#include <gtest/gtest.h>

#include "base/ids.h"

namespace warren::base {
namespace {

std::vector<std::uint8_t> bytes_of(std::string_view text) {
    return {text.begin(), text.end()};
}

// RFC 4648 section 10, without padding.
TEST(Base32, IsRfc4648) {
    EXPECT_EQ(to_base32(bytes_of("")), "");
    EXPECT_EQ(to_base32(bytes_of("f")), "my");
    EXPECT_EQ(to_base32(bytes_of("fooba")), "mzxw6ytb");
    EXPECT_EQ(to_base32(bytes_of("foobar")), "mzxw6ytboi");
    EXPECT_EQ(from_base32("MZXW6YTBOI"), bytes_of("foobar"));
}

TEST(Base32, RefusesWhatItWouldNotWrite) {
    EXPECT_EQ(from_base32("mz1"), std::nullopt) << "1 is no base32 digit";
    EXPECT_EQ(from_base32("mzx"), std::nullopt) << "a rest of a whole digit";
    EXPECT_EQ(from_base32("mz"), std::nullopt) << "padding bits that are not zero";
}

TEST(Hex, RoundTripsAndRefuses) {
    EXPECT_EQ(to_hex(std::vector<std::uint8_t>{0x00, 0xab, 0xff}), "00abff");
    EXPECT_EQ(from_hex("00ABff"), (std::vector<std::uint8_t>{0x00, 0xab, 0xff}));
    EXPECT_EQ(from_hex("0"), std::nullopt);
    EXPECT_EQ(from_hex("0g"), std::nullopt);
}

TEST(Id, TextFormIsTheOnlyOneTaken) {
    const auto id = random_id<NodeId>();
    EXPECT_EQ(parse_id<NodeId>("node id", id.text()), id);
    const auto bad = parse_id<NodeId>("node id", "xyz");
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().message(), "node id 'xyz': must be 32 hex digits");
    EXPECT_EQ(bad.error().code(), Code::kInvalid);
}

TEST(ParseUnsigned, TakesWholeNumbersWithinTheLimit) {
    EXPECT_EQ(parse_unsigned("65535", 65535), 65535U);
    EXPECT_EQ(parse_unsigned("65536", 65535), std::nullopt);
    EXPECT_EQ(parse_unsigned("", 9), std::nullopt);
    EXPECT_EQ(parse_unsigned("-1", 9), std::nullopt);
    EXPECT_EQ(parse_unsigned("1 ", 9), std::nullopt);
}

TEST(CheckName, SaysFieldValueAndRule) {
    EXPECT_TRUE(check_name("network name", "web-1.a_b"));
    for (const std::string& bad : {std::string(), std::string("-a"), std::string("a b"), std::string("ü"),
                                   std::string("a\n"), std::string(64, 'a')}) {
        EXPECT_FALSE(check_name("network name", bad)) << bad;
    }
    EXPECT_EQ(check_name("network name", "a/b").error().message(),
              "network name 'a/b': must be 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit");
}

}  // namespace
}  // namespace warren::base
