#include "overlay/gateway.h"

#include <algorithm>

#include "base/text.h"
#include "overlay/ipam.h"
#include "overlay/model.h"

namespace warren::overlay {

namespace {

// Why these hooks and priorities:
// * published: in prerouting for what comes from elsewhere and from containers, in output for the host's own.
// * postrouting: what leaves has the host's address. What comes back in through a published port, from a container or
//   from 127.0.0.1, gets the bridge's, since the answer has to pass here again.
// * forward: answers and published ports alone come in.
// * guard, on the bridge, where ports are told apart, and before all else there: who is on it sends as himself only, so
//   nobody takes another's or the gateway's address, nor opens a way in to another by a connection in his name. Not to
//   the host's loopback, although the bridge may let such packets in (route_localnet), which answers to connections
//   from 127.0.0.1 need. Not to the port of plain networks, which take whatever VXLAN comes from a member's address,
//   and what leaves here has one. IPv6 has no addresses here, so it has no business here.
constexpr std::string_view kTables = R"(table inet {table} {{
  comment "the way out of containers, and published ports; put back by warrend when changed"
  chain published {{
{published}  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump published
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname != "{bridge}" masquerade
    oifname "{bridge}" ct status dnat ip saddr {{ 127.0.0.0/8, {subnet} }} masquerade
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    oifname != "{bridge}" accept
    ct state established,related accept
    ct status dnat accept
    drop
  }}
}}
table bridge {table} {{
  comment "who is on the gateway bridge sends as himself only; put back by warrend when changed"
  set ports {{
    type ifname
    elements = {{ {ports} }}
  }}
  set owners {{
    type ifname . ipv4_addr
    elements = {{ {owners} }}
  }}
  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifname != @ports accept
    ip daddr 127.0.0.0/8 drop
    udp dport {plain_port} drop
    ether type ip iifname . ip saddr @owners accept
    ether type arp iifname . arp saddr ip @owners accept
    drop
  }}
}}
)";

std::string published_rules(const Gateway& gateway) {
    std::string rules;
    for (const auto& container : gateway.containers) {
        for (const auto& it : container.published) {
            rules += fmt::format("    {}{} dport {} dnat ip to {}:{}\n",
                                 it.host_ip ? fmt::format("ip daddr {} ", *it.host_ip) : "meta nfproto ipv4 ",
                                 it.transport == Transport::kTcp ? "tcp" : "udp", it.host_port, container.ip, it.port);
        }
    }
    return rules;
}

// One for each container, with commas between.
template <typename Text>
std::string elements(const Gateway& gateway, Text text) {
    std::string list;
    for (const auto& container : gateway.containers) {
        list += (list.empty() ? "" : ", ") + text(container.pair, container.ip);
    }
    for (const auto& stranger : gateway.strangers) {
        list += (list.empty() ? "" : ", ") + text(stranger.pair, stranger.ip);
    }
    return list;
}

}  // namespace

base::IpAddress gateway_address(const base::Prefix& subnet) {
    return default_gateway(subnet);
}

std::string gateway_mark(const base::ClusterId& cluster) {
    return fmt::format("warren:{}:{}", cluster, kGatewaySubject);
}

std::string pair_mark(const base::ClusterId& cluster, const PairOwner& owner) {
    return fmt::format("{}:{}:{}:{}.{}", gateway_mark(cluster), owner.pair, owner.ip, owner.identity.device,
                       owner.identity.inode);
}

std::optional<PairOwner> parse_pair_mark(const base::ClusterId& cluster, std::string_view alias) {
    const auto mark = gateway_mark(cluster) + ":";
    if (!alias.starts_with(mark)) {
        return std::nullopt;
    }
    const auto parts = base::split(alias.substr(mark.size()), ':');
    const auto numbers = parts.size() == 3 ? base::split(parts[2], '.') : std::vector<std::string_view>();
    if (numbers.size() != 2) {
        return std::nullopt;
    }
    const auto pair = base::parse_id<base::EndpointId>("pair", parts[0]);
    const auto ip = base::parse_ip("pair", parts[1]);
    const auto device = base::parse_unsigned(numbers[0]);
    const auto inode = base::parse_unsigned(numbers[1]);
    if (!pair || !ip || !device || !inode) {
        return std::nullopt;
    }
    return PairOwner{.pair = *pair, .ip = *ip, .identity = {.device = *device, .inode = *inode}};
}

bool publishes_on_loopback(const Gateway& gateway) {
    return std::any_of(gateway.containers.begin(), gateway.containers.end(), [](const auto& container) {
        return std::any_of(container.published.begin(), container.published.end(),
                           [](const auto& it) { return !it.host_ip || it.host_ip->is_loopback(); });
    });
}

Desired desired(const Gateway& gateway) {
    Desired out{.mark = gateway_mark(gateway.cluster)};
    const auto address = gateway_address(gateway.subnet);
    WantedBridge bridge{.name = kGatewayBridge,
                        .alias = out.mark,
                        .mac = base::mac_for(address),
                        .mtu = gateway.mtu,
                        .addresses = {{address, gateway.subnet.length}},
                        .options = {.multicast_snooping = false},
                        .neighbours = {}};
    for (const auto& container : gateway.containers) {
        const auto mac = base::mac_for(container.ip);
        bridge.neighbours.emplace(container.ip, mac);
        const bool from_port_to_port = gateway.bridge_netfilter && !container.published.empty();
        out.pairs.push_back(
            {.endpoint = container.pair,
             .name = pair_name(container.pair),
             .alias = pair_mark(gateway.cluster,
                                {.pair = container.pair, .ip = container.ip, .identity = container.identity}),
             .bridge = kGatewayBridge,
             .mtu = gateway.mtu,
             .port = {.learning = false,
                      .unicast_flood = false,
                      .multicast_flood = false,
                      .broadcast_flood = false,
                      .isolated = !from_port_to_port,
                      .hairpin = from_port_to_port},
             .netns = container.netns,
             .ifname = {},
             .mac = mac,
             .addresses = {{container.ip, gateway.subnet.length}},
             .subnets = {gateway.subnet},
             .routes = {{.destination = {.address = base::IpAddress::v4(0), .length = 0}, .via = address}},
             .ifnames = "gw"});
    }
    for (const auto& stranger : gateway.strangers) {
        bridge.neighbours.emplace(stranger.ip, base::mac_for(stranger.ip));
        out.kept.insert(pair_mark(gateway.cluster, stranger));
    }
    out.bridges.push_back(std::move(bridge));
    return out;
}

std::string gateway_ruleset(const Gateway& gateway) {
    const auto ports =
        elements(gateway, [](const auto& pair, const auto& /*ip*/) { return fmt::format("\"{}\"", pair_name(pair)); });
    const auto owners = elements(
        gateway, [](const auto& pair, const auto& ip) { return fmt::format("\"{}\" . {}", pair_name(pair), ip); });
    return gateway_removal() + fmt::format(kTables, fmt::arg("table", kGatewayTable),
                                           fmt::arg("bridge", kGatewayBridge), fmt::arg("subnet", gateway.subnet),
                                           fmt::arg("published", published_rules(gateway)), fmt::arg("ports", ports),
                                           fmt::arg("owners", owners), fmt::arg("plain_port", gateway.plain_port));
}

std::string gateway_removal() {
    std::string text;
    for (const auto* family : kGatewayFamilies) {
        // The first so that the second finds one.
        text += fmt::format("add table {0} {1}\ndelete table {0} {1}\n", family, kGatewayTable);
    }
    return text;
}

}  // namespace warren::overlay
