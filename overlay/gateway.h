#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "netlink/namespace.h"
#include "overlay/desired.h"
#include "overlay/publication.h"

// The gateway bridge: the way out of this node's containers that are in a network which is not internal, and the way in
// to their published ports. Values and texts only, no kernel.
//
// The bridge is in the host's namespace. Ports are isolated: no frame goes from one to another. What a container sends
// has its own address, in IPv4 and ARP, and nothing else passes; the host knows each container's MAC address without
// asking. What the host forwards into the bridge is answers and published ports alone: so containers reach one another
// through networks, or through a port that is published, and not here.
//
// With bridge_netfilter the kernel does not route what a container sends to a published port of its own host: it
// changes the destination while the frame is still on the bridge, and carries it from port to port
// (net/bridge/br_netfilter_hooks.c, br_nf_pre_routing_finish). There a container with published ports is not isolated,
// its port may send a frame back, and the rules that see every frame of IP keep all else away.
namespace warren::overlay {

inline constexpr const char* kGatewayBridge = "warren_gw";
inline constexpr const char* kGatewayTable = "warren_gw";  // nftables, in two families:
inline constexpr std::array kGatewayFamilies{"inet", "bridge"};

// Whose pair of links it is. It is in the alias of both: on the host's end nobody but root can write it, so a successor
// believes that.
struct PairOwner {
    base::EndpointId pair;
    base::IpAddress ip;
    netlink::NamespaceIdentity identity;

    bool operator==(const PairOwner&) const = default;
};

struct GatewayContainer {
    base::EndpointId pair;  // of its interface here, which is no endpoint of a network
    std::string name;       // for errors
    std::string netns;      // path of its network namespace
    netlink::NamespaceIdentity identity;
    base::IpAddress ip;
    std::vector<Publication> published;

    bool operator==(const GatewayContainer&) const = default;
};

struct Gateway {
    base::ClusterId cluster;
    base::Prefix subnet;  // the bridge has the first address
    base::Mtu mtu;
    std::vector<GatewayContainer> containers;
    // Pairs that are there of containers which can't be looked into: they stay, and what is published of them is not.
    std::vector<PairOwner> strangers{};
    base::UdpPort plain_port;  // of the cluster's plain networks, which no container may forge frames of
    // The host's bridges hand frames to iptables (net.bridge.bridge-nf-call-iptables, which Docker sets).
    bool bridge_netfilter = false;

    bool operator==(const Gateway&) const = default;
};

[[nodiscard]] base::IpAddress gateway_address(const base::Prefix& subnet);
inline constexpr const char* kGatewaySubject = "gateway";  // in marks, where links of networks have an id
// What marks its links: "warren:<cluster>:gateway" and, for a container's two, what pair_mark() adds.
[[nodiscard]] std::string gateway_mark(const base::ClusterId& cluster);
// The mark of a pair says whose it is.
[[nodiscard]] std::string pair_mark(const base::ClusterId& cluster, const PairOwner& owner);
// nullopt: it is none of this cluster's.
[[nodiscard]] std::optional<PairOwner> parse_pair_mark(const base::ClusterId& cluster, std::string_view alias);

// Some program of the host, or a container, may connect to a published port at 127.0.0.1.
[[nodiscard]] bool publishes_on_loopback(const Gateway& gateway);

[[nodiscard]] Desired desired(const Gateway& gateway);
// One transaction that makes or replaces the tables.
[[nodiscard]] std::string gateway_ruleset(const Gateway& gateway);
// One transaction that removes the tables, whether they are there or not.
[[nodiscard]] std::string gateway_removal();

}  // namespace warren::overlay
