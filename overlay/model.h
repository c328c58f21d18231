#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"

// One network as one node is to have it: values only, no kernel.
namespace warren::overlay {

// Of the datagrams of encrypted networks. XFRM's policies select these by mask (512/0xfe00); no unprivileged process
// can bind them. Some kernels leave out the upper end and some include it (include/net/udp.h, udp_flow_src_port), so
// the range stops where both are right.
inline constexpr base::UdpPort kSourceLow{512};
inline constexpr base::UdpPort kSourceHigh{1023};

// Subnets of one VNI share a bridge and a VXLAN device in the network's namespace, at most one of each family.
struct Subnet {
    base::Prefix prefix;
    base::IpAddress gateway;  // an address of the bridge, the same on every node
    base::Vni vni;

    auto operator<=>(const Subnet&) const = default;
};

// An interface in a container of this node. Its bridge is that of the subnets that its addresses lie in.
struct LocalEndpoint {
    base::EndpointId id;
    std::string name;                  // for errors
    std::vector<base::IpAddress> ips;  // one of each family at most
    base::MacAddress mac;
    std::string netns;  // path of the container's network namespace
    std::string
        ifname;  // empty: the first free ethN when it is made. Afterwards the name is the container's own affair

    auto operator<=>(const LocalEndpoint&) const = default;
};

// An interface in a container of another node.
struct RemoteEndpoint {
    base::EndpointId id;
    std::vector<base::IpAddress> ips;  // as of a local one
    base::MacAddress mac;
    base::IpAddress vtep;  // of that node

    auto operator<=>(const RemoteEndpoint&) const = default;
};

// Another node that has endpoints of the network.
struct Peer {
    base::IpAddress vtep;
    base::MacAddress mac;  // that frames of the node itself come from, which are no container's: its probes

    auto operator<=>(const Peer&) const = default;
};

struct Network {
    base::ClusterId cluster;
    base::NetworkId id;
    std::string name;             // for errors
    std::vector<Subnet> subnets;  // in the order of their VNIs in here those are br0 and vx0, br1 and vx1, ...
    base::UdpPort port;           // plain: the cluster's, shared by all plain networks; encrypted: the network's own
    bool encrypted = false;       // source ports 512–1023 and no UDP checksums; ESP itself is the XFRM room's
    bool segmentation =
        true;              // false: VXLAN gets no GSO or TSO packet, for kernels that cut them wrongly inside of ESP
    base::Mtu mtu;         // of a container's packets
    base::IpAddress vtep;  // this node's
    std::vector<LocalEndpoint> local;
    std::vector<RemoteEndpoint> remote;
    bool multicast = false;  // broadcast and multicast go to the peers, too; otherwise they stay on the node
    std::vector<Peer> peers{};

    bool operator==(const Network&) const = default;
};

// The MAC address of a bridge, on every node the same, so that a container that moves, or asks another node's
// gateway, needs no new ARP entry. Locally administered, from the network's random id.
[[nodiscard]] base::MacAddress gateway_mac(const base::NetworkId& network, std::size_t bridge);

// What marks a link as ours (its IFLA_IFALIAS): "warren:<cluster>:<network>" and, for an endpoint's two links,
// "warren:<cluster>:<network>:<endpoint>".
[[nodiscard]] std::string network_mark(const base::ClusterId& cluster, const base::NetworkId& network);
[[nodiscard]] std::string endpoint_mark(const base::ClusterId& cluster, const base::NetworkId& network,
                                        const base::EndpointId& endpoint);

}  // namespace warren::overlay
