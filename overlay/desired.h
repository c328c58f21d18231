#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/link.h"
#include "overlay/model.h"

// The kernel objects that a network needs on this node: a pure function of the network.
//
// How frames go. The VXLAN device is a bridge port that gets every frame whose destination is no local container (it
// alone has unicast_flood), and sends it to the one VTEP of its own forwarding table, or drops it. Nothing else is
// flooded but broadcast, which ARP needs: among the node's containers, and to the VXLAN device, which answers ARP from
// its permanent neighbours and drops the rest, since its table has no default destination. No port learns: local
// containers' MAC addresses are static, so neither a container nor a peer can draw another's frames to itself.
//
// Neighbour solicitations of IPv6 are multicast, and no container gets any: the VXLAN device, which does where there is
// IPv6, answers them for the node's own endpoints, too (drivers/net/vxlan, neigh_reduce).
//
// From one bridge to another the network's namespace routes: a container's way to the other subnets is its gateway, on
// its own node, so a packet crosses the underlay once.
//
// With multicast the VXLAN device has default destinations, the peers, each of which gets a copy of what has no entry.
// Unknown unicast must not be among that (kernel drivers/net/vxlan/vxlan_core.c, vxlan_xmit, makes no difference), so
// it ends in the bridge: remote MAC addresses are static there as well, behind the VXLAN port, and no port gets what
// is unknown. ARP and neighbour solicitations end in the VXLAN device as before. The bridge snoops and asks: a
// container gets the groups that it joined, the VXLAN port all of them. All ports are locked to the source addresses
// behind them, which keeps one node's questions, that come from the gateway's address, from silencing another's.
namespace warren::overlay {

struct WantedBridge {
    std::string name;
    std::string alias;
    base::MacAddress mac;
    base::Mtu mtu;
    std::vector<base::Prefix> addresses;  // the gateways', with their subnets' lengths
    netlink::Bridge options;
    // Permanent ones, so that nobody on it answers for another's address. Nothing: the kernel asks.
    std::map<base::IpAddress, base::MacAddress> neighbours;

    bool operator==(const WantedBridge&) const = default;
};

struct WantedVxlan {
    std::string name;
    std::string alias;
    std::string bridge;
    base::Mtu mtu;
    netlink::Vxlan options;
    netlink::BridgePort port;
    bool segmentation = true;
    std::map<base::MacAddress, base::IpAddress> forwarding;  // MAC of a remote endpoint → its VTEP
    std::set<base::IpAddress> copies;  // VTEPs that get what has no entry: broadcast and multicast
    bool in_bridge = false;            // the bridge has the MAC addresses of `forwarding`, too
    std::map<base::IpAddress, base::MacAddress> neighbours;  // what ARP and neighbour solicitations are answered from

    bool operator==(const WantedVxlan&) const = default;
};

// A route of a container, unless it has one of its own there through another interface.
struct WantedRoute {
    base::Prefix destination;
    base::IpAddress via;

    auto operator<=>(const WantedRoute&) const = default;
};

// A veth pair: one end in the bridge, one in the container.
struct WantedPair {
    base::EndpointId endpoint;
    std::string name;   // of the bridge's end
    std::string alias;  // of both
    std::string bridge;
    base::Mtu mtu;
    netlink::BridgePort port;
    std::string netns;
    std::string ifname;  // empty: the first free one of `ifnames`
    base::MacAddress mac;
    std::vector<base::Prefix> addresses;
    std::vector<base::Prefix> subnets;  // the network's: another address out of these on the interface is a former one
    std::vector<WantedRoute> routes{};
    std::string ifnames = "eth";  // with a number behind

    bool operator==(const WantedPair&) const = default;
};

// What cannot be had, and whose fault it is: nullopt = a remote endpoint's or the network's.
struct Refusal {
    std::optional<base::EndpointId> endpoint;
    base::Error error;

    bool operator==(const Refusal&) const = default;
};

struct Desired {
    std::string mark;       // the network's, in each alias
    bool forwards = false;  // the namespace routes from bridge to bridge
    std::vector<WantedBridge> bridges;
    std::vector<WantedVxlan> vxlans;
    std::vector<WantedPair> pairs;
    std::vector<Refusal> refused;
    std::set<std::string> kept;  // aliases of links that stay although nobody wants them
};

// Of the bridge's end of a pair.
[[nodiscard]] std::string pair_name(const base::EndpointId& endpoint);

// A remote endpoint whose address or MAC a local one has, or whose VTEP is this node's, is left out: that is an
// endpoint that just moved here, and what is local wins. Endpoints that contradict each other or the network are in
// `refused`.
[[nodiscard]] Desired desired(const Network& network);

}  // namespace warren::overlay
