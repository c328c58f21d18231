#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <ratio>
#include <string>
#include <string_view>
#include <variant>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/attributes.h"
#include "netlink/kernel_socket.h"
#include "netlink/message.h"
#include "netlink/namespace.h"

// Network devices: values, requests as messages, decoding. Pure but for the last three functions. The defaults of the
// options are the kernel's.
namespace warren::netlink {

// IFLA_VXLAN_*. The device's UDP socket opens in the namespace of the Socket that creates it and stays there when the
// device is put elsewhere (kernel drivers/net/vxlan/vxlan_core.c: vxlan->net is fixed by vxlan_newlink).
struct Vxlan {
    base::Vni vni;
    std::optional<base::IpAddress> local;
    base::UdpPort port{4789};
    base::UdpPort source_low{0};  // source ports, both included; 0–0 = the kernel's ephemeral range
    base::UdpPort source_high{0};
    std::uint8_t ttl = 0;  // 0 = the host's default
    bool learning = true;
    bool proxy = false;  // answer ARP from the neighbour table
    bool l2miss = false;
    bool l3miss = false;
    bool udp_checksum = true;  // IPv4: send with checksum
    bool udp_zero_checksum6_tx = false;
    bool udp_zero_checksum6_rx = false;
    bool operator==(const Vxlan&) const = default;
};

using UserTicks = std::chrono::duration<std::uint32_t, std::centi>;  // the kernel's USER_HZ

struct Bridge {
    bool multicast_snooping = true;
    bool multicast_querier = false;           // asks its ports for their groups
    bool multicast_query_use_ifaddr = false;  // from its own address instead of 0.0.0.0
    bool stp = false;
    UserTicks ageing{30000};  // 0 = a learned entry is forgotten at once; the kernel rounds to its HZ
    bool operator==(const Bridge&) const = default;
};

// IFLA_BRPORT_MULTICAST_ROUTER: whether a port gets all groups.
enum class MulticastRouter : std::uint8_t {
    kNever = 0,
    kWhenHeard = 1,  // while queries or a routing protocol come from it
    kAlways = 2,
    kForAWhile = 3,
};

struct BridgePort {
    bool learning = true;
    bool unicast_flood = true;
    bool multicast_flood = true;
    bool broadcast_flood = true;
    bool isolated = false;
    bool neighbour_suppress = false;
    bool hairpin = false;
    bool locked = false;  // takes frames only from source addresses that the bridge has behind this port (Linux 5.18)
    MulticastRouter multicast_router = MulticastRouter::kWhenHeard;
    bool operator==(const BridgePort&) const = default;
};

struct Link {
    base::IfIndex index;
    std::string name;
    std::string alias;
    std::string kind;  // "vxlan", "bridge", "veth", ...; empty for a physical device and lo
    base::MacAddress mac;
    base::Mtu mtu;
    bool up = false;       // IFF_UP: administratively
    bool running = false;  // IFF_LOWER_UP: carrier
    bool loopback = false;
    std::uint32_t carrier_changes = 0;        // so far: tells that it was down although it is up again
    base::IfIndex master{0};                  // 0 = none
    base::IfIndex lower{0};                   // IFLA_LINK: a veth's peer, a VLAN's parent; 0 = none
    std::optional<std::int32_t> lower_netns;  // the nsid of `lower` if it is in another namespace
    std::uint32_t gso_max_segs = 0;
    std::uint32_t gso_max_size = 0;  // bytes
    std::optional<Vxlan> vxlan;      // iff kind is "vxlan"
    std::optional<Bridge> bridge;    // iff kind is "bridge"
    std::optional<BridgePort> port;  // iff the master is a bridge
    bool operator==(const Link&) const = default;
};

// A link by index or by name.
class LinkRef {
  public:
    LinkRef(base::IfIndex index) : ref_(index) {}                // NOLINT: implicit, as is its purpose
    LinkRef(std::string_view name) : ref_(std::string(name)) {}  // NOLINT
    LinkRef(const char* name) : ref_(std::string(name)) {}       // NOLINT
    LinkRef(const std::string& name) : ref_(name) {}             // NOLINT
    [[nodiscard]] const std::variant<base::IfIndex, std::string>& value() const { return ref_; }
    [[nodiscard]] std::string text() const;

  private:
    std::variant<base::IfIndex, std::string> ref_;
};

// Interface names: 1 to 15 bytes, no '/', ':', white space or control character, not "." or ".." (kernel
// net/core/dev.c dev_valid_name), and none that the kernel takes for several: "all" and "default"
// (net/core/sysctl_net_core.c sysctl_dev_name_is_allowed), or a pattern with '%' that it makes a name of. `what` names
// the field in the error.
[[nodiscard]] base::Status check_ifname(std::string_view what, std::string_view name);

// What all new devices have. Unset = the kernel chooses. The alias cannot be set at creation and a master only in
// the same namespace: use set_link() afterwards.
struct NewLink {
    std::string name;
    std::optional<base::MacAddress> mac;
    std::optional<base::Mtu> mtu;
    const Namespace* into = nullptr;  // null = the socket's; must live until the message is sent
};
// All devices start down. All fail with EEXIST if the name is taken in the namespace that the device ends up in or,
// before Linux 6.13, in the socket's (net/core/rtnetlink.c, __rtnl_newlink; a veth's peer is not looked up there).
[[nodiscard]] Message create_vxlan(const NewLink& link, const Vxlan& options);
[[nodiscard]] Message create_bridge(const NewLink& link, const Bridge& options);
[[nodiscard]] Message create_veth(const NewLink& link, const NewLink& peer);

// Changes what is set, leaves the rest.
struct LinkChange {
    std::optional<std::string> alias;  // "" removes it
    std::optional<base::MacAddress> mac;
    std::optional<base::Mtu> mtu;
    std::optional<base::IfIndex> master;  // 0 = none
    std::optional<bool> up;
    std::optional<std::uint32_t> gso_max_segs;  // 1 = cut packets first; see segmentation.h
    const Namespace* into = nullptr;            // moves the device; must live until the message is sent
};
[[nodiscard]] Message set_link(const LinkRef& link, const LinkChange& change);
[[nodiscard]] Message rename_link(base::IfIndex link, std::string_view name);  // EBUSY while it is up (older kernels)
[[nodiscard]] Message set_bridge(const LinkRef& bridge, const Bridge& options);
[[nodiscard]] Message set_bridge_port(const LinkRef& port, const BridgePort& options);
[[nodiscard]] Message delete_link(const LinkRef& link);

[[nodiscard]] Message get_link(const LinkRef& link);
[[nodiscard]] Message dump_links();
// From RTM_NEWLINK or RTM_DELLINK; nullopt for the per-family messages of the same type (AF_BRIDGE, AF_INET6).
[[nodiscard]] base::Result<std::optional<Link>> decode_link(const Received& received);

// The one link; kNotFound if there is none.
[[nodiscard]] base::Result<Link> read_link(Socket& socket, const LinkRef& link);
[[nodiscard]] base::Result<std::vector<Link>> read_links(Socket& socket);

}  // namespace warren::netlink
