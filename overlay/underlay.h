#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "overlay/ipam.h"

// What the host offers to carry the overlay. Each call reads the kernel in the calling thread's network namespace.
namespace warren::overlay {

// The link that carries a VTEP address.
struct Underlay {
    base::IpAddress address;
    base::IfIndex link;
    std::string ifname;
    base::Mtu mtu;

    bool operator==(const Underlay&) const = default;
};

// kNotFound: no interface of this host has the address. kInvalid: it can't be a VTEP address (loopback, multicast,
// unspecified, IPv6 link-local: it has no meaning without a link, and neither FDB entries nor XFRM policies have one).
[[nodiscard]] base::Result<Underlay> find_underlay(std::string_view what, const base::IpAddress& address);

// `text` is an address of this host or the name of an interface that has one (IPv4 preferred). `what` names the field
// in the error ("--data-addr").
[[nodiscard]] base::Result<Underlay> resolve_underlay(std::string_view what, std::string_view text);

// When the user chose nothing: the source address of the default route (IPv4 preferred), else the first global address
// of an interface that is up. kNotFound: there is none; the error says what to give.
[[nodiscard]] base::Result<Underlay> default_underlay();

// The subnets that the host has routes to, default routes left out, in words for errors.
[[nodiscard]] base::Result<std::vector<UsedSubnet>> host_routes();

}  // namespace warren::overlay
