#include "overlay/mtu.h"

namespace warren::overlay {

namespace {

constexpr std::uint32_t kIpv4Header = 20;
constexpr std::uint32_t kIpv6Header = 40;
constexpr std::uint32_t kVxlanHeaders = 8 + 8 + 14;  // UDP, VXLAN, the inner Ethernet frame's
constexpr std::uint32_t kEspHead = 8 + 8;            // SPI and sequence number, IV
constexpr std::uint32_t kEspTrailer = 2;             // pad length, next header; inside of the padded part
constexpr std::uint32_t kEspIcv = 16;
constexpr std::uint32_t kEspAlignment = 4;  // RFC 4303 §2.4

constexpr std::uint32_t kEncapHeader = 8;

std::uint32_t ip_header(base::Family outer) {
    return outer == base::Family::kIpv4 ? kIpv4Header : kIpv6Header;
}

// Behind the IP header and before the padded part.
std::uint32_t esp_head(Protection protection) {
    return protection == Protection::kEspInUdp ? kEncapHeader + kEspHead : kEspHead;
}

}  // namespace

base::Mtu outer_size(base::Mtu inner, base::Family outer, Protection protection) {
    const std::uint32_t datagram = kVxlanHeaders + inner.value;
    if (protection == Protection::kPlain) {
        return base::Mtu(ip_header(outer) + datagram);
    }
    const std::uint32_t padded = (datagram + kEspTrailer + kEspAlignment - 1) / kEspAlignment * kEspAlignment;
    return base::Mtu(ip_header(outer) + esp_head(protection) + padded + kEspIcv);
}

base::Result<base::Mtu> inner_mtu(base::Mtu underlay, base::Family outer, Protection protection) {
    const base::Mtu needed = outer_size(kSmallestMtu, outer, protection);
    if (underlay < needed) {
        return base::fail(
            base::Code::kPrecondition,
            "the underlay's MTU {} is too small: with {} over {} it must be at least {} to carry packets of {}",
            underlay, protection == Protection::kPlain ? "VXLAN" : "encryption",
            outer == base::Family::kIpv4 ? "IPv4" : "IPv6", needed, kSmallestMtu);
    }
    std::uint32_t room = underlay.value - ip_header(outer);
    if (protection != Protection::kPlain) {
        room = (room - esp_head(protection) - kEspIcv) / kEspAlignment * kEspAlignment - kEspTrailer;
    }
    return base::Mtu(room - kVxlanHeaders);
}

}  // namespace warren::overlay
