#include "overlay/announcement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/internet_checksum.h"
#include "sample.h"

namespace warren::overlay {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr base::MacAddress kListener{{0x02, 0, 0, 0, 0, 0x01}};
constexpr base::MacAddress kMac{{0x02, 0, 0, 0, 0, 0x09}};

Bytes part(const Bytes& frame, std::size_t from, std::size_t size) {
    return {frame.begin() + static_cast<std::ptrdiff_t>(from),
            frame.begin() + static_cast<std::ptrdiff_t>(from + size)};
}

TEST(Announcement, OfIpv4IsAnArpRequestForOnesOwnAddress) {
    EXPECT_EQ(announcement({ip("10.1.0.9"), kMac}, kListener),
              (Bytes{2, 0, 0, 0, 0, 1, 2, 0,  0, 0, 0, 9, 8, 6, 0, 1, 8, 0,  6, 4, 0,
                     1, 2, 0, 0, 0, 0, 9, 10, 1, 0, 9, 0, 0, 0, 0, 0, 0, 10, 1, 0, 9}));
}

TEST(Announcement, OfIpv6IsAnAdvertisementThatOverrides) {
    const auto address = ip("fd00::9");
    const auto frame = announcement({address, kMac}, kListener);
    const auto source = address.raw();
    ASSERT_EQ(frame.size(), 14U + 40 + 32);
    EXPECT_EQ(part(frame, 0, 14), (Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd}));
    EXPECT_EQ(part(frame, 14, 8), (Bytes{0x60, 0, 0, 0, 0, 32, 58, 255}));
    EXPECT_EQ(part(frame, 22, 16), Bytes(source.begin(), source.end()));
    EXPECT_EQ(part(frame, 38, 16), (Bytes{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
    EXPECT_EQ(part(frame, 54, 2), (Bytes{136, 0}));
    EXPECT_EQ(part(frame, 58, 4), (Bytes{0x20, 0, 0, 0})) << "override, neither solicited nor a router's";
    EXPECT_EQ(part(frame, 62, 16), Bytes(source.begin(), source.end()));
    EXPECT_EQ(part(frame, 78, 8), (Bytes{2, 1, 2, 0, 0, 0, 0, 9}));
    // RFC 8200 section 8.1: over the pseudo-header, too.
    auto summed = part(frame, 22, 32);
    summed.insert(summed.end(), {0, 0, 0, 32, 0, 0, 0, 58});
    summed.insert(summed.end(), frame.begin() + 54, frame.end());
    EXPECT_EQ(base::internet_checksum(summed), 0);
}

}  // namespace
}  // namespace warren::overlay
