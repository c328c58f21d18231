#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"

// Ethernet frames of the underlay that have ESP or UDP in them, as far as a proof of encryption looks at them. Pure.
namespace warren::probe {

using LinkHeader = std::array<std::uint8_t, 14>;

struct UnderlayPacket {
    LinkHeader link{};
    base::IpAddress source;
    base::IpAddress destination;
    base::Mtu size;                         // of the IP packet, whatever was cut off of the frame since
    bool esp = false;                       // else UDP
    base::UdpPort port;                     // UDP: the destination's
    std::span<const std::uint8_t> payload;  // UDP's, as far as it is there; into the frame
};

// nullopt: neither ESP nor UDP right behind an IP header, or a fragment but the first.
[[nodiscard]] std::optional<UnderlayPacket> parse_underlay(std::span<const std::uint8_t> frame);

struct Datagram {
    LinkHeader link{};
    base::IpAddress source;
    base::IpAddress destination;
    base::UdpPort source_port;
    base::UdpPort port;
};
// A frame with a UDP datagram in it, without a checksum, as VXLAN's are.
[[nodiscard]] std::vector<std::uint8_t> make_datagram(const Datagram& datagram, std::span<const std::uint8_t> payload);

}  // namespace warren::probe
