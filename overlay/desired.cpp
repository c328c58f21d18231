#include "overlay/desired.h"

#include <algorithm>
#include <set>
#include <tl/expected.hpp>

namespace warren::overlay {

namespace {

using base::Code;
using base::Error;

constexpr std::uint8_t kTtl = 64;

netlink::Vxlan vxlan_options(const Network& network, base::Vni vni) {
    netlink::Vxlan options{
        .vni = vni, .local = network.vtep, .port = network.port, .ttl = kTtl, .learning = false, .proxy = true};
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
// With multicast. What no container has joined is flooded only where it has no membership, as 224.0.0.0/24 and ff02::1.
constexpr netlink::BridgePort kMulticastVxlanPort{
    .learning = false, .unicast_flood = false, .locked = true, .multicast_router = netlink::MulticastRouter::kAlways};
constexpr netlink::BridgePort kMulticastContainerPort{.learning = false, .unicast_flood = false, .locked = true};

netlink::Bridge bridge_options(const Network& network) {
    return {.multicast_snooping = network.multicast,
            .multicast_querier = network.multicast,
            .multicast_query_use_ifaddr = network.multicast};
}

std::string bridge_name(std::size_t bridge) {
    return fmt::format("br{}", bridge);
}

// By their VNIs, which bridge is whose.
std::vector<base::Vni> bridges_of(const Network& network) {
    std::vector<base::Vni> vnis;
    for (const auto& subnet : network.subnets) {
        if (std::find(vnis.begin(), vnis.end(), subnet.vni) == vnis.end()) {
            vnis.push_back(subnet.vni);
        }
    }
    return vnis;
}

const Subnet* subnet_of(const Network& network, const base::IpAddress& ip) {
    const auto found = std::find_if(network.subnets.begin(), network.subnets.end(),
                                    [&](const Subnet& subnet) { return subnet.prefix.contains(ip); });
    return found == network.subnets.end() ? nullptr : &*found;
}

bool has_ipv6(const Network& network, base::Vni vni) {
    return std::any_of(network.subnets.begin(), network.subnets.end(), [&](const Subnet& subnet) {
        return subnet.vni == vni && subnet.prefix.address.family == base::Family::kIpv6;
    });
}

// Collects the endpoints, the local ones first.
class Collector {
  public:
    Collector(const Network& network, Desired& out) : network_(network), out_(out), bridges_(bridges_of(network)) {
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
        const auto place = find_place(endpoint.ips);
        if (!place) {
            return refuse(place.error());
        }
        for (const auto& ip : endpoint.ips) {
            if (!ips_.insert(ip).second) {
                return refuse(fmt::format("address {} is the gateway's or another endpoint's", ip));
            }
        }
        if (!macs_.insert(endpoint.mac).second) {
            return refuse(fmt::format("MAC address {} is another endpoint's", endpoint.mac));
        }
        auto& neighbours = out_.vxlans[place->bridge].neighbours;
        for (const auto& ip : endpoint.ips) {
            if (ip.family == base::Family::kIpv6) {
                neighbours.insert_or_assign(ip, endpoint.mac);
            }
        }
        out_.pairs.push_back({.endpoint = endpoint.id,
                              .name = pair_name(endpoint.id),
                              .alias = endpoint_mark(network_.cluster, network_.id, endpoint.id),
                              .bridge = bridge_name(place->bridge),
                              .mtu = network_.mtu,
                              .port = network_.multicast ? kMulticastContainerPort : kContainerPort,
                              .netns = endpoint.netns,
                              .ifname = endpoint.ifname,
                              .mac = endpoint.mac,
                              .addresses = place->addresses,
                              .subnets = prefixes_,
                              .routes = routes_from(*place)});
    }

    void add(const RemoteEndpoint& endpoint) {
        const bool here = std::any_of(endpoint.ips.begin(), endpoint.ips.end(),
                                      [this](const base::IpAddress& ip) { return ips_.contains(ip); });
        if (here || macs_.contains(endpoint.mac) || endpoint.vtep == network_.vtep) {
            return;
        }
        const auto refuse = [&](const std::string& why) {
            out_.refused.push_back(
                {std::nullopt, Error(Code::kInvalid, fmt::format("remote endpoint {}: {}", endpoint.mac, why))});
        };
        const auto place = find_place(endpoint.ips);
        if (!place) {
            return refuse(place.error());
        }
        if (endpoint.vtep.family != network_.vtep.family) {
            return refuse(fmt::format("its node's VTEP address {} and this node's {} are of different families",
                                      endpoint.vtep, network_.vtep));
        }
        WantedVxlan& vxlan = out_.vxlans[place->bridge];
        vxlan.forwarding.insert_or_assign(endpoint.mac, endpoint.vtep);
        for (const auto& ip : endpoint.ips) {
            vxlan.neighbours.insert_or_assign(ip, endpoint.mac);
        }
    }

    // After the endpoints. One whose address is of the other family has been refused with its endpoints.
    void add(const Peer& peer) {
        if (peer.vtep == network_.vtep || peer.vtep.family != network_.vtep.family) {
            return;
        }
        for (auto& vxlan : out_.vxlans) {
            vxlan.copies.insert(peer.vtep);
            if (!macs_.contains(peer.mac)) {
                vxlan.forwarding.emplace(peer.mac, peer.vtep);
            }
        }
    }

  private:
    // Where an endpoint of these addresses belongs.
    struct Place {
        std::size_t bridge = 0;
        std::vector<base::Prefix> addresses;
        std::vector<const Subnet*> subnets;  // that they are in
    };
    [[nodiscard]] tl::expected<Place, std::string> find_place(const std::vector<base::IpAddress>& ips) const {
        Place place;
        for (const auto& ip : ips) {
            const auto* subnet = subnet_of(network_, ip);
            if (subnet == nullptr) {
                return tl::unexpected(fmt::format("address {} is in no subnet of network {}", ip, network_.name));
            }
            if (!place.subnets.empty() && place.subnets.front()->vni != subnet->vni) {
                return tl::unexpected(
                    fmt::format("address {} is in another part of network {} than {}", ip, network_.name, ips.front()));
            }
            place.subnets.push_back(subnet);
            place.addresses.push_back({ip, subnet->prefix.length});
        }
        if (place.subnets.empty()) {
            return tl::unexpected(std::string("has no address"));
        }
        const auto bridge = std::find(bridges_.begin(), bridges_.end(), place.subnets.front()->vni);
        place.bridge = static_cast<std::size_t>(bridge - bridges_.begin());
        return place;
    }

    // To the subnets behind the other bridges.
    [[nodiscard]] std::vector<WantedRoute> routes_from(const Place& place) const {
        std::vector<WantedRoute> routes;
        for (const auto& other : network_.subnets) {
            for (const auto* own : place.subnets) {
                if (other.vni != own->vni && other.prefix.address.family == own->prefix.address.family) {
                    routes.push_back({.destination = other.prefix, .via = own->gateway});
                }
            }
        }
        return routes;
    }

    const Network& network_;
    Desired& out_;
    std::vector<base::Vni> bridges_;
    std::vector<base::Prefix> prefixes_;
    std::set<base::IpAddress> ips_;
    std::set<base::MacAddress> macs_;
};

// The bridge and the VXLAN device of one VNI.
void add_devices(const Network& network, std::size_t number, base::Vni vni, Desired& out) {
    WantedBridge bridge{.name = bridge_name(number),
                        .alias = out.mark,
                        .mac = gateway_mac(network.id, number),
                        .mtu = network.mtu,
                        .addresses = {},
                        .options = bridge_options(network)};
    for (const auto& subnet : network.subnets) {
        if (subnet.vni == vni) {
            bridge.addresses.push_back({subnet.gateway, subnet.prefix.length});
        }
    }
    out.bridges.push_back(std::move(bridge));
    auto port = network.multicast ? kMulticastVxlanPort : kVxlanPort;
    port.multicast_flood = network.multicast || has_ipv6(network, vni);
    out.vxlans.push_back({.name = fmt::format("vx{}", number),
                          .alias = out.mark,
                          .bridge = bridge_name(number),
                          .mtu = network.mtu,
                          .options = vxlan_options(network, vni),
                          .port = port,
                          .segmentation = network.segmentation,
                          .forwarding = {},
                          .copies = {},
                          .in_bridge = network.multicast,
                          .neighbours = {}});
}

}  // namespace

std::string pair_name(const base::EndpointId& endpoint) {
    return "v" + endpoint.text().substr(0, 14);  // 15 bytes are all that a name may have
}

Desired desired(const Network& network) {
    Desired out{.mark = network_mark(network.cluster, network.id)};
    const auto vnis = bridges_of(network);
    out.forwards = vnis.size() > 1;
    for (std::size_t i = 0; i < vnis.size(); ++i) {
        add_devices(network, i, vnis[i], out);
    }
    Collector collector(network, out);
    for (const auto& endpoint : network.local) {
        collector.add(endpoint);
    }
    for (const auto& endpoint : network.remote) {
        collector.add(endpoint);
    }
    if (network.multicast) {
        for (const auto& peer : network.peers) {
            collector.add(peer);
        }
    }
    return out;
}

}  // namespace warren::overlay
