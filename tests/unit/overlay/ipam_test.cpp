#include "overlay/ipam.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "sample.h"

namespace warren::overlay {
namespace {

using base::Code;
using base::IpAddress;
using base::Prefix;

std::string message_of(const base::Status& status) {
    return status ? "" : status.error().message();
}

TEST(CheckSubnet, NamesTheRuleThatIsBroken) {
    const auto check = [](const char* text) { return message_of(check_subnet("--subnet", prefix(text), {})); };
    EXPECT_EQ(check("10.1.0.0/24"), "");
    EXPECT_EQ(check("10.0.0.0/8"), "");
    EXPECT_EQ(check("10.1.0.8/29"), "");
    EXPECT_EQ(check("10.1.0.7/24"), "--subnet 10.1.0.7/24: has bits set behind the prefix; the subnet is 10.1.0.0/24");
    EXPECT_EQ(check("10.1.0.0/30"), "--subnet 10.1.0.0/30: the prefix length must be 8 to 29");
    EXPECT_EQ(check("12.0.0.0/7"), "--subnet 12.0.0.0/7: the prefix length must be 8 to 29");
    EXPECT_EQ(check("127.1.0.0/16"), "--subnet 127.1.0.0/16: must not be in the loopback range 127.0.0.0/8");
    EXPECT_EQ(check("169.254.3.0/24"), "--subnet 169.254.3.0/24: must not be in the link-local range 169.254.0.0/16");
    EXPECT_EQ(check("224.0.1.0/24"), "--subnet 224.0.1.0/24: must not be in the multicast range 224.0.0.0/4");
    EXPECT_EQ(check("250.0.1.0/24"), "--subnet 250.0.1.0/24: must not be in the reserved range 240.0.0.0/4");
    EXPECT_EQ(check("0.0.0.0/8"), "--subnet 0.0.0.0/8: must not be in the \"this network\" range 0.0.0.0/8");
    EXPECT_EQ(check("fd00::/64"), "");
    EXPECT_EQ(check("2001:db8::/48"), "");
    EXPECT_EQ(check("fd00::/47"), "--subnet fd00::/47: the prefix length must be 48 to 124");
    EXPECT_EQ(check("fd00::/125"), "--subnet fd00::/125: the prefix length must be 48 to 124");
    EXPECT_EQ(check("fe80:1::/64"), "--subnet fe80:1::/64: must not be in the link-local range fe80::/10");
    EXPECT_EQ(check("ff05::/64"), "--subnet ff05::/64: must not be in the multicast range ff00::/8");
    EXPECT_EQ(check("::ffff:0:0/96"), "--subnet ::ffff:0.0.0.0/96: must not be in the reserved range ::/8");
}

TEST(CheckSubnet, NamesWhomItOverlaps) {
    const std::vector<UsedSubnet> used{{prefix("10.1.0.0/16"), "network blue"},
                                       {prefix("172.16.0.0/24"), "the host's route via eth0"}};
    const auto inside = check_subnet("--subnet", prefix("10.1.7.0/24"), used);
    EXPECT_EQ(message_of(inside), "--subnet 10.1.7.0/24: overlaps 10.1.0.0/16 of network blue; choose another one");
    EXPECT_EQ(inside.error().code(), Code::kConflict);
    EXPECT_EQ(message_of(check_subnet("--subnet", prefix("172.16.0.0/12"), used)),
              "--subnet 172.16.0.0/12: overlaps 172.16.0.0/24 of the host's route via eth0; choose another one");
    EXPECT_TRUE(check_subnet("--subnet", prefix("10.2.0.0/16"), used));
}

TEST(Ipv6, SubnetsOfAPoolComeOneAfterTheOther) {
    const Prefix pool = prefix("fd12:3456:789a::/48");
    EXPECT_EQ(allocate_subnet(pool, 64, {}).value(), prefix("fd12:3456:789a::/64"));
    std::vector<UsedSubnet> used{{prefix("fd12:3456:789a:1::/64"), "b"},
                                 {prefix("fd12:3456:789a::/64"), "a"},
                                 {prefix("fd12:3456:789a:2:8000::/80"), "narrow"},
                                 {prefix("10.0.0.0/8"), "of the other family"}};
    EXPECT_EQ(allocate_subnet(pool, 64, used).value(), prefix("fd12:3456:789a:3::/64"));
    used.push_back({prefix("fd12:3456::/32"), "all of it"});
    EXPECT_EQ(allocate_subnet(pool, 64, used).error().code(), Code::kExhausted);
}

TEST(Ipv6, AddressesComeOneAfterTheOther) {
    const Prefix subnet = prefix("fd00:1::/64");
    const AddressPool pool{.subnet = subnet, .gateway = default_gateway(subnet)};
    EXPECT_EQ(pool.gateway, ip("fd00:1::1"));
    const auto next = [&](const std::optional<base::IpAddress>& last) {
        return allocate_address(
                   pool, [](const auto& it) { return it == ip("fd00:1::3"); }, last)
            .value();
    };
    EXPECT_EQ(next(std::nullopt), ip("fd00:1::2"));
    EXPECT_EQ(next(ip("fd00:1::2")), ip("fd00:1::4"));
    EXPECT_EQ(next(ip("fd00:1::ffff:ffff")), ip("fd00:1::1:0:0"));
    const AddressPool narrow{.subnet = prefix("fd00:2::/124"), .gateway = ip("fd00:2::1")};
    EXPECT_EQ(allocate_address(
                  narrow, [](const auto&) { return false; }, ip("fd00:2::e"))
                  .value(),
              ip("fd00:2::f"))
        << "there is no broadcast address";
    EXPECT_EQ(message_of(check_reserved("--ip", narrow, ip("fd00:2::"))),
              "--ip fd00:2::: is the subnet-router anycast address of the subnet fd00:2::/124");
}

TEST(CheckPool, MustHoldItsPieces) {
    EXPECT_TRUE(check_pool("--subnet-pool", prefix("10.128.0.0/9"), 24));
    EXPECT_EQ(message_of(check_pool("--subnet-pool", prefix("10.1.0.0/24"), 16)),
              "--subnet-pool 10.1.0.0/24: cannot be cut into subnets of /16: the size must be 24 to 29");
    EXPECT_FALSE(check_pool("--subnet-pool", prefix("10.1.0.0/24"), 30));
    EXPECT_FALSE(check_pool("--subnet-pool", prefix("127.0.0.0/8"), 24));
}

TEST(AllocateSubnet, GivesTheFirstFreePiece) {
    const Prefix pool = prefix("10.128.0.0/9");
    EXPECT_EQ(allocate_subnet(pool, 24, {}).value(), prefix("10.128.0.0/24"));
    // Wider, narrower, out of order, and elsewhere.
    const std::vector<UsedSubnet> used{{prefix("10.128.2.128/25"), "c"},
                                       {prefix("10.128.0.0/23"), "b"},
                                       {prefix("192.168.0.0/16"), "d"},
                                       {prefix("10.128.0.0/24"), "a"}};
    EXPECT_EQ(allocate_subnet(pool, 24, used).value(), prefix("10.128.3.0/24"));
}

TEST(AllocateSubnet, EndsWithThePool) {
    const Prefix pool = prefix("10.9.0.0/23");
    const std::vector<UsedSubnet> one{{prefix("10.9.0.0/24"), "a"}};
    EXPECT_EQ(allocate_subnet(pool, 24, one).value(), prefix("10.9.1.0/24"));
    const std::vector<UsedSubnet> all{{prefix("10.9.1.64/27"), "a"}, {prefix("10.9.0.3/32"), "b"}};
    const auto none = allocate_subnet(pool, 24, all);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), Code::kExhausted);
    EXPECT_EQ(none.error().message(),
              "the subnet pool 10.9.0.0/23 has no free /24 left: give a subnet, or remove a network");
    const std::vector<UsedSubnet> whole{{prefix("10.0.0.0/8"), "a"}};
    EXPECT_FALSE(allocate_subnet(pool, 24, whole));
    // A route to everything leaves nothing, and the arithmetic holds at the end of the address space.
    const std::vector<UsedSubnet> everything{{prefix("0.0.0.0/0"), "a"}};
    EXPECT_FALSE(allocate_subnet(pool, 24, everything));
    EXPECT_EQ(allocate_subnet(prefix("223.255.255.0/24"), 29, {}).value(), prefix("223.255.255.0/29"));
}

// Against the plain way: try every piece.
RC_GTEST_PROP(AllocateSubnet, AgreesWithTryingEveryPiece, ()) {
    const Prefix pool = prefix("10.64.0.0/16");
    const auto size = *rc::gen::inRange<std::uint8_t>(18, 24);
    const auto used = *rc::gen::container<std::vector<UsedSubnet>>(rc::gen::map(
        rc::gen::pair(rc::gen::inRange<std::uint32_t>(0x0a3f0000, 0x0a420000), rc::gen::inRange<std::uint8_t>(15, 33)),
        [](const auto& pair) {
            const Prefix any{IpAddress::v4(pair.first), pair.second};
            return UsedSubnet{{any.network(), pair.second}, "x"};
        }));
    std::optional<Prefix> expected;
    for (std::uint32_t at = 0x0a400000; at < 0x0a410000 && !expected; at += 1U << (32U - size)) {
        const Prefix piece{IpAddress::v4(at), size};
        const bool free = std::none_of(used.begin(), used.end(),
                                       [&](const UsedSubnet& other) { return other.prefix.overlaps(piece); });
        expected = free ? std::optional(piece) : std::nullopt;
    }
    const auto got = allocate_subnet(pool, size, used);
    RC_ASSERT(got.has_value() == expected.has_value());
    RC_ASSERT(!expected || *got == *expected);
}

TEST(CheckAddress, NamesTheRuleThatIsBroken) {
    const AddressPool pool{.subnet = prefix("10.1.0.0/29"), .gateway = ip("10.1.0.1")};
    const Taken taken = [](const IpAddress& it) { return it == ip("10.1.0.3"); };
    const auto check = [&](const char* text) { return message_of(check_address("--ip", pool, taken, ip(text))); };
    EXPECT_EQ(check("10.1.0.2"), "");
    EXPECT_EQ(check("10.1.0.6"), "");
    EXPECT_EQ(check("10.1.0.8"), "--ip 10.1.0.8: must be in the network's subnet 10.1.0.0/29");
    EXPECT_EQ(check("fd00::2"), "--ip fd00::2: must be in the network's subnet 10.1.0.0/29");
    EXPECT_EQ(check("10.1.0.1"), "--ip 10.1.0.1: is the gateway of the subnet 10.1.0.0/29");
    EXPECT_EQ(check("10.1.0.0"), "--ip 10.1.0.0: is the network address of the subnet 10.1.0.0/29");
    EXPECT_EQ(check("10.1.0.7"), "--ip 10.1.0.7: is the broadcast address of the subnet 10.1.0.0/29");
    EXPECT_EQ(check("10.1.0.3"),
              "--ip 10.1.0.3: is taken by another endpoint of the network; choose another one, or none for the next "
              "that is free");
    EXPECT_EQ(check_address("--ip", pool, taken, ip("10.1.0.3")).error().code(), Code::kConflict);
}

Taken among(std::set<IpAddress> addresses) {
    return [addresses = std::move(addresses)](const IpAddress& it) { return addresses.contains(it); };
}
const Taken kNone = [](const IpAddress& /*ip*/) { return false; };

TEST(AllocateAddress, GoesOnBehindTheLastAndAround) {
    const AddressPool pool{.subnet = prefix("10.1.0.0/29"), .gateway = default_gateway(prefix("10.1.0.0/29"))};
    EXPECT_EQ(pool.gateway, ip("10.1.0.1"));
    EXPECT_EQ(allocate_address(pool, kNone, std::nullopt).value(), ip("10.1.0.2"));
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.2")).value(),
              ip("10.1.0.3"));  // .2 was freed: not at once again
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.6")).value(),
              ip("10.1.0.2"));  // past broadcast, network, gateway
    EXPECT_EQ(allocate_address(pool, among({ip("10.1.0.2")}), ip("10.1.0.6")).value(), ip("10.1.0.3"));
    EXPECT_EQ(allocate_address(pool, kNone, ip("192.168.0.1")).value(), ip("10.1.0.2"));  // of a former subnet
    std::set<IpAddress> all;
    for (const char* text : {"10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"}) {
        all.insert(ip(text));
    }
    const auto none = allocate_address(pool, among(all), std::nullopt);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), Code::kExhausted);
    EXPECT_EQ(none.error().message(), "all addresses of the subnet 10.1.0.0/29 are taken");
}

TEST(AllocateAddress, LeavesOutAGatewayInTheMiddle) {
    const AddressPool pool{.subnet = prefix("10.1.0.0/29"), .gateway = ip("10.1.0.4")};
    EXPECT_EQ(allocate_address(pool, kNone, std::nullopt).value(), ip("10.1.0.1"));
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.3")).value(), ip("10.1.0.5"));
}

TEST(AllocateAddress, StaysInItsRangeAndLeavesOutWhatIsReserved) {
    const AddressPool pool{.subnet = prefix("10.1.0.0/24"),
                           .gateway = ip("10.1.0.1"),
                           .range = prefix("10.1.0.128/30"),
                           .reserved = {{ip("10.1.0.129"), "printer"}}};
    EXPECT_EQ(allocate_address(pool, kNone, std::nullopt).value(), ip("10.1.0.128"))
        << "the first of a range is no network";
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.128")).value(), ip("10.1.0.130"));
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.131")).value(), ip("10.1.0.128"));
    EXPECT_EQ(allocate_address(pool, kNone, ip("10.1.0.7")).value(), ip("10.1.0.128")) << "somebody had asked for .7";
    const auto none =
        allocate_address(pool, among({ip("10.1.0.128"), ip("10.1.0.130"), ip("10.1.0.131")}), std::nullopt);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().message(), "all addresses of the range 10.1.0.128/30 are taken");
    EXPECT_TRUE(check_address("--ip", pool, kNone, ip("10.1.0.7"))) << "whoever asks for one of the others gets it";
    EXPECT_EQ(message_of(check_address("--ip", pool, kNone, ip("10.1.0.129"))),
              "--ip 10.1.0.129: is reserved for 'printer' (--aux-address); choose another one");
}

TEST(CheckAddressRange, MustBePartOfTheSubnet) {
    const auto check = [](const char* range) {
        return message_of(check_address_range("--ip-range", prefix("10.1.0.0/24"), prefix(range)));
    };
    EXPECT_EQ(check("10.1.0.0/24"), "");
    EXPECT_EQ(check("10.1.0.64/26"), "");
    for (const auto* range : {"10.1.0.0/23", "10.2.0.0/26", "10.1.0.1/26", "fd00::/64"}) {
        EXPECT_EQ(check(range), fmt::format("--ip-range {}: must be a part of the subnet 10.1.0.0/24", range));
    }
}

RC_GTEST_PROP(AllocateAddress, GivesEveryHostAddressOnce, ()) {
    const auto length = *rc::gen::inRange<std::uint8_t>(22, 30);
    const Prefix subnet{IpAddress::v4(0x0a050000), length};
    const AddressPool pool{.subnet = subnet, .gateway = default_gateway(subnet)};
    std::set<IpAddress> given;
    const Taken taken = [&](const IpAddress& it) { return given.contains(it); };
    std::optional<IpAddress> last;
    const std::size_t hosts = (std::size_t{1} << (32U - length)) - 3;  // network, broadcast, gateway
    for (std::size_t i = 0; i < hosts; ++i) {
        const auto next = allocate_address(pool, taken, last);
        RC_ASSERT(next.has_value());
        RC_ASSERT(check_address("--ip", pool, taken, *next).has_value());
        given.insert(*next);
        last = *next;
    }
    RC_ASSERT(!allocate_address(pool, taken, last));
}

TEST(CheckGateway, MustBeAHostAddress) {
    const Prefix subnet = prefix("10.1.0.0/24");
    EXPECT_TRUE(check_gateway("--gateway", subnet, ip("10.1.0.254")));
    EXPECT_FALSE(check_gateway("--gateway", subnet, ip("10.1.0.0")));
    EXPECT_FALSE(check_gateway("--gateway", subnet, ip("10.1.0.255")));
    EXPECT_EQ(message_of(check_gateway("--gateway", subnet, ip("10.2.0.1"))),
              "--gateway 10.2.0.1: must be a host address of the subnet 10.1.0.0/24");
}

constexpr base::Time kNoon{std::chrono::hours(24 * 20000 + 12)};

TEST(AllocateNumber, FillsGapsAndLetsFreedOnesRest) {
    const NumberRange range{.first = 5, .last = 8};
    EXPECT_EQ(allocate_number("VNI", range, {}, kNoon).value(), 5U);
    EXPECT_EQ(allocate_number("VNI", range, {{5, std::nullopt}, {7, std::nullopt}}, kNoon).value(), 6U);
    // What lies below the range does not count.
    EXPECT_EQ(allocate_number("VNI", range, {{1, std::nullopt}, {5, std::nullopt}}, kNoon).value(), 6U);
    const NumberUse resting{{5, kNoon - std::chrono::hours(23)}, {6, std::nullopt}};
    EXPECT_EQ(allocate_number("VNI", range, resting, kNoon).value(), 7U);
    EXPECT_EQ(allocate_number("VNI", range, resting, kNoon + std::chrono::hours(1)).value(), 5U);
}

TEST(AllocateNumber, SaysWhenOneWillBeFree) {
    const NumberRange range{.first = 1, .last = 2};
    const NumberUse use{{1, kNoon - std::chrono::hours(23)}, {2, kNoon - std::chrono::hours(20)}};
    const auto none = allocate_number("network index", range, use, kNoon);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), Code::kExhausted);
    EXPECT_EQ(
        none.error().message(),
        "all network index numbers 1 to 2 are in use or were freed within the last day; one is free again in 1h 0m");
    EXPECT_FALSE(allocate_number("VNI", range, {{1, std::nullopt}, {2, std::nullopt}}, kNoon));
    // The clock went back: rather too long than too short.
    EXPECT_FALSE(allocate_number("VNI", range, use, kNoon - std::chrono::hours(48)));
}

TEST(AllocateNumber, TheLastNumberOfAllIsGiven) {
    const NumberRange range{.first = 0xfffffffe, .last = 0xffffffff};
    EXPECT_EQ(allocate_number("x", range, {{0xfffffffe, std::nullopt}}, kNoon).value(), 0xffffffffU);
    EXPECT_FALSE(allocate_number("x", range, {{0xfffffffe, std::nullopt}, {0xffffffff, std::nullopt}}, kNoon));
}

TEST(RestedNumbers, AreThoseFreedADayAgo) {
    const NumberUse use{{1, std::nullopt}, {2, kNoon - std::chrono::hours(24)}, {3, kNoon}};
    EXPECT_EQ(rested_numbers(use, kNoon), std::vector<std::uint32_t>{2});
}

}  // namespace
}  // namespace warren::overlay
