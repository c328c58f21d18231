#include "overlay/underlay.h"

#include <algorithm>
#include <optional>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/route.h"

namespace warren::overlay {

namespace {

using base::Code;
using base::Family;
using base::IpAddress;
using base::Result;
using base::Status;

struct HostView {
    std::vector<netlink::Link> links;
    std::vector<netlink::Address> addresses;

    [[nodiscard]] const netlink::Link* link(base::IfIndex index) const {
        const auto found =
            std::find_if(links.begin(), links.end(), [&](const netlink::Link& link) { return link.index == index; });
        return found == links.end() ? nullptr : &*found;
    }
    [[nodiscard]] const netlink::Link* link(std::string_view name) const {
        const auto found =
            std::find_if(links.begin(), links.end(), [&](const netlink::Link& link) { return link.name == name; });
        return found == links.end() ? nullptr : &*found;
    }
};

Result<HostView> read_host(netlink::Socket& socket) {
    HostView out;
    WARREN_TRY_ASSIGN(out.links, netlink::read_links(socket));
    WARREN_TRY_ASSIGN(out.addresses, netlink::read_addresses(socket));
    return out;
}

bool is_usable(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && !address.is_link_local();
}

Status check_usable(std::string_view what, const IpAddress& address) {
    if (address.is_link_local()) {
        return base::fail(Code::kInvalid,
                          "{} {}: must not be a link-local address: the other nodes cannot reach it without "
                          "knowing the link; give a global one",
                          what, address);
    }
    if (!is_usable(address)) {
        return base::fail(Code::kInvalid, "{} {}: must be an address that the other nodes can reach", what, address);
    }
    return {};
}

Underlay underlay_on(const netlink::Link& link, const IpAddress& address) {
    return {.address = address, .link = link.index, .ifname = link.name, .mtu = link.mtu};
}

// In the kernel's order: the oldest address first.
std::optional<IpAddress> first_usable(const HostView& host, base::IfIndex link, Family family) {
    for (const auto& address : host.addresses) {
        if (address.link == link && address.prefix.address.family == family && is_usable(address.prefix.address)) {
            return address.prefix.address;
        }
    }
    return std::nullopt;
}

std::optional<IpAddress> first_usable(const HostView& host, base::IfIndex link) {
    const auto v4 = first_usable(host, link, Family::kIpv4);
    return v4 ? v4 : first_usable(host, link, Family::kIpv6);
}

Result<Underlay> find_in(const HostView& host, std::string_view what, const IpAddress& address) {
    WARREN_TRY(check_usable(what, address));
    const auto found =
        std::find_if(host.addresses.begin(), host.addresses.end(),
                     [&](const netlink::Address& candidate) { return candidate.prefix.address == address; });
    const netlink::Link* link = found == host.addresses.end() ? nullptr : host.link(found->link);
    if (link == nullptr) {
        return base::fail(Code::kNotFound, "{} {}: no interface of this host has this address", what, address);
    }
    return underlay_on(*link, address);
}

// The source address of packets that take the default route (of the least metric).
Result<std::optional<IpAddress>> default_source(netlink::Socket& socket, const HostView& host, Family family) {
    WARREN_TRY_ASSIGN(const auto routes, netlink::read_routes(socket, family));
    const netlink::Route* best = nullptr;
    for (const auto& route : routes) {
        const bool leads_anywhere = route.destination.length == 0 && route.type == netlink::RouteType::kUnicast &&
                                    route.table == netlink::kMainTable;
        if (leads_anywhere && (best == nullptr || route.metric < best->metric)) {
            best = &route;
        }
    }
    if (best == nullptr || best->source) {
        return best == nullptr ? std::nullopt : best->source;
    }
    // To the gateway the kernel chooses the source by the gateway's own subnet.
    const Result<netlink::Route> hop = best->gateway ? netlink::read_route(socket, *best->gateway) : *best;
    return hop && hop->source ? hop->source : first_usable(host, best->link, family);
}

}  // namespace

Result<Underlay> find_underlay(std::string_view what, const IpAddress& address) {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open(netlink::Protocol::kRoute));
    WARREN_TRY_ASSIGN(const HostView host, read_host(socket));
    return find_in(host, what, address);
}

Result<Underlay> resolve_underlay(std::string_view what, std::string_view text) {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open(netlink::Protocol::kRoute));
    WARREN_TRY_ASSIGN(const HostView host, read_host(socket));
    if (const auto address = base::parse_ip(what, text)) {
        return find_in(host, what, *address);
    }
    const netlink::Link* link = host.link(text);
    if (link == nullptr) {
        return base::fail(Code::kNotFound, "{} '{}': must be an address or an interface of this host", what, text);
    }
    const auto address = first_usable(host, link->index);
    if (!address) {
        return base::fail(Code::kNotFound, "{} '{}': the interface has no address that the other nodes can reach", what,
                          text);
    }
    return underlay_on(*link, *address);
}

Result<Underlay> default_underlay() {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open(netlink::Protocol::kRoute));
    WARREN_TRY_ASSIGN(const HostView host, read_host(socket));
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
        WARREN_TRY_ASSIGN(const auto source, default_source(socket, host, family));
        if (source && is_usable(*source)) {
            return find_in(host, "default route's source address", *source);
        }
    }
    for (const auto& link : host.links) {
        const auto address = link.up && !link.loopback ? first_usable(host, link.index) : std::nullopt;
        if (address) {
            return underlay_on(link, *address);
        }
    }
    return base::fail(Code::kNotFound,
                      "this host has no address that other nodes could reach: give one with --data-addr IP|IFACE");
}

Result<std::vector<UsedSubnet>> host_routes() {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open(netlink::Protocol::kRoute));
    WARREN_TRY_ASSIGN(const HostView host, read_host(socket));
    std::vector<UsedSubnet> out;
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
        WARREN_TRY_ASSIGN(const auto routes, netlink::read_routes(socket, family));
        for (const auto& route : routes) {
            const bool leads_somewhere = route.type == netlink::RouteType::kUnicast && route.destination.length > 0;
            if (!leads_somewhere || route.destination.address.is_link_local() ||
                route.destination.address.is_multicast()) {
                continue;
            }
            const netlink::Link* link = host.link(route.link);
            out.push_back(
                {route.destination, fmt::format("the host's route via {}", link == nullptr ? "?" : link->name)});
        }
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace warren::overlay
