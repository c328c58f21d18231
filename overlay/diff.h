#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "netlink/route.h"
#include "overlay/desired.h"

// From what is wanted and what is there to the steps that lead from one to the other. Pure.
namespace warren::overlay {

// What one network namespace holds, as far as it matters here.
struct SeenNamespace {
    std::vector<netlink::Link> links;
    std::map<base::IfIndex, std::vector<base::Prefix>> addresses;         // without IPv6 link-local ones
    std::map<base::IfIndex, std::vector<netlink::FdbEntry>> forwarding;   // network's namespace only
    std::map<base::IfIndex, std::vector<netlink::Neighbour>> neighbours;  // of VXLAN devices and bridges
    std::map<base::IfIndex, bool> segmentation;                           // of VXLAN devices
    std::vector<netlink::Route> routes;                                   // containers only, main table
    bool forwards = true;                                                 // the network's namespace only: IPv4 and IPv6
};

// For many questions for links of a namespace, which must not change meanwhile.
class LinksByName {
  public:
    explicit LinksByName(const SeenNamespace& where);
    [[nodiscard]] const netlink::Link* find(std::string_view name) const;

  private:
    std::unordered_map<std::string_view, const netlink::Link*> links_;
};

struct Observed {
    SeenNamespace network;
    std::map<base::EndpointId, SeenNamespace> containers;  // none for an endpoint whose namespace cannot be opened
};

// Where a step is done.
enum class Place : std::uint8_t {
    kHost,       // VXLAN devices are made here, so that their sockets stay here
    kNetwork,    // the network's namespace
    kContainer,  // that of the step's endpoint
};

struct DeleteLink {
    base::IfIndex link;
    std::string name;
    bool operator==(const DeleteLink&) const = default;
};
struct CreateBridge {
    WantedBridge bridge;
    bool operator==(const CreateBridge&) const = default;
};
struct CreateVxlan {
    std::string name;
    base::Mtu mtu;
    netlink::Vxlan options;
    bool operator==(const CreateVxlan&) const = default;
};
struct CreatePair {
    std::string name;
    std::string netns;
    std::string ifname;
    base::MacAddress mac;
    base::Mtu mtu;
    bool operator==(const CreatePair&) const = default;
};
// What is set is changed.
struct SetLink {
    base::IfIndex link;
    std::string name;
    std::optional<std::string> alias{};
    std::optional<base::MacAddress> mac{};
    std::optional<base::Mtu> mtu{};
    std::optional<base::IfIndex> master{};
    std::optional<bool> up{};
    bool operator==(const SetLink&) const = default;
};
struct SetBridge {
    base::IfIndex link;
    std::string name;
    netlink::Bridge options;
    bool operator==(const SetBridge&) const = default;
};
struct SetPort {
    base::IfIndex link;
    std::string name;
    netlink::BridgePort options;
    bool operator==(const SetPort&) const = default;
};
struct SetSegmentation {
    base::IfIndex link;
    std::string name;
    bool on = true;
    bool operator==(const SetSegmentation&) const = default;
};
// From one device of the network's namespace to another.
struct TurnOnForwarding {
    bool operator==(const TurnOnForwarding&) const = default;
};
// An IPv6 address cannot be had where that is off (net.ipv6.conf.*.disable_ipv6).
struct TurnOnIpv6 {
    std::string name;  // of the link
    bool operator==(const TurnOnIpv6&) const = default;
};
struct AddAddress {
    base::IfIndex link;
    base::Prefix address;
    bool operator==(const AddAddress&) const = default;
};
struct DeleteAddress {
    base::IfIndex link;
    base::Prefix address;
    bool operator==(const DeleteAddress&) const = default;
};
struct PutForwarding {
    netlink::FdbEntry entry;
    bool operator==(const PutForwarding&) const = default;
};
struct DeleteForwarding {
    netlink::FdbEntry entry;
    bool operator==(const DeleteForwarding&) const = default;
};
struct PutNeighbour {
    netlink::Neighbour neighbour;
    bool operator==(const PutNeighbour&) const = default;
};
struct DeleteNeighbour {
    netlink::Neighbour neighbour;
    bool operator==(const DeleteNeighbour&) const = default;
};
struct PutRoute {
    netlink::Route route;
    bool operator==(const PutRoute&) const = default;
};
using Action = std::variant<DeleteLink, CreateBridge, CreateVxlan, CreatePair, SetLink, SetBridge, SetPort,
                            SetSegmentation, TurnOnForwarding, TurnOnIpv6, AddAddress, DeleteAddress, PutForwarding,
                            DeleteForwarding, PutNeighbour, DeleteNeighbour, PutRoute>;

struct Step {
    Place place = Place::kNetwork;
    std::optional<base::EndpointId> endpoint;  // whose failure it would be; nullopt: the network's
    Action action;

    bool operator==(const Step&) const = default;
};

// For errors: "create vxlan vx0 (VNI 5701632, UDP port 10001)".
[[nodiscard]] std::string describe(const Step& step);

// It says who gets what has no entry; there may be many of these.
[[nodiscard]] inline bool is_default(const netlink::FdbEntry& entry) {
    return entry.table == netlink::FdbTable::kDevice && entry.mac == base::MacAddress{};
}

struct Plan {
    std::vector<Step> steps;       // in this order
    std::vector<Refusal> refused;  // something foreign is in the way
};

// The steps that can be taken now. A link that has to be made first has no index yet, so what hangs on it comes with
// the diff after: observe, diff and apply until a plan is empty. Links that do not carry the network's mark are left
// alone.
[[nodiscard]] Plan diff(const Desired& want, const Observed& have);

// The link is the network's: it has the mark, or it is an end of a pair that a crash left without.
[[nodiscard]] bool is_ours(const netlink::Link& link, std::string_view mark);

// The same whatever its cluster is called: the link of a network's id, or "gateway".
[[nodiscard]] bool is_of(const netlink::Link& link, std::string_view subject);

// The endpoint's interface in its container, nullptr if there is none. `port` is the bridge's end.
[[nodiscard]] const netlink::Link* container_end(const WantedPair& pair, const netlink::Link& port,
                                                 const SeenNamespace& container);

}  // namespace warren::overlay
