#include "probe/probe_frame.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace warren::probe {
namespace {

constexpr Probe kProbe{.answer = false,
                       .whole = true,
                       .number = 0x1234,
                       .run = 0x0102030405060708,
                       .from = base::NodeIndex{0x0abc},
                       .to = base::NodeIndex{2},
                       .answer_size = base::Mtu{1416}};
const base::MacAddress kBridge{{0x02, 1, 2, 3, 4, 5}};
constexpr std::size_t kHeaders = 8 + 14;

TEST(ProbeFrame, IsVxlanWithAnEthernetFrameToTheBridge) {
    const auto datagram = encode_probe(kProbe, base::Vni{0x570001}, kBridge, base::Mtu{100});
    ASSERT_EQ(datagram.size(), kHeaders + 100);
    const std::vector<std::uint8_t> begin{0x08, 0,   0,   0,   0x57, 0,
                                          1,    0,                          // RFC 7348: the VNI is there, and which
                                          0x02, 1,   2,   3,   4,    5,     // to
                                          0x02, 'W', 'R', 'N', 0x0a, 0xbc,  // from: unicast and locally administered
                                          0x88, 0xb5};
    EXPECT_TRUE(std::ranges::equal(begin, std::span(datagram).first(begin.size())));
}

TEST(ProbeFrame, DecodesWhatWasEncoded) {
    const auto datagram = encode_probe(kProbe, base::Vni{1}, kBridge, base::Mtu{1416});
    const auto received = decode_probe(std::span(datagram).subspan(kHeaders));
    ASSERT_TRUE(received);
    EXPECT_EQ(received->probe, kProbe);
    EXPECT_EQ(received->size, base::Mtu{1416});
}

TEST(ProbeFrame, OfAnotherIsNone) {
    auto payload = encode_probe(kProbe, base::Vni{1}, kBridge, base::Mtu{64});
    payload.erase(payload.begin(), payload.begin() + kHeaders);
    EXPECT_TRUE(decode_probe(payload));
    EXPECT_FALSE(decode_probe(std::span(payload).first(63)));
    EXPECT_FALSE(decode_probe({}));
    ++payload[3];
    EXPECT_FALSE(decode_probe(payload)) << "of another version";
}

RC_GTEST_PROP(ProbeFrame, TakesAnything, (const std::vector<std::uint8_t>& bytes)) {
    (void)decode_probe(bytes);
}

}  // namespace
}  // namespace warren::probe
