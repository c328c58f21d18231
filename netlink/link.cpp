#include "netlink/link.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <type_traits>

namespace warren::netlink {

namespace {

base::Result<Vxlan> decode_vxlan(const Attributes& data) {
    Vxlan out;
    WARREN_TRY(data.read(IFLA_VXLAN_ID, out.vni.value));
    WARREN_TRY(data.read_ip(IFLA_VXLAN_LOCAL, out.local));
    WARREN_TRY(data.read_ip(IFLA_VXLAN_LOCAL6, out.local));
    WARREN_TRY(data.read_be16(IFLA_VXLAN_PORT, out.port.value));
    ifla_vxlan_port_range range{};
    WARREN_TRY(data.read(IFLA_VXLAN_PORT_RANGE, range));
    out.source_low.value = __builtin_bswap16(range.low);
    out.source_high.value = __builtin_bswap16(range.high);
    WARREN_TRY(data.read(IFLA_VXLAN_TTL, out.ttl));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_LEARNING, out.learning));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_PROXY, out.proxy));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_L2MISS, out.l2miss));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_L3MISS, out.l3miss));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_UDP_CSUM, out.udp_checksum));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, out.udp_zero_checksum6_tx));
    WARREN_TRY(data.read_flag(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, out.udp_zero_checksum6_rx));
    return out;
}

base::Result<Bridge> decode_bridge(const Attributes& data) {
    // A kernel built without one of these says nothing about it: then it is off.
    Bridge out{.multicast_snooping = false};
    std::uint32_t stp = 0;
    std::uint32_t ageing = out.ageing.count();
    WARREN_TRY(data.read_flag(IFLA_BR_MCAST_SNOOPING, out.multicast_snooping));
    WARREN_TRY(data.read_flag(IFLA_BR_MCAST_QUERIER, out.multicast_querier));
    WARREN_TRY(data.read_flag(IFLA_BR_MCAST_QUERY_USE_IFADDR, out.multicast_query_use_ifaddr));
    WARREN_TRY(data.read(IFLA_BR_STP_STATE, stp));
    WARREN_TRY(data.read(IFLA_BR_AGEING_TIME, ageing));
    out.stp = stp != 0;
    out.ageing = UserTicks(ageing);
    return out;
}

base::Result<BridgePort> decode_port(const Attributes& data) {
    BridgePort out;
    auto router = static_cast<std::uint8_t>(out.multicast_router);
    WARREN_TRY(data.read_flag(IFLA_BRPORT_LEARNING, out.learning));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_UNICAST_FLOOD, out.unicast_flood));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_MCAST_FLOOD, out.multicast_flood));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_BCAST_FLOOD, out.broadcast_flood));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_ISOLATED, out.isolated));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_NEIGH_SUPPRESS, out.neighbour_suppress));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_MODE, out.hairpin));
    WARREN_TRY(data.read_flag(IFLA_BRPORT_LOCKED, out.locked));
    WARREN_TRY(data.read(IFLA_BRPORT_MULTICAST_ROUTER, router));
    out.multicast_router = static_cast<MulticastRouter>(router);
    return out;
}

base::Status decode_kind(const Attributes& info, Link& out) {
    WARREN_TRY(info.read_string(IFLA_INFO_KIND, out.kind));
    WARREN_TRY_ASSIGN(const Attributes data, info.nested(IFLA_INFO_DATA));
    if (out.kind == "vxlan") {
        WARREN_TRY_ASSIGN(out.vxlan, decode_vxlan(data));
    } else if (out.kind == "bridge") {
        WARREN_TRY_ASSIGN(out.bridge, decode_bridge(data));
    }
    std::string port_kind;
    WARREN_TRY(info.read_string(IFLA_INFO_SLAVE_KIND, port_kind));
    if (port_kind == "bridge") {
        WARREN_TRY_ASSIGN(const Attributes port, info.nested(IFLA_INFO_SLAVE_DATA));
        WARREN_TRY_ASSIGN(out.port, decode_port(port));
    }
    return {};
}

}  // namespace

std::string LinkRef::text() const {
    if (const auto* name = std::get_if<std::string>(&ref_)) {
        return *name;
    }
    return fmt::format("interface {}", std::get<base::IfIndex>(ref_));
}

base::Status check_ifname(std::string_view what, std::string_view name) {
    const bool odd = std::any_of(name.begin(), name.end(), [](char c) {
        return c == '/' || c == ':' || static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    });
    if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." || odd) {
        return base::fail(base::Code::kInvalid,
                          "{} '{}': must be an interface name: 1 to 15 bytes, no '/', ':' or white space", what, name);
    }
    if (name == "all" || name == "default" || name.find('%') != std::string_view::npos) {
        return base::fail(base::Code::kInvalid,
                          "{} '{}': must not be 'all' or 'default', nor have a '%': these mean several interfaces",
                          what, name);
    }
    return {};
}

base::Result<std::optional<Link>> decode_link(const Received& received) {
    WARREN_TRY_ASSIGN(const auto head, read_header<ifinfomsg>("link", received.payload));
    if (head.ifi_family != AF_UNSPEC) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, Attributes::parse(after_header(received.payload, sizeof head)));
    Link out{.index = base::IfIndex(static_cast<std::uint32_t>(head.ifi_index)),
             .up = (head.ifi_flags & IFF_UP) != 0,
             .running = (head.ifi_flags & IFF_LOWER_UP) != 0,
             .loopback = (head.ifi_flags & IFF_LOOPBACK) != 0};
    WARREN_TRY(attributes.read_string(IFLA_IFNAME, out.name));
    WARREN_TRY(attributes.read_string(IFLA_IFALIAS, out.alias));
    WARREN_TRY(attributes.read_mac(IFLA_ADDRESS, out.mac));
    WARREN_TRY(attributes.read(IFLA_MTU, out.mtu.value));
    WARREN_TRY(attributes.read(IFLA_CARRIER_CHANGES, out.carrier_changes));
    WARREN_TRY(attributes.read(IFLA_MASTER, out.master.value));
    WARREN_TRY(attributes.read(IFLA_LINK, out.lower.value));
    WARREN_TRY(attributes.read(IFLA_LINK_NETNSID, out.lower_netns));
    WARREN_TRY(attributes.read(IFLA_GSO_MAX_SEGS, out.gso_max_segs));
    WARREN_TRY(attributes.read(IFLA_GSO_MAX_SIZE, out.gso_max_size));
    WARREN_TRY_ASSIGN(const auto info, attributes.nested(IFLA_LINKINFO));
    WARREN_TRY(decode_kind(info, out));
    return out;
}

base::Result<Link> read_link(Socket& socket, const LinkRef& link) {
    std::optional<Link> found;
    auto done = socket.query(get_link(link), [&found](const Received& received) -> base::Status {
        WARREN_TRY_ASSIGN(found, decode_link(received));
        return {};
    });
    if (!done) {
        return base::fail_in(link.text(), std::move(done));
    }
    if (!found) {
        return base::fail(base::Code::kInternal, "{}: no answer from the kernel", link.text());
    }
    return *std::move(found);
}

base::Result<std::vector<Link>> read_links(Socket& socket) {
    return socket.read_all<Link>(dump_links, decode_link);
}

}  // namespace warren::netlink
