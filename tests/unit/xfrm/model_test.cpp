#include "xfrm/model.h"

#include <rapidcheck.h>

#include "tests/unit/xfrm/world.h"

namespace warren::xfrm {
namespace {

TEST(Spi, IsMadeOfSlotSenderAndNetwork) {
    const SpiParts parts{
        .slot = base::EpochSlot{2}, .sender = base::NodeIndex{0x1234}, .network = base::NetworkIndex{0x0567}};
    EXPECT_EQ(make_spi(parts).value, 0b01'10'01001000110100'00010101100111U);
    EXPECT_EQ(split_spi(make_spi(parts)), parts);
}

TEST(Spi, ForeignOnesAreTold) {
    EXPECT_EQ(split_spi(Spi{0}), std::nullopt);
    EXPECT_EQ(split_spi(Spi{0x3fffffff}), std::nullopt);
    EXPECT_EQ(split_spi(Spi{0x80000000}), std::nullopt);
    EXPECT_EQ(split_spi(Spi{0xc1234567}), std::nullopt);  // charon's
}

TEST(Spi, RoundTripsAndStaysInItsRange) {
    EXPECT_TRUE(rc::check([](std::uint32_t random) {
        const SpiParts parts{.slot = base::EpochSlot{static_cast<std::uint8_t>(random & 3U)},
                             .sender = base::NodeIndex{static_cast<std::uint16_t>(random >> 2U & kIndexMask)},
                             .network = base::NetworkIndex{static_cast<std::uint16_t>(random >> 16U & kIndexMask)}};
        RC_ASSERT(split_spi(make_spi(parts)) == parts);
        RC_ASSERT(make_spi(parts).value >= 0x40000000U);
        RC_ASSERT(make_spi(parts).value < 0x80000000U);
    }));
}

TEST(Reqid, NamesItsNetworkAndNothingElse) {
    EXPECT_EQ(make_reqid(base::NetworkIndex{7}).value, 0x57000007U);
    EXPECT_EQ(network_of(Reqid{0x57003fff}), base::NetworkIndex{0x3fff});
    EXPECT_EQ(network_of(Reqid{0x57004000}), std::nullopt);
    EXPECT_EQ(network_of(Reqid{0x56000007}), std::nullopt);
    EXPECT_EQ(network_of(Reqid{7}), std::nullopt);
}

TEST(Owner, TakesNeitherLarvalStatesNorWhatTheKernelTellsApart) {
    Sa sa{.location = {.spi = Spi{0x40004007}}, .reqid = Reqid{0x57000007}};
    EXPECT_EQ(owner(sa), base::NetworkIndex{7});
    sa.keyed_apart = true;
    EXPECT_EQ(owner(sa), std::nullopt);
    EXPECT_EQ(owner(Sa{.location = {.spi = Spi{0}}, .reqid = Reqid{0x57000007}}), std::nullopt);

    Policy policy{.templates = {{.reqid = Reqid{0x57000007}}}};
    EXPECT_EQ(owner(policy), base::NetworkIndex{7});
    policy.keyed_apart = true;
    EXPECT_EQ(owner(policy), std::nullopt);
    EXPECT_EQ(owner(Policy{}), std::nullopt);
}

TEST(PortMatch, OverlapsWhereTheCommonBitsAgree) {
    const PortMatch low{.port = 512, .mask = 0xfe00};
    EXPECT_TRUE(low.overlaps({.port = 1023, .mask = 0xffff}));
    EXPECT_FALSE(low.overlaps({.port = 1024, .mask = 0xffff}));
    EXPECT_FALSE(low.overlaps({.port = 511, .mask = 0xffff}));
    EXPECT_TRUE(low.overlaps({}));
}

}  // namespace
}  // namespace warren::xfrm
