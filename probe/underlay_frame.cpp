#include "probe/underlay_frame.h"

#include <algorithm>

#include "base/internet_checksum.h"

namespace warren::probe {

namespace {

constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr std::uint8_t kEsp = 50;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kTtl = 64;
constexpr std::size_t kIpv4Header = 20;
constexpr std::size_t kIpv6Header = 40;
constexpr std::size_t kUdpHeader = 8;
constexpr std::uint16_t kFragmentOffset = 0x1fff;

std::uint16_t number_at(std::span<const std::uint8_t> bytes, std::size_t at) {
    return static_cast<std::uint16_t>((bytes[at] << 8U) | bytes[at + 1]);
}

void append(std::vector<std::uint8_t>& out, std::span<const std::uint8_t> bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}
void append_number(std::vector<std::uint8_t>& out, std::size_t number) {
    out.push_back(static_cast<std::uint8_t>(number >> 8U));
    out.push_back(static_cast<std::uint8_t>(number));
}

// Fills in what the IP header says; returns what is behind it.
std::optional<std::span<const std::uint8_t>> parse_ip(std::uint16_t ethertype, std::span<const std::uint8_t> ip,
                                                      UnderlayPacket& packet, std::uint8_t& protocol) {
    if (ethertype == kIpv4 && ip.size() >= kIpv4Header) {
        const auto header = std::size_t{4} * (ip[0] & 0xfU);
        if (header < kIpv4Header || ip.size() < header || (number_at(ip, 6) & kFragmentOffset) != 0) {
            return std::nullopt;
        }
        protocol = ip[9];
        packet.size = base::Mtu{number_at(ip, 2)};
        packet.source = *base::IpAddress::from_bytes(ip.subspan(12, 4));
        packet.destination = *base::IpAddress::from_bytes(ip.subspan(16, 4));
        return ip.subspan(header);
    }
    if (ethertype == kIpv6 && ip.size() >= kIpv6Header) {
        protocol = ip[6];
        packet.size = base::Mtu{number_at(ip, 4) + static_cast<std::uint32_t>(kIpv6Header)};
        packet.source = *base::IpAddress::from_bytes(ip.subspan(8, 16));
        packet.destination = *base::IpAddress::from_bytes(ip.subspan(24, 16));
        return ip.subspan(kIpv6Header);
    }
    return std::nullopt;
}

void append_ip(std::vector<std::uint8_t>& out, const Datagram& datagram, std::size_t size) {
    if (datagram.source.family == base::Family::kIpv6) {
        append_number(out, kIpv6);
        append(out, std::array<std::uint8_t, 4>{0x60});
        append_number(out, size);
        out.push_back(kUdp);
        out.push_back(kTtl);
        append(out, datagram.source.raw());
        append(out, datagram.destination.raw());
        return;
    }
    append_number(out, kIpv4);
    const auto begin = out.size();
    out.push_back(0x45);
    out.push_back(0);
    append_number(out, kIpv4Header + size);
    append(out, std::array<std::uint8_t, 4>{});  // no fragment
    out.push_back(kTtl);
    out.push_back(kUdp);
    append_number(out, 0);  // the checksum
    append(out, datagram.source.raw());
    append(out, datagram.destination.raw());
    const auto sum = base::internet_checksum(std::span(out).subspan(begin));
    out[begin + 10] = static_cast<std::uint8_t>(sum >> 8U);
    out[begin + 11] = static_cast<std::uint8_t>(sum);
}

}  // namespace

std::optional<UnderlayPacket> parse_underlay(std::span<const std::uint8_t> frame) {
    UnderlayPacket packet;
    if (frame.size() < packet.link.size()) {
        return std::nullopt;
    }
    std::ranges::copy(frame.first(packet.link.size()), packet.link.begin());
    std::uint8_t protocol = 0;
    const auto behind = parse_ip(number_at(frame, 12), frame.subspan(packet.link.size()), packet, protocol);
    if (!behind) {
        return std::nullopt;
    }
    packet.esp = protocol == kEsp;
    if (packet.esp) {
        return packet;
    }
    if (protocol != kUdp || behind->size() < kUdpHeader) {
        return std::nullopt;
    }
    packet.port = base::UdpPort{number_at(*behind, 2)};
    packet.payload = behind->subspan(kUdpHeader);
    return packet;
}

std::vector<std::uint8_t> make_datagram(const Datagram& datagram, std::span<const std::uint8_t> payload) {
    std::vector<std::uint8_t> out(datagram.link.begin(), datagram.link.end() - 2);
    append_ip(out, datagram, kUdpHeader + payload.size());
    append_number(out, datagram.source_port.value);
    append_number(out, datagram.port.value);
    append_number(out, kUdpHeader + payload.size());
    append_number(out, 0);
    append(out, payload);
    return out;
}

}  // namespace warren::probe
