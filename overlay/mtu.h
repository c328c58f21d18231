#pragma once

#include <cstdint>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"

// How large a packet of a container may be so that the packet that carries it fits the underlay. Pure.
namespace warren::overlay {

enum class Protection : std::uint8_t {
    kPlain,     // VXLAN in UDP
    kEsp,       // VXLAN in UDP in transport-mode ESP with an 8-byte IV and a 16-byte ICV (RFC 4106, RFC 7634)
    kEspInUdp,  // the same in UDP again (RFC 3948)
};

// RFC 791: what every IPv4 host must be able to take. An overlay below it is of no use to anybody.
constexpr base::Mtu kSmallestMtu{576};
// RFC 8200 section 5; below it Linux turns IPv6 off on the device.
constexpr base::Mtu kSmallestMtu6{1280};

// Of an encrypted network: `encap` is the port of ESP in UDP, 0 for plain ESP.
[[nodiscard]] constexpr Protection esp_protection(base::UdpPort encap) {
    return encap == base::UdpPort{} ? Protection::kEsp : Protection::kEspInUdp;
}

// The size of the IP packet on the underlay that carries an inner IP packet of size `inner`. `outer` is the family of
// the VTEP addresses.
[[nodiscard]] base::Mtu outer_size(base::Mtu inner, base::Family outer, Protection protection);

// The largest inner packet whose outer one is not above `underlay`. kPrecondition: that would be below kSmallestMtu.
[[nodiscard]] base::Result<base::Mtu> inner_mtu(base::Mtu underlay, base::Family outer, Protection protection);

}  // namespace warren::overlay
