#include "overlay/underlay_mtu.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/files.h"
#include "base/text.h"
#include "netlink/link.h"
#include "netlink/route.h"

namespace warren::overlay {

namespace {

using base::Family;
using base::IpAddress;
using base::Mtu;
using base::Result;

constexpr std::array<unsigned, 5> kGroups{RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                          RTNLGRP_IPV6_ROUTE};
// A lost event is found out and costs one look.
constexpr std::size_t kBuffer = 256U << 10U;

// IPv6 has an MTU of its own on each device, which a router's advertisement may have made smaller.
Mtu device_mtu(const std::string& device, Mtu link, Family family) {
    if (family == Family::kIpv4) {
        return link;
    }
    const auto text = base::read_file(fmt::format("/proc/sys/net/ipv6/conf/{}/mtu", device)).value_or("");
    const auto own = base::parse_unsigned(std::string_view(text).substr(0, text.find('\n')), UINT32_MAX);
    return own ? std::min(link, Mtu{static_cast<std::uint32_t>(*own)}) : link;
}

// What the kernel's tables let through to a peer, and by what.
Result<NarrowWay> way_to(netlink::Socket& socket, const IpAddress& peer, const IpAddress& vtep) {
    WARREN_TRY_ASSIGN(const auto route, netlink::read_route_entry(socket, peer, vtep));
    WARREN_TRY_ASSIGN(const auto link, netlink::read_link(socket, route.link));
    const Mtu device = device_mtu(link.name, link.mtu, peer.family);
    if (route.mtu != Mtu{} && route.mtu < device) {
        return NarrowWay{
            .to = peer, .mtu = route.mtu, .by = fmt::format("route {} dev {}", route.destination, link.name)};
    }
    return NarrowWay{.to = peer, .mtu = device, .by = fmt::format("device {}", link.name)};
}

}  // namespace

Result<UnderlayMtu> read_underlay_mtu(const IpAddress& vtep, const std::set<IpAddress>& peers) {
    UnderlayMtu out;
    WARREN_TRY_ASSIGN(out.device, find_underlay("data address", vtep));
    out.device.mtu = device_mtu(out.device.ifname, out.device.mtu, vtep.family);
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open(netlink::Protocol::kRoute));
    for (const auto& peer : peers) {
        if (const auto way = way_to(socket, peer, vtep); way && way->mtu < out.device.mtu) {
            out.narrow.push_back(*way);
        }
    }
    return out;
}

std::vector<LearnedMtu> learned_mtus(const IpAddress& vtep, const std::set<IpAddress>& peers) {
    std::vector<LearnedMtu> out;
    auto socket = netlink::Socket::open(netlink::Protocol::kRoute);
    if (!socket) {
        return out;
    }
    for (const auto& peer : peers) {
        const auto set = way_to(*socket, peer, vtep);
        const auto now = netlink::read_route(*socket, peer, vtep);
        if (set && now && now->mtu != Mtu{} && now->mtu < set->mtu) {
            out.push_back({.to = peer, .mtu = now->mtu});
        }
    }
    return out;
}

Result<UnderlayWatch> UnderlayWatch::open() {
    WARREN_TRY_ASSIGN(auto events, netlink::Subscription::open(netlink::Protocol::kRoute, kGroups, kBuffer));
    return UnderlayWatch(std::move(events));
}

void UnderlayWatch::take() {
    // Lost or unreadable ones are answered by the same look as all others.
    static_cast<void>(events_.receive([](const netlink::Received& /*event*/) { return base::Status{}; }));
}

}  // namespace warren::overlay
