#include "overlay/gateway.h"

#include "overlay/ipam.h"
#include "overlay/model.h"

namespace warren::overlay {

namespace {

// Why these hooks and priorities:
// * guard: before connection tracking. Who is on the bridge may send as himself only, and not to the host's loopback,
//   although the bridge lets such packets in (route_localnet), which answers to connections from 127.0.0.1 need.
//   IPv6 has no addresses here, so it has no business here.
// * published: in prerouting for what comes from elsewhere and from containers, in output for the host's own.
// * postrouting: what leaves has the host's address. What comes back in through a published port, from a container or
//   from 127.0.0.1, gets the bridge's, since the answer has to pass here again.
// * forward: answers and published ports alone come in.
constexpr std::string_view kTable = R"(table inet {table} {{
  comment "the way out of containers, and published ports; put back by warrend when changed"
  chain guard {{
    type filter hook prerouting priority -300; policy accept;
    iifname != "{bridge}" accept
    ip saddr != {subnet} drop
    ip daddr 127.0.0.0/8 drop
    meta nfproto ipv6 drop
  }}
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

}  // namespace

base::IpAddress gateway_address(const base::Prefix& subnet) {
    return default_gateway(subnet);
}

std::string gateway_mark(const base::ClusterId& cluster) {
    return fmt::format("warren:{}:gateway", cluster);
}

Desired desired(const Gateway& gateway) {
    Desired out{.mark = gateway_mark(gateway.cluster)};
    const auto address = gateway_address(gateway.subnet);
    WantedBridge bridge{.name = kGatewayBridge,
                        .alias = out.mark,
                        .mac = base::mac_for(address),
                        .mtu = gateway.mtu,
                        .address = {address, gateway.subnet.length},
                        .options = {.multicast_snooping = false},
                        .neighbours = {}};
    for (const auto& container : gateway.containers) {
        const auto mac = base::mac_for(container.ip);
        bridge.neighbours.emplace(container.ip, mac);
        const bool from_port_to_port = gateway.bridge_netfilter && !container.published.empty();
        out.pairs.push_back({.endpoint = container.pair,
                             .name = pair_name(container.pair),
                             .alias = fmt::format("{}:{}", out.mark, container.pair),
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
                             .address = {container.ip, gateway.subnet.length},
                             .subnets = {gateway.subnet},
                             .default_via = address});
    }
    out.bridges.push_back(std::move(bridge));
    return out;
}

std::string gateway_ruleset(const Gateway& gateway) {
    return gateway_removal() + fmt::format(kTable, fmt::arg("table", kGatewayTable), fmt::arg("bridge", kGatewayBridge),
                                           fmt::arg("subnet", gateway.subnet),
                                           fmt::arg("published", published_rules(gateway)));
}

std::string gateway_removal() {
    // The first so that the second finds one.
    return fmt::format("add table inet {}\ndelete table inet {}\n", kGatewayTable, kGatewayTable);
}

}  // namespace warren::overlay
