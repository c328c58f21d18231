#include "overlay/mtu.h"

#include <gtest/gtest.h>

namespace warren::overlay {
namespace {

using base::Family;
using base::Mtu;

struct Case {
    std::uint32_t underlay;
    Family family;
    Protection protection;
    std::uint32_t inner;
};

// 1500: measured on a kernel with `ping -M do`; 9001: the jumbo frames of a cloud; 1280: the least of IPv6.
TEST(InnerMtu, MatchesWhatKernelsCarry) {
    const Case cases[] = {
        {1500, Family::kIpv4, Protection::kPlain, 1450},    {1500, Family::kIpv6, Protection::kPlain, 1430},
        {1500, Family::kIpv4, Protection::kEsp, 1416},      {1500, Family::kIpv6, Protection::kEsp, 1396},
        {9001, Family::kIpv4, Protection::kPlain, 8951},    {9001, Family::kIpv4, Protection::kEsp, 8916},
        {9000, Family::kIpv4, Protection::kEsp, 8916},      {1280, Family::kIpv6, Protection::kEsp, 1176},
        {1400, Family::kIpv4, Protection::kEsp, 1316},      {1420, Family::kIpv4, Protection::kPlain, 1370},
        {1500, Family::kIpv4, Protection::kEspInUdp, 1408}, {1500, Family::kIpv6, Protection::kEspInUdp, 1388},
    };
    for (const auto& c : cases) {
        const auto inner = inner_mtu(Mtu(c.underlay), c.family, c.protection);
        ASSERT_TRUE(inner) << c.underlay;
        EXPECT_EQ(inner->value, c.inner) << c.underlay;
    }
}

TEST(InnerMtu, IsTheLargestThatFits) {
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
        for (const Protection protection : {Protection::kPlain, Protection::kEsp, Protection::kEspInUdp}) {
            for (std::uint32_t underlay = 700; underlay <= 9216; ++underlay) {
                std::uint32_t largest = 0;
                for (std::uint32_t inner = underlay - 120; inner <= underlay; ++inner) {
                    if (outer_size(Mtu(inner), family, protection) <= Mtu(underlay)) {
                        largest = inner;
                    }
                }
                ASSERT_EQ(inner_mtu(Mtu(underlay), family, protection).value().value, largest) << underlay;
            }
        }
    }
}

// RFC 4303 §2.4 and RFC 4106, counted by hand: 20 + 8 + 8 + (30 + 1416 + 2 = 1448, a multiple of 4) + 16 = 1500, and
// one byte more is padded by three others.
TEST(OuterSize, PadsEspToFour) {
    EXPECT_EQ(outer_size(Mtu(1416), Family::kIpv4, Protection::kEsp), Mtu(1500));
    EXPECT_EQ(outer_size(Mtu(1417), Family::kIpv4, Protection::kEsp), Mtu(1504));
    EXPECT_EQ(outer_size(Mtu(1413), Family::kIpv4, Protection::kEsp), Mtu(1500));
    EXPECT_EQ(outer_size(Mtu(1412), Family::kIpv4, Protection::kEsp), Mtu(1496));
}

TEST(InnerMtu, RefusesAnUnderlayThatIsTooSmall) {
    const auto refused = inner_mtu(Mtu(600), Family::kIpv4, Protection::kEsp);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kPrecondition);
    EXPECT_EQ(refused.error().message(),
              "the underlay's MTU 600 is too small: with encryption over IPv4 it must be at least 660 to carry packets "
              "of 576");
    EXPECT_TRUE(inner_mtu(Mtu(660), Family::kIpv4, Protection::kEsp));
    EXPECT_FALSE(inner_mtu(Mtu(659), Family::kIpv4, Protection::kEsp));
    EXPECT_FALSE(inner_mtu(Mtu(0), Family::kIpv6, Protection::kPlain));
}

}  // namespace
}  // namespace warren::overlay
