#include "overlay/announcement.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/internet_checksum.h"
#include "base/unique_fd.h"

namespace warren::overlay {

namespace {

using base::MacAddress;

// At once. Of a network that comes as a whole nobody here has sent to anybody yet.
constexpr std::size_t kMostFrames = 20'000;
constexpr std::array<std::uint8_t, 16> kAllNodes{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr std::uint8_t kHopLimit = 255;  // RFC 4861 section 7.1.2: another one has been routed, and is not believed

template <typename... Headers>
std::vector<std::uint8_t> joined(const Headers&... headers) {
    std::vector<std::uint8_t> frame((sizeof headers + ...));
    std::size_t at = 0;
    ((std::memcpy(frame.data() + at, &headers, sizeof headers), at += sizeof headers), ...);
    return frame;
}

template <typename Bytes, std::size_t size>
void fill(std::uint8_t (&field)[size], const Bytes& bytes) {  // NOLINT(modernize-avoid-c-arrays): the kernel's headers
    std::copy_n(bytes.begin(), size, field);
}

ether_header ethernet_header(const MacAddress& to, const MacAddress& from, std::uint16_t ethertype) {
    ether_header ethernet{};
    fill(ethernet.ether_dhost, to.bytes);
    fill(ethernet.ether_shost, from.bytes);
    ethernet.ether_type = htons(ethertype);
    return ethernet;
}

std::vector<std::uint8_t> arp_announcement(const Appeared& appeared, const MacAddress& listener) {
    ether_arp arp{};
    arp.arp_hrd = htons(ARPHRD_ETHER);
    arp.arp_pro = htons(ETHERTYPE_IP);
    arp.arp_hln = ETH_ALEN;
    arp.arp_pln = sizeof arp.arp_spa;
    arp.arp_op = htons(ARPOP_REQUEST);
    fill(arp.arp_sha, appeared.mac.bytes);
    fill(arp.arp_spa, appeared.ip.raw());
    fill(arp.arp_tpa, appeared.ip.raw());
    return joined(ethernet_header(listener, appeared.mac, ETHERTYPE_ARP), arp);
}

// What the checksum of ICMPv6 is over (RFC 8200 section 8.1).
struct Advertisement {
    nd_neighbor_advert head;
    nd_opt_hdr option;
    std::array<std::uint8_t, ETH_ALEN> mac;
};
struct Summed {
    std::array<std::uint8_t, 16> source;
    std::array<std::uint8_t, 16> destination;
    std::uint32_t length;
    std::array<std::uint8_t, 3> zero;
    std::uint8_t next;
    Advertisement advertisement;
};
static_assert(sizeof(Advertisement) == 32 && sizeof(Summed) == 72, "as on the wire");

std::vector<std::uint8_t> neighbour_advertisement(const Appeared& appeared, const MacAddress& listener) {
    Summed summed{};
    std::ranges::copy(appeared.ip.raw(), summed.source.begin());
    summed.destination = kAllNodes;
    summed.length = htonl(sizeof summed.advertisement);
    summed.next = IPPROTO_ICMPV6;
    auto& advertisement = summed.advertisement;
    advertisement.head.nd_na_type = ND_NEIGHBOR_ADVERT;
    advertisement.head.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
    std::memcpy(&advertisement.head.nd_na_target, summed.source.data(), summed.source.size());
    advertisement.option = {.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1};  // in units of 8 bytes
    advertisement.mac = appeared.mac.bytes;
    const auto sum = base::internet_checksum({reinterpret_cast<const std::uint8_t*>(&summed), sizeof summed});
    advertisement.head.nd_na_cksum = htons(sum);

    ip6_hdr ip{};
    ip.ip6_flow = htonl(6U << 28U);
    ip.ip6_plen = htons(sizeof advertisement);
    ip.ip6_nxt = IPPROTO_ICMPV6;
    ip.ip6_hlim = kHopLimit;
    std::memcpy(&ip.ip6_src, summed.source.data(), summed.source.size());
    std::memcpy(&ip.ip6_dst, kAllNodes.data(), kAllNodes.size());
    return joined(ethernet_header(listener, appeared.mac, ETHERTYPE_IPV6), ip, advertisement);
}

base::Status send_all(const std::string& bridge, const std::set<Appeared>& appeared,
                      std::span<const MacAddress> listeners) {
    const base::UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));  // takes nothing in
    if (!socket) {
        return base::fail_errno("open a packet socket", errno);
    }
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(bridge.c_str()));
    std::size_t left = kMostFrames;
    base::Status status;
    for (auto it = appeared.begin(); it != appeared.end() && left >= listeners.size(); ++it) {
        left -= listeners.size();
        for (const auto& listener : listeners) {
            const auto frame = announcement(*it, listener);
            if (listener != it->mac && ::sendto(socket.get(), frame.data(), frame.size(), 0,
                                                reinterpret_cast<const sockaddr*>(&to), sizeof to) < 0) {
                status = base::fail_errno(fmt::format("announce {} on {}", it->ip, bridge), errno);
            }
        }
    }
    return status;
}

}  // namespace

std::vector<std::uint8_t> announcement(const Appeared& appeared, const MacAddress& listener) {
    return appeared.ip.family == base::Family::kIpv4 ? arp_announcement(appeared, listener)
                                                     : neighbour_advertisement(appeared, listener);
}

base::Status announce(const netlink::Namespace& home, const std::string& bridge, const std::set<Appeared>& appeared,
                      std::span<const MacAddress> listeners) {
    if (appeared.empty() || listeners.empty()) {
        return {};
    }
    return netlink::run_in(home, [&] { return send_all(bridge, appeared, listeners); });
}

}  // namespace warren::overlay
