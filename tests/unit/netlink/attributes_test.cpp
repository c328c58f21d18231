#include "netlink/attributes.h"

#include <gtest/gtest.h>

#include "scratch.h"

namespace warren::netlink {
namespace {

TEST(Attributes, ReadsWhatIsThereAndLeavesAloneWhatIsNot) {
    const auto bytes = unhex(
        "080001002a000000"
        "0500020001000000"
        "0600030012340000"
        "070004006162"
        "0000");
    const auto attributes = must(Attributes::parse(bytes));
    std::uint32_t number = 0;
    std::optional<std::uint32_t> missing;
    bool flag = false;
    std::uint16_t port = 0;
    std::string text = "before";
    EXPECT_TRUE(ok(attributes.read(1, number)));
    EXPECT_TRUE(ok(attributes.read(9, missing)));
    EXPECT_TRUE(ok(attributes.read_flag(2, flag)));
    EXPECT_TRUE(ok(attributes.read_be16(3, port)));
    EXPECT_TRUE(ok(attributes.read_string(4, text)));
    EXPECT_EQ(number, 42U);
    EXPECT_EQ(missing, std::nullopt);
    EXPECT_TRUE(flag);
    EXPECT_EQ(port, 0x1234);
    EXPECT_EQ(text, "ab");
    EXPECT_TRUE(ok(attributes.read_string(9, text)));
    EXPECT_EQ(text, "ab");
}

TEST(Attributes, RefusesAValueOfTheWrongSize) {
    const auto bytes = unhex(
        "0800010001020304"
        "0a0002000102030405060000");
    const auto attributes = must(Attributes::parse(bytes));
    std::uint8_t small = 0;
    std::uint64_t large = 0;
    base::IpAddress ip;
    EXPECT_FALSE(ok(attributes.read(1, small)));
    EXPECT_FALSE(ok(attributes.read(1, large)));
    EXPECT_FALSE(ok(attributes.read_ip(2, ip)));
    EXPECT_TRUE(ok(attributes.read_ip(1, ip)));
    EXPECT_EQ(ip.text(), "1.2.3.4");
    EXPECT_FALSE(attributes.nested(1)) << "0x0201 is no attribute length that fits";
}

TEST(Attributes, RefusesLengthsThatLie) {
    for (const auto* text : {"0300010000000000", "0900010000000000", "00000000", "080001", "0800010000000000ff"}) {
        EXPECT_FALSE(Attributes::parse(unhex(text))) << text;
    }
    EXPECT_TRUE(Attributes::parse({}));
}

TEST(Attributes, TakesWhatBothSidesKnowOfAStructThatGrew) {
    struct Grown {
        std::uint32_t old_part = 0;
        std::uint32_t new_part = 7;
    };
    Grown out;
    const auto from_older = unhex("0800010001000000");
    EXPECT_TRUE(ok(must(Attributes::parse(from_older)).read_growing(1, out, 4)));
    EXPECT_EQ(out.old_part, 1U);
    EXPECT_EQ(out.new_part, 7U);
    const auto from_newer = unhex("10000100020000000300000004000000");
    EXPECT_TRUE(ok(must(Attributes::parse(from_newer)).read_growing(1, out, 4)));
    EXPECT_EQ(out.old_part, 2U);
    EXPECT_EQ(out.new_part, 3U);
    EXPECT_FALSE(ok(must(Attributes::parse(from_older)).read_growing(1, out, 8)));
}

TEST(Datagram, IsCutOnlyWhereItsLengthsAllow) {
    int seen = 0;
    const auto count = [&seen](const Received&) { ++seen; };
    const std::string one =
        "14000000030002000100000002000000"
        "00000000";
    EXPECT_TRUE(ok(for_each_message(unhex(one + one), count)));
    EXPECT_EQ(seen, 2);
    EXPECT_FALSE(ok(for_each_message(unhex(one + "15000000030002000100000002000000"
                                                 "00000000"),
                                     count)));
    EXPECT_EQ(seen, 3);
    EXPECT_FALSE(ok(for_each_message(unhex("0f000000030002000100000002000000"), count)));
    EXPECT_FALSE(ok(for_each_message(unhex("140000000300"), count)));
    EXPECT_EQ(seen, 3);
}

}  // namespace
}  // namespace warren::netlink
