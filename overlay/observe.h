#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "netlink/kernel_socket.h"
#include "netlink/namespace.h"
#include "overlay/diff.h"

// Reads from the kernel what diff() compares with.
namespace warren::overlay {

// The network's namespace; `socket` was opened in it.
[[nodiscard]] base::Result<SeenNamespace> observe_network(const netlink::Namespace& where, netlink::Socket& socket);

// What may have changed of what was seen there: ports, by their names, and the tables of devices.
struct Touched {
    std::set<std::string> ports;
    std::set<base::IfIndex> tables;  // forwarding and neighbour entries
};
// The same again, as far as it was touched. A namespace of a thousand ports takes the kernel long to tell of.
[[nodiscard]] base::Status observe_again(netlink::Socket& socket, const Touched& touched, SeenNamespace& network);

// A container's namespace: links and addresses.
[[nodiscard]] base::Result<SeenNamespace> observe_container(netlink::Socket& socket);
// Its routes to those destinations.
[[nodiscard]] base::Result<std::vector<netlink::Route>> observe_routes(netlink::Socket& socket,
                                                                       const std::vector<WantedRoute>& wanted);
// Both families go from one device to another, as far as the kernel has them.
[[nodiscard]] base::Result<bool> observe_forwarding(const netlink::Namespace& where);

}  // namespace warren::overlay
