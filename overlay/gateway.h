#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "overlay/desired.h"
#include "overlay/publication.h"

// The gateway bridge: the way out of this node's containers that are in a network which is not internal, and the way in
// to their published ports. Values and texts only, no kernel.
//
// The bridge is in the host's namespace. No frame goes from one of its ports to another (they are isolated), the host
// knows the MAC address of each container without asking, and what it forwards into the bridge is answers and published
// ports alone: so containers reach one another through networks, or through a port that is published, and not here.
//
// With bridge_netfilter the kernel does not route what a container sends to a published port of its own host: it
// changes the destination while the frame is still on the bridge, and carries it from port to port
// (net/bridge/br_netfilter_hooks.c, br_nf_pre_routing_finish). There a container with published ports is not isolated,
// its port may send a frame back, and the rules that see every frame of IP keep all else away.
namespace warren::overlay {

inline constexpr const char* kGatewayBridge = "warren_gw";
inline constexpr const char* kGatewayTable = "warren_gw";  // nftables, inet

struct GatewayContainer {
    base::EndpointId pair;  // of its interface here, which is no endpoint of a network
    std::string name;       // for errors
    std::string netns;      // path of its network namespace
    base::IpAddress ip;
    std::vector<Publication> published;

    bool operator==(const GatewayContainer&) const = default;
};

struct Gateway {
    base::ClusterId cluster;
    base::Prefix subnet;  // the bridge has the first address
    base::Mtu mtu;
    std::vector<GatewayContainer> containers;
    // The host's bridges hand frames to iptables (net.bridge.bridge-nf-call-iptables, which Docker sets).
    bool bridge_netfilter = false;

    bool operator==(const Gateway&) const = default;
};

[[nodiscard]] base::IpAddress gateway_address(const base::Prefix& subnet);
// What marks its links: "warren:<cluster>:gateway" and, for a container's two, ":<pair>" behind.
[[nodiscard]] std::string gateway_mark(const base::ClusterId& cluster);

[[nodiscard]] Desired desired(const Gateway& gateway);
// One transaction that makes or replaces the table.
[[nodiscard]] std::string gateway_ruleset(const Gateway& gateway);
// One transaction that removes the table, whether it is there or not.
[[nodiscard]] std::string gateway_removal();

}  // namespace warren::overlay
