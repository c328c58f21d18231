#include "netlink/route.h"

#include <linux/rtnetlink.h>

#include "netlink/family.h"

namespace warren::netlink {

namespace {

std::uint8_t scope_of(const Route& route) {
    if (route.type == RouteType::kLocal) {
        return RT_SCOPE_HOST;
    }
    const bool on_link = route.type == RouteType::kUnicast && !route.gateway;
    return on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

void put_gateway(Message& message, const base::IpAddress& gateway, base::Family destination) {
    if (gateway.family == destination) {
        message.put_ip(RTA_GATEWAY, gateway);
        return;
    }
    std::array<std::uint8_t, 2 + 16> via{};  // struct rtvia: family, then the address
    const std::uint16_t family = wire_family(gateway.family);
    std::memcpy(via.data(), &family, sizeof family);
    std::memcpy(via.data() + sizeof family, gateway.raw().data(), gateway.raw().size());
    message.put_bytes(RTA_VIA, std::as_bytes(std::span(via).first(sizeof family + gateway.raw().size())));
}

Message about(std::uint16_t type, std::uint16_t flags, std::uint8_t protocol, std::uint8_t scope, const Route& route) {
    Message message(type, flags);
    const auto family = route.destination.address.family;
    // A table above 255 goes only into the attribute.
    message.header(rtmsg{.rtm_family = wire_family(family),
                         .rtm_dst_len = route.destination.length,
                         .rtm_table = static_cast<std::uint8_t>(route.table <= 255 ? route.table : RT_TABLE_UNSPEC),
                         .rtm_protocol = protocol,
                         .rtm_scope = scope,
                         .rtm_type = static_cast<std::uint8_t>(route.type)});
    message.put(RTA_TABLE, route.table);
    if (route.destination.length != 0) {
        message.put_ip(RTA_DST, route.destination.address);
    }
    if (route.link.value != 0) {
        message.put(RTA_OIF, route.link.value);
    }
    if (route.gateway) {
        put_gateway(message, *route.gateway, family);
    }
    if (route.source) {
        message.put_ip(RTA_PREFSRC, *route.source);
    }
    if (route.metric != 0) {
        message.put(RTA_PRIORITY, route.metric);
    }
    if (route.mtu.value != 0) {
        const auto metrics = message.nest(RTA_METRICS);
        message.put(RTAX_MTU, route.mtu.value);
    }
    return message;
}

RouteType type_of(std::uint8_t wire) {
    return wire >= RTN_UNICAST && wire <= RTN_THROW ? static_cast<RouteType>(wire) : RouteType::kOther;
}

base::Status decode_next_hop(const Attributes& attributes, Route& out) {
    WARREN_TRY(attributes.read_ip(RTA_GATEWAY, out.gateway));
    if (const auto via = attributes.find(RTA_VIA); via && via->size() > sizeof(std::uint16_t)) {
        std::array<std::uint8_t, 16> raw{};
        const Bytes address = via->subspan(sizeof(std::uint16_t));
        std::memcpy(raw.data(), address.data(), std::min(raw.size(), address.size()));
        out.gateway = base::IpAddress::from_bytes(std::span(raw).first(std::min(raw.size(), address.size())));
    }
    return {};
}

// The first of several next hops stands for all.
base::Status decode_multipath(const Attributes& attributes, Route& out) {
    const auto hops = attributes.find(RTA_MULTIPATH);
    if (!hops) {
        return {};
    }
    WARREN_TRY_ASSIGN(const auto first, read_header<rtnexthop>("next hop", *hops));
    if (first.rtnh_len < sizeof first || first.rtnh_len > hops->size()) {
        return base::fail(base::Code::kInternal, "netlink: next hop with a wrong length");
    }
    out.link.value = static_cast<std::uint32_t>(first.rtnh_ifindex);
    WARREN_TRY_ASSIGN(const auto inside, Attributes::parse(after_header(hops->first(first.rtnh_len), sizeof first)));
    return decode_next_hop(inside, out);
}

base::Status decode_attributes(const Attributes& attributes, Route& out) {
    WARREN_TRY(attributes.read_ip(RTA_DST, out.destination.address));
    WARREN_TRY(attributes.read(RTA_OIF, out.link.value));
    WARREN_TRY(attributes.read_ip(RTA_PREFSRC, out.source));
    WARREN_TRY(attributes.read(RTA_TABLE, out.table));
    WARREN_TRY(attributes.read(RTA_PRIORITY, out.metric));
    WARREN_TRY_ASSIGN(const auto metrics, attributes.nested(RTA_METRICS));
    WARREN_TRY(metrics.read(RTAX_MTU, out.mtu.value));
    WARREN_TRY(decode_next_hop(attributes, out));
    return decode_multipath(attributes, out);
}

Message lookup(const base::IpAddress& to, std::optional<base::IpAddress> from, std::uint32_t flags) {
    Message message(RTM_GETROUTE);
    message.header(rtmsg{.rtm_family = wire_family(to.family),
                         .rtm_dst_len = static_cast<std::uint8_t>(to.bits()),
                         .rtm_src_len = static_cast<std::uint8_t>(from ? from->bits() : 0),
                         .rtm_flags = flags});
    message.put_ip(RTA_DST, to);
    if (from) {
        message.put_ip(RTA_SRC, *from);
    }
    return message;
}

// `query` asks for the way to `to`.
base::Result<Route> read_answer(Socket& socket, const base::IpAddress& to, Message query) {
    std::optional<Route> found;
    auto done = socket.query(std::move(query), [&found](const Received& received) -> base::Status {
        WARREN_TRY_ASSIGN(found, decode_route(received));
        return {};
    });
    if (!done) {
        return base::fail_in(fmt::format("no route to {}", to), std::move(done));
    }
    // IPv6 answers with the unreachable route itself where IPv4 answers with an error.
    if (!found || found->type == RouteType::kUnreachable || found->type == RouteType::kBlackhole ||
        found->type == RouteType::kProhibit) {
        return base::fail(base::Code::kUnavailable, "no route to {}", to);
    }
    return *found;
}

}  // namespace

Message add_route(const Route& route) {
    return about(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, RTPROT_STATIC, scope_of(route), route);
}

Message replace_route(const Route& route) {
    return about(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, RTPROT_STATIC, scope_of(route), route);
}

Message delete_route(const Route& route) {
    return about(RTM_DELROUTE, 0, RTPROT_UNSPEC, RT_SCOPE_NOWHERE, route);
}

Message get_route(const base::IpAddress& to, std::optional<base::IpAddress> from) {
    return lookup(to, from, 0);
}

Message get_route_entry(const base::IpAddress& to, std::optional<base::IpAddress> from) {
    return lookup(to, from, RTM_F_FIB_MATCH);
}

Message dump_routes(base::Family family) {
    Message message(RTM_GETROUTE);
    message.header(rtmsg{.rtm_family = wire_family(family)});
    return message;
}

base::Result<std::optional<Route>> decode_route(const Received& received) {
    WARREN_TRY_ASSIGN(const auto head, read_header<rtmsg>("route", received.payload));
    const auto family = family_of(head.rtm_family);
    if (!family) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, Attributes::parse(after_header(received.payload, sizeof head)));
    Route out{.destination = {.address = {.family = *family}, .length = head.rtm_dst_len},
              .type = type_of(head.rtm_type),
              .table = head.rtm_table};
    WARREN_TRY(decode_attributes(attributes, out));
    if (out.destination.address.family != *family || out.destination.length > out.destination.address.bits()) {
        return base::fail(base::Code::kInternal, "netlink: route with a destination that makes no sense");
    }
    return out;
}

base::Result<Route> read_route(Socket& socket, const base::IpAddress& to, std::optional<base::IpAddress> from) {
    return read_answer(socket, to, get_route(to, from));
}

base::Result<Route> read_route_entry(Socket& socket, const base::IpAddress& to, std::optional<base::IpAddress> from) {
    return read_answer(socket, to, get_route_entry(to, from));
}

base::Result<std::vector<Route>> read_routes(Socket& socket, base::Family family) {
    return socket.read_all<Route>([family] { return dump_routes(family); }, decode_route);
}

}  // namespace warren::netlink
