#include "overlay/desired.h"

#include <algorithm>
#include <set>

namespace warren::overlay {

namespace {

using base::Code;
using base::Error;

constexpr std::uint8_t kTtl = 64;

netlink::Vxlan vxlan_options(const Network& network, const Subnet& subnet) {
    netlink::Vxlan options{
        .vni = subnet.vni, .local = network.vtep, .port = network.port, .ttl = kTtl, .learning = false, .proxy = true};
    if (network.encrypted) {
        options.source_low = kSourceLow;
        options.source_high = kSourceHigh;
        // The ICV covers the datagram, and a NAT on the way cannot break a checksum that is not there.
        options.udp_checksum = false;
        options.udp_zero_checksum6_tx = true;
        options.udp_zero_checksum6_rx = true;
    }
    return options;
}

constexpr netlink::BridgePort kVxlanPort{.learning = false, .unicast_flood = true, .multicast_flood = false};
constexpr netlink::BridgePort kContainerPort{.learning = false, .unicast_flood = false, .multicast_flood = false};

std::string bridge_name(std::size_t subnet) {
    return fmt::format("br{}", subnet);
}

std::optional<std::size_t> subnet_of(const Network& network, const base::IpAddress& ip) {
    const auto found = std::find_if(network.subnets.begin(), network.subnets.end(),
                                    [&](const Subnet& subnet) { return subnet.prefix.contains(ip); });
    if (found == network.subnets.end()) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - network.subnets.begin());
}

// Collects the endpoints, the local ones first.
class Collector {
  public:
    Collector(const Network& network, Desired& out) : network_(network), out_(out) {
        for (const auto& subnet : network.subnets) {
            prefixes_.push_back(subnet.prefix);
            ips_.insert(subnet.gateway);
        }
    }

    void add(const LocalEndpoint& endpoint) {
        const auto refuse = [&](const std::string& why) {
            out_.refused.push_back(
                {endpoint.id, Error(Code::kInvalid, fmt::format("endpoint {}: {}", endpoint.name, why))});
        };
        const auto subnet = subnet_of(network_, endpoint.ip);
        if (!subnet) {
            return refuse(fmt::format("address {} is in no subnet of network {}", endpoint.ip, network_.name));
        }
        if (!ips_.insert(endpoint.ip).second) {
            return refuse(fmt::format("address {} is the gateway's or another endpoint's", endpoint.ip));
        }
        if (!macs_.insert(endpoint.mac).second) {
            return refuse(fmt::format("MAC address {} is another endpoint's", endpoint.mac));
        }
        out_.pairs.push_back({.endpoint = endpoint.id,
                              .name = pair_name(endpoint.id),
                              .alias = endpoint_mark(network_.cluster, network_.id, endpoint.id),
                              .bridge = bridge_name(*subnet),
                              .mtu = network_.mtu,
                              .port = kContainerPort,
                              .netns = endpoint.netns,
                              .ifname = endpoint.ifname,
                              .mac = endpoint.mac,
                              .address = {endpoint.ip, network_.subnets[*subnet].prefix.length},
                              .subnets = prefixes_});
    }

    void add(const RemoteEndpoint& endpoint) {
        if (ips_.contains(endpoint.ip) || macs_.contains(endpoint.mac) || endpoint.vtep == network_.vtep) {
            return;
        }
        const auto refuse = [&](const std::string& why) {
            out_.refused.push_back(
                {std::nullopt, Error(Code::kInvalid, fmt::format("remote endpoint {}: {}", endpoint.ip, why))});
        };
        const auto subnet = subnet_of(network_, endpoint.ip);
        if (!subnet) {
            return refuse(fmt::format("is in no subnet of network {}", network_.name));
        }
        if (endpoint.vtep.family != network_.vtep.family) {
            return refuse(fmt::format("its node's VTEP address {} and this node's {} are of different families",
                                      endpoint.vtep, network_.vtep));
        }
        WantedVxlan& vxlan = out_.vxlans[*subnet];
        vxlan.forwarding.insert_or_assign(endpoint.mac, endpoint.vtep);
        vxlan.neighbours.insert_or_assign(endpoint.ip, endpoint.mac);
    }

  private:
    const Network& network_;
    Desired& out_;
    std::vector<base::Prefix> prefixes_;
    std::set<base::IpAddress> ips_;
    std::set<base::MacAddress> macs_;
};

}  // namespace

std::string pair_name(const base::EndpointId& endpoint) {
    return "v" + endpoint.text().substr(0, 14);  // 15 bytes are all that a name may have
}

Desired desired(const Network& network) {
    Desired out{.mark = network_mark(network.cluster, network.id)};
    for (std::size_t i = 0; i < network.subnets.size(); ++i) {
        const Subnet& subnet = network.subnets[i];
        out.bridges.push_back({.name = bridge_name(i),
                               .alias = out.mark,
                               .mac = gateway_mac(network.id, i),
                               .mtu = network.mtu,
                               .address = {subnet.gateway, subnet.prefix.length},
                               .options = {.multicast_snooping = false}});
        out.vxlans.push_back({.name = fmt::format("vx{}", i),
                              .alias = out.mark,
                              .bridge = bridge_name(i),
                              .mtu = network.mtu,
                              .options = vxlan_options(network, subnet),
                              .port = kVxlanPort,
                              .segmentation = network.segmentation});
    }
    Collector collector(network, out);
    for (const auto& endpoint : network.local) {
        collector.add(endpoint);
    }
    for (const auto& endpoint : network.remote) {
        collector.add(endpoint);
    }
    return out;
}

}  // namespace warren::overlay
