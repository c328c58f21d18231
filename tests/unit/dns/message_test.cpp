#include "dns/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <string_view>

namespace warren::dns {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Bytes = std::vector<std::uint8_t>;

Bytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

// As dig 9.18 sends it: `dig @10.128.0.1 Web.net1`, with its cookie.
constexpr auto kDig =
    "\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01"
    "\x03Web\x04net1\x00\x00\x01\x00\x01"
    "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0c\x00\x0a\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08"sv;
constexpr auto kPlain = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03Web\x04net1\x00\x00\x01\x00\x01"sv;

TEST(ParseQuery, ReadsWhatDigSends) {
    const auto query = parse_query(bytes(kDig));
    ASSERT_TRUE(query);
    EXPECT_FALSE(query->malformed);
    EXPECT_EQ(query->id, 0x1234);
    EXPECT_TRUE(query->recursion_desired);
    ASSERT_TRUE(query->question);
    EXPECT_EQ(query->question->name, "web.net1");
    EXPECT_EQ(query->question->type, Type::kA);
    EXPECT_TRUE(query->question->internet);
    EXPECT_EQ(query->question->wire, bytes("\x03Web\x04net1\x00\x00\x01\x00\x01"sv)) << "as it came";
    EXPECT_EQ(query->edns, (Query::Edns{.size = 1232, .version = 0}));
}

TEST(ParseQuery, WhatIsNoQueryGetsNoAnswer) {
    EXPECT_FALSE(parse_query({}));
    EXPECT_FALSE(parse_query(bytes(kDig.substr(0, 11))));
    auto response = bytes(kDig);
    response[2] |= 0x80;
    EXPECT_FALSE(parse_query(response)) << "two servers would answer each other for ever";
}

TEST(ParseQuery, EveryCutIsMalformed) {
    for (std::size_t length = 12; length < kDig.size(); ++length) {
        const auto query = parse_query(bytes(kDig.substr(0, length)));
        ASSERT_TRUE(query) << length;
        EXPECT_TRUE(query->malformed) << length;
    }
}

TEST(ParseQuery, WhatMustNotBeInAQueryIsMalformed) {
    const auto with = [](std::size_t at, std::uint8_t value) {
        auto message = bytes(kDig);
        message[at] = value;
        return parse_query(message)->malformed;
    };
    EXPECT_FALSE(with(0, 0xff));
    EXPECT_TRUE(with(5, 0)) << "no question";
    EXPECT_TRUE(with(5, 2)) << "two";
    EXPECT_TRUE(with(7, 1)) << "an answer";
    EXPECT_TRUE(with(12, 0xc0)) << "a pointer";
    EXPECT_TRUE(with(12, 0x40)) << "a label of a kind that is none";
    auto twice = bytes(kDig);
    twice[11] = 2;
    const auto opt = bytes("\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"sv);
    twice.insert(twice.end(), opt.begin(), opt.end());
    EXPECT_TRUE(parse_query(twice)->malformed) << "two OPT records";
}

TEST(ParseQuery, ANameIsAsLongAsNamesMayBe) {
    const auto named = [](std::size_t labels, std::size_t last) {
        std::string message(kPlain.substr(0, 12));
        for (std::size_t i = 0; i < labels; ++i) {
            message += '\x3f' + std::string(63, 'a');
        }
        message += static_cast<char>(last) + std::string(last, 'b') + "\x00\x00\x01\x00\x01"s;
        return parse_query(bytes(message));
    };
    EXPECT_FALSE(named(3, 61)->malformed) << "255 bytes on the wire";
    EXPECT_EQ(named(3, 61)->question->name.size(), 253U);
    EXPECT_TRUE(named(3, 62)->malformed);
}

TEST(ParseQuery, ADotInALabelSeparatesNothing) {
    const auto query =
        parse_query(bytes("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x08web.net1\x00\x00\x01\x00\x01"sv));
    ASSERT_TRUE(query->question);
    EXPECT_EQ(query->question->name, "web\\.net1");
}

const Record kAddress{.name = "web.net1", .ttl = std::chrono::seconds(5), .data = base::IpAddress::v4(0x0a800002)};

TEST(Encode, PointsToTheQuestion) {
    const auto query = parse_query(bytes(kPlain));
    const auto answer = encode(*query, {.authoritative = true, .records = {kAddress}}, 512);
    EXPECT_EQ(answer, bytes("\x12\x34\x85\x00\x00\x01\x00\x01\x00\x00\x00\x00\x03Web\x04net1\x00\x00\x01\x00\x01"
                            "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x80\x00\x02"sv));
}

TEST(Encode, WhoSpeaksEdnsIsAnsweredInIt) {
    const auto query = parse_query(bytes(kDig));
    const auto answer = encode(*query, {.rcode = Rcode::kBadVersion}, 512);
    EXPECT_EQ(answer, bytes("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03Web\x04net1\x00\x00\x01\x00\x01"
                            "\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"sv));
}

TEST(Encode, ANameIsWrittenWhole) {
    const auto query =
        parse_query(bytes("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x0c\x00\x01"sv));
    const Record pointer{.name = "x", .ttl = std::chrono::seconds(5), .data = "web.net1"};
    const auto answer = encode(*query, {.records = {pointer}}, 512);
    EXPECT_THAT(std::string(answer.begin(), answer.end()), testing::EndsWith("\x00\x0a\x03web\x04net1\x00"s));
}

// RFC 2782: no name in it is a pointer.
TEST(Encode, AServiceIsAtAPortOfAName) {
    const auto query = parse_query(bytes(kPlain));
    const Record place{.name = "web.net1",
                       .ttl = std::chrono::seconds(5),
                       .data = ServiceLocation{.port = 8080, .target = "web.net1"}};
    auto address = kAddress;
    address.name = "db.net1";
    const auto answer = encode(*query, {.records = {place}, .additional = {address}}, 512);
    EXPECT_EQ(answer,
              bytes("\x12\x34\x81\x00\x00\x01\x00\x01\x00\x00\x00\x01\x03Web\x04net1\x00\x00\x01\x00\x01"
                    "\xc0\x0c\x00\x21\x00\x01\x00\x00\x00\x05\x00\x10\x00\x00\x00\x00\x1f\x90\x03web\x04net1\x00"
                    "\x02"
                    "db\x04net1\x00\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x80\x00\x02"sv));
}

// They are a help, and nobody comes again for them.
TEST(Encode, AdditionalRecordsThatDoNotFitAreLeftOut) {
    const auto query = parse_query(bytes(kDig));
    const Answer many{.records = {kAddress}, .additional = std::vector<Record>(40, kAddress)};
    const auto cut = encode(*query, many, 512);
    EXPECT_LE(cut.size(), 512U);
    EXPECT_EQ(cut[2] & 0x02, 0) << "TC";
    EXPECT_EQ(cut[7], 1);
    EXPECT_EQ(cut[11], 28 + 1) << "16 bytes each, behind 42 and before OPT, which counts, too";
    EXPECT_EQ(encode(*query, many, 4096)[11], 41);
    const Record large{.name = "web.net1", .ttl = std::chrono::seconds(5), .data = std::string(60, 'x')};
    const Answer too_many{.records = std::vector<Record>(40, large), .additional = {kAddress}};  // which would fit
    const auto truncated = encode(*query, too_many, 512);
    EXPECT_EQ(truncated[2] & 0x02, 0x02);
    EXPECT_EQ(truncated[11], 1) << "OPT alone";
}

TEST(Encode, WhatDoesNotFitIsLeftOutAndSaid) {
    const auto query = parse_query(bytes(kPlain));
    const Answer many{.records = std::vector<Record>(40, kAddress)};
    const auto cut = encode(*query, many, udp_limit(*query));
    EXPECT_LE(cut.size(), 512U);
    EXPECT_EQ(cut[2] & 0x02, 0x02) << "TC";
    EXPECT_EQ(cut[7], 30) << "of 16 bytes each, behind 26";
    const auto whole = encode(*query, many, 65535);
    EXPECT_EQ(whole[2] & 0x02, 0);
    EXPECT_EQ(whole[7], 40);
    EXPECT_EQ(udp_limit(*parse_query(bytes(kDig))), 1232U);
    auto greedy = *query;
    greedy.edns = Query::Edns{.size = 65535};
    EXPECT_EQ(udp_limit(greedy), 1232U) << "no more than nobody cuts";
    greedy.edns = Query::Edns{.size = 1};
    EXPECT_EQ(udp_limit(greedy), 512U);
}

// Whatever comes: no crash, and an answer is never larger than it may be, nor than twice the question and a bit.
RC_GTEST_PROP(ParseQuery, TakesAnyBytes, (const std::vector<std::uint8_t>& random)) {
    auto message = random;
    if (*rc::gen::arbitrary<bool>()) {  // one that is almost right
        message = bytes(kDig);
        for (const auto change : random) {
            message[change % message.size()] ^= static_cast<std::uint8_t>(change >> 3U);
        }
    }
    if (const auto query = parse_query(message)) {
        const auto answer = encode(*query, {.rcode = Rcode::kRefused}, udp_limit(*query));
        RC_ASSERT(answer.size() <= message.size() + 11);
        RC_ASSERT(!parse_query(answer).has_value());
    }
}

}  // namespace
}  // namespace warren::dns
