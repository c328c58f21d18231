#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "netlink/namespace.h"

// Tells the containers of this node that an address is behind a MAC address from now on. Who has it otherwise in its
// neighbour table would go on sending to the old one until the kernel doubts it, half a minute and more.
namespace warren::overlay {

struct Appeared {
    base::IpAddress ip;
    base::MacAddress mac;

    auto operator<=>(const Appeared&) const = default;
};

// An ARP announcement (RFC 5227 section 3) or an unsolicited neighbour advertisement (RFC 4861 section 7.2.6), as an
// Ethernet frame to one listener. Pure.
[[nodiscard]] std::vector<std::uint8_t> announcement(const Appeared& appeared, const base::MacAddress& listener);

// Sends each to each listener but the one who has it, up to some 20,000 frames, from the bridge itself in `home`. To
// each of them, since no container gets multicast that it did not ask for, and who hears its own address advertised
// complains (kernel net/ipv6/ndisc.c, ndisc_recv_na).
[[nodiscard]] base::Status announce(const netlink::Namespace& home, const std::string& bridge,
                                    const std::set<Appeared>& appeared, std::span<const base::MacAddress> listeners);

}  // namespace warren::overlay
