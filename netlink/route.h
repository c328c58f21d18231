#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/attributes.h"
#include "netlink/kernel_socket.h"
#include "netlink/message.h"

// Routes. Pure but for the two read functions.
namespace warren::netlink {

enum class RouteType : std::uint8_t {  // RTN_*
    kUnicast = 1,
    kLocal = 2,
    kBroadcast = 3,
    kAnycast = 4,
    kMulticast = 5,
    kBlackhole = 6,
    kUnreachable = 7,
    kProhibit = 8,
    kThrow = 9,
    kOther = 0,
};

constexpr std::uint32_t kMainTable = 254;

struct Route {
    base::Prefix destination;                // length 0 = default route
    base::IfIndex link{0};                   // 0 = none (blackhole), or several (multipath: the first)
    std::optional<base::IpAddress> gateway;  // none = the destination is on the link
    std::optional<base::IpAddress> source;   // preferred source address
    RouteType type = RouteType::kUnicast;
    std::uint32_t table = kMainTable;
    std::uint32_t metric = 0;
    base::Mtu mtu{0};  // 0 = the link's
    bool operator==(const Route&) const = default;
};

[[nodiscard]] Message add_route(const Route& route);  // EEXIST if it is there
[[nodiscard]] Message replace_route(const Route& route);
[[nodiscard]] Message delete_route(const Route& route);  // ESRCH if it is not there

// The route a packet to `to` would take now; the answer's destination has full length.
[[nodiscard]] Message get_route(const base::IpAddress& to, std::optional<base::IpAddress> from = std::nullopt);
// The entry of the tables that such a route comes from, as somebody has made it: without what was learned on the way,
// such as a path MTU. The answer's destination is the entry's.
[[nodiscard]] Message get_route_entry(const base::IpAddress& to, std::optional<base::IpAddress> from = std::nullopt);
[[nodiscard]] Message dump_routes(base::Family family);  // all tables
// From RTM_NEWROUTE or RTM_DELROUTE; nullopt for a family that is not IP.
[[nodiscard]] base::Result<std::optional<Route>> decode_route(const Received& received);

// kUnavailable when there is no route ("no route to 10.0.0.1").
[[nodiscard]] base::Result<Route> read_route(Socket& socket, const base::IpAddress& to,
                                             std::optional<base::IpAddress> from = std::nullopt);
[[nodiscard]] base::Result<Route> read_route_entry(Socket& socket, const base::IpAddress& to,
                                                   std::optional<base::IpAddress> from = std::nullopt);
[[nodiscard]] base::Result<std::vector<Route>> read_routes(Socket& socket, base::Family family);

}  // namespace warren::netlink
