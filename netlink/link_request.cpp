#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <span>

#include "netlink/link.h"

// Requests about links, as iproute2 makes them; the attributes are those of the kernel's net/core/rtnetlink.c.
namespace warren::netlink {

namespace {

constexpr std::uint16_t kMakeNew = NLM_F_CREATE | NLM_F_EXCL;
constexpr unsigned kUp = IFF_UP;

// RTEXT_FILTER_SKIP_STATS: two hundred bytes less per link.
constexpr std::uint32_t kNoStatistics = RTEXT_FILTER_SKIP_STATS;

std::uint8_t flag(bool on) {
    return on ? 1 : 0;
}

void put_new(Message& message, const NewLink& link) {
    message.put_string(IFLA_IFNAME, link.name);
    if (link.mac) {
        message.put(IFLA_ADDRESS, link.mac->bytes);
    }
    if (link.mtu) {
        message.put(IFLA_MTU, link.mtu->value);
    }
    if (link.into != nullptr) {
        message.put(IFLA_NET_NS_FD, link.into->fd());
    }
}

// A name goes into IFLA_IFNAME only: the kernel looks the device up by it when the index is 0.
Message about(std::uint16_t type, const LinkRef& link, ifinfomsg head = {}) {
    Message message(type);
    const auto* name = std::get_if<std::string>(&link.value());
    if (name == nullptr) {
        head.ifi_index = static_cast<int>(std::get<base::IfIndex>(link.value()).value);
    }
    message.header(head);
    if (name != nullptr) {
        message.put_string(IFLA_IFNAME, *name);
    }
    return message;
}

void put_vxlan(Message& message, const Vxlan& options) {
    const auto info = message.nest(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "vxlan");
    const auto data = message.nest(IFLA_INFO_DATA);
    message.put(IFLA_VXLAN_ID, options.vni.value);
    if (options.local) {
        const bool v4 = options.local->family == base::Family::kIpv4;
        message.put_ip(v4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, *options.local);
    }
    message.put_be16(IFLA_VXLAN_PORT, options.port.value);
    if (options.source_high.value != 0) {
        message.put(IFLA_VXLAN_PORT_RANGE, ifla_vxlan_port_range{.low = __builtin_bswap16(options.source_low.value),
                                                                 .high = __builtin_bswap16(options.source_high.value)});
    }
    message.put(IFLA_VXLAN_TTL, options.ttl)
        .put(IFLA_VXLAN_LEARNING, flag(options.learning))
        .put(IFLA_VXLAN_PROXY, flag(options.proxy))
        .put(IFLA_VXLAN_L2MISS, flag(options.l2miss))
        .put(IFLA_VXLAN_L3MISS, flag(options.l3miss))
        .put(IFLA_VXLAN_UDP_CSUM, flag(options.udp_checksum))
        .put(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, flag(options.udp_zero_checksum6_tx))
        .put(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, flag(options.udp_zero_checksum6_rx));
}

void put_bridge(Message& message, const Bridge& options) {
    const auto info = message.nest(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "bridge");
    const auto data = message.nest(IFLA_INFO_DATA);
    message.put(IFLA_BR_MCAST_SNOOPING, flag(options.multicast_snooping))
        .put(IFLA_BR_MCAST_QUERY_USE_IFADDR, flag(options.multicast_query_use_ifaddr))
        .put(IFLA_BR_MCAST_QUERIER, flag(options.multicast_querier))
        .put(IFLA_BR_STP_STATE, std::uint32_t{flag(options.stp)})
        .put(IFLA_BR_AGEING_TIME, options.ageing.count());
}

void put_veth(Message& message, const NewLink& peer) {
    const auto info = message.nest(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_KIND, "veth");
    const auto data = message.nest(IFLA_INFO_DATA);
    const auto other = message.nest(VETH_INFO_PEER);
    message.append(bytes_of(ifinfomsg{}));
    put_new(message, peer);
}

void put_port(Message& message, const BridgePort& options) {
    const auto info = message.nest(IFLA_LINKINFO);
    message.put_string(IFLA_INFO_SLAVE_KIND, "bridge");
    const auto data = message.nest(IFLA_INFO_SLAVE_DATA);
    message.put(IFLA_BRPORT_LEARNING, flag(options.learning))
        .put(IFLA_BRPORT_UNICAST_FLOOD, flag(options.unicast_flood))
        .put(IFLA_BRPORT_MCAST_FLOOD, flag(options.multicast_flood))
        .put(IFLA_BRPORT_BCAST_FLOOD, flag(options.broadcast_flood))
        .put(IFLA_BRPORT_ISOLATED, flag(options.isolated))
        .put(IFLA_BRPORT_NEIGH_SUPPRESS, flag(options.neighbour_suppress))
        .put(IFLA_BRPORT_MODE, flag(options.hairpin))
        .put(IFLA_BRPORT_LOCKED, flag(options.locked))
        .put(IFLA_BRPORT_MULTICAST_ROUTER, static_cast<std::uint8_t>(options.multicast_router));
}

}  // namespace

Message create_vxlan(const NewLink& link, const Vxlan& options) {
    Message message(RTM_NEWLINK, kMakeNew);
    message.header(ifinfomsg{});
    put_new(message, link);
    put_vxlan(message, options);
    return message;
}

Message create_bridge(const NewLink& link, const Bridge& options) {
    Message message(RTM_NEWLINK, kMakeNew);
    message.header(ifinfomsg{});
    put_new(message, link);
    put_bridge(message, options);
    return message;
}

Message create_veth(const NewLink& link, const NewLink& peer) {
    Message message(RTM_NEWLINK, kMakeNew);
    message.header(ifinfomsg{});
    put_new(message, link);
    put_veth(message, peer);
    return message;
}

Message set_link(const LinkRef& link, const LinkChange& change) {
    ifinfomsg head{};
    if (change.up) {
        head.ifi_flags = *change.up ? kUp : 0;
        head.ifi_change = kUp;
    }
    Message message = about(RTM_SETLINK, link, head);
    if (change.alias) {  // without a terminating zero: the kernel removes the alias when the length is 0
        message.put_bytes(IFLA_IFALIAS, std::as_bytes(std::span(*change.alias)));
    }
    if (change.mac) {
        message.put(IFLA_ADDRESS, change.mac->bytes);
    }
    if (change.mtu) {
        message.put(IFLA_MTU, change.mtu->value);
    }
    if (change.master) {
        message.put(IFLA_MASTER, change.master->value);
    }
    if (change.gso_max_segs) {
        message.put(IFLA_GSO_MAX_SEGS, *change.gso_max_segs);
    }
    if (change.into != nullptr) {
        message.put(IFLA_NET_NS_FD, change.into->fd());
    }
    return message;
}

Message rename_link(base::IfIndex link, std::string_view name) {
    Message message = about(RTM_SETLINK, link);
    message.put_string(IFLA_IFNAME, name);
    return message;
}

Message set_bridge(const LinkRef& bridge, const Bridge& options) {
    Message message = about(RTM_NEWLINK, bridge);
    put_bridge(message, options);
    return message;
}

Message set_bridge_port(const LinkRef& port, const BridgePort& options) {
    Message message = about(RTM_NEWLINK, port);
    put_port(message, options);
    return message;
}

Message delete_link(const LinkRef& link) {
    return about(RTM_DELLINK, link);
}

Message get_link(const LinkRef& link) {
    Message message = about(RTM_GETLINK, link);
    message.put(IFLA_EXT_MASK, kNoStatistics);
    return message;
}

Message dump_links() {
    Message message(RTM_GETLINK);
    message.header(ifinfomsg{});
    message.put(IFLA_EXT_MASK, kNoStatistics);
    return message;
}

}  // namespace warren::netlink
