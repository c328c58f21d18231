#include "probe/underlay_frame.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace warren::probe {
namespace {

base::IpAddress ip(const char* text) {
    return base::parse_ip("address", text).value();
}

constexpr LinkHeader kLink{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00};

TEST(UnderlayFrame, ADatagramIsReadAsItWasMade) {
    const std::vector<std::uint8_t> payload(100, 0xab);
    for (const auto& [from, to, size] :
         {std::tuple("192.0.2.1", "192.0.2.2", 128U), {"2001:db8::1", "2001:db8::2", 148U}}) {
        const auto frame = make_datagram({.link = kLink,
                                          .source = ip(from),
                                          .destination = ip(to),
                                          .source_port = base::UdpPort{600},
                                          .port = base::UdpPort{10001}},
                                         payload);
        const auto packet = parse_underlay(frame);
        ASSERT_TRUE(packet) << from;
        EXPECT_FALSE(packet->esp);
        EXPECT_EQ(packet->source, ip(from));
        EXPECT_EQ(packet->destination, ip(to));
        EXPECT_EQ(packet->size, base::Mtu{size});
        EXPECT_EQ(packet->port, base::UdpPort{10001});
        EXPECT_TRUE(std::ranges::equal(packet->payload, payload));
        EXPECT_TRUE(std::equal(kLink.begin(), kLink.begin() + 12, packet->link.begin()));
    }
}

// RFC 1071's sum over a header with its checksum in it is 0xffff.
TEST(UnderlayFrame, TheHeaderOfIpv4HasItsChecksum) {
    const auto frame = make_datagram({.link = kLink, .source = ip("192.0.2.1"), .destination = ip("198.51.100.7")}, {});
    unsigned sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) {
        sum += static_cast<unsigned>(frame[i] << 8U) + frame[i + 1];
    }
    EXPECT_EQ((sum & 0xffffU) + (sum >> 16U), 0xffffU);
}

TEST(UnderlayFrame, EspIsRecognisedByItsProtocolAndMeasured) {
    auto frame = make_datagram({.link = kLink, .source = ip("192.0.2.1"), .destination = ip("192.0.2.2")},
                               std::vector<std::uint8_t>(72));
    frame[14 + 9] = 50;
    auto packet = parse_underlay(std::span(frame).first(60));  // cut off by the filter
    ASSERT_TRUE(packet);
    EXPECT_TRUE(packet->esp);
    EXPECT_EQ(packet->size, base::Mtu{100});
    frame[14 + 9] = 6;
    EXPECT_FALSE(parse_underlay(frame)) << "TCP";
    frame[14 + 9] = 17;
    frame[14 + 7] = 1;
    EXPECT_FALSE(parse_underlay(frame)) << "not the first fragment";
}

RC_GTEST_PROP(UnderlayFrame, TakesAnything, (std::vector<std::uint8_t> bytes, bool v6)) {
    if (bytes.size() > 14) {
        bytes[12] = v6 ? 0x86 : 0x08;
        bytes[13] = v6 ? 0xdd : 0x00;
    }
    (void)parse_underlay(bytes);
}

}  // namespace
}  // namespace warren::probe
