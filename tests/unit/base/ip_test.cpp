#include "base/ip.h"

#include <gtest/gtest.h>

namespace warren::base {
namespace {

Prefix prefix(std::string_view text) {
    return parse_prefix("subnet", text).value();
}
IpAddress ip(std::string_view text) {
    return parse_ip("ip", text).value();
}

TEST(Prefix, KnowsItsRange) {
    const Prefix p = prefix("10.1.2.0/23");
    EXPECT_TRUE(p.is_subnet());
    EXPECT_FALSE(prefix("10.1.2.1/23").is_subnet());
    EXPECT_EQ(p.last(), ip("10.1.3.255"));
    EXPECT_TRUE(p.contains(ip("10.1.3.255")));
    EXPECT_FALSE(p.contains(ip("10.1.4.0")));
    EXPECT_FALSE(p.contains(ip("a01:200::"))) << "the other family never";
    EXPECT_EQ(prefix("fd00::/8").last(), ip("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}

TEST(Prefix, OverlapsBothWaysRound) {
    EXPECT_TRUE(prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/24")));
    EXPECT_TRUE(prefix("10.1.0.0/24").overlaps(prefix("10.0.0.0/8")));
    EXPECT_FALSE(prefix("10.1.0.0/24").overlaps(prefix("10.1.1.0/24")));
    EXPECT_TRUE(prefix("0.0.0.0/0").overlaps(prefix("192.0.2.0/24")));
}

TEST(ParsePrefix, SaysWhatIsWrong) {
    EXPECT_EQ(parse_prefix("--subnet", "10.0.0.0").error().message(),
              "--subnet '10.0.0.0': must be ADDRESS/LENGTH, such as 10.1.0.0/24");
    EXPECT_EQ(parse_prefix("--subnet", "10.0.0.0/33").error().message(),
              "--subnet '10.0.0.0/33': the prefix length must be 0 to 32");
    EXPECT_FALSE(parse_prefix("--subnet", "10.0.0/8"));
}

TEST(ParseMac, TakesUnicastOnly) {
    EXPECT_EQ(parse_mac("--mac", "02:57:00:00:0a:FF")->text(), "02:57:00:00:0a:ff");
    for (const auto* bad :
         {"01:00:5e:00:00:01", "00:00:00:00:00:00", "2:57:0:0:0:1", "02:57:00:00:00", "zz:57:00:00:00:01"}) {
        EXPECT_FALSE(parse_mac("--mac", bad)) << bad;
    }
    EXPECT_EQ(mac_for(IpAddress::v4(0x0a010203)).text(), "02:57:0a:01:02:03");
}

TEST(ParseSocketAddress, TakesBothFamiliesWithAndWithoutPort) {
    EXPECT_EQ(parse_socket_address("m", "192.0.2.1", 7443)->text(), "192.0.2.1:7443");
    EXPECT_EQ(parse_socket_address("m", "192.0.2.1:80", 7443)->text(), "192.0.2.1:80");
    EXPECT_EQ(parse_socket_address("m", "2001:db8::1", 7443)->text(), "[2001:db8::1]:7443");
    EXPECT_EQ(parse_socket_address("m", "[2001:db8::1]:80", 7443)->text(), "[2001:db8::1]:80");
    for (const auto* bad : {"host:80", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "[::1", "[::1]80"}) {
        EXPECT_FALSE(parse_socket_address("m", bad, 7443)) << bad;
    }
}

}  // namespace
}  // namespace warren::base
