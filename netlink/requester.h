#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "netlink/kernel_socket.h"

namespace warren::netlink {

// The process behind `Received::port` of an event, for people: "process 812 (charon)", or "process 4711, which is gone"
// where its socket is closed and the port says whose it was by convention: the kernel and libnl give a process's first
// socket its id (net/netlink/af_netlink.c, netlink_autobind). nullopt: the kernel itself, or nobody knows: of requests
// about IPsec the kernel copies what the sender wrote (net/xfrm/xfrm_user.c, nlmsg_pid), which iproute2 leaves empty.
// Looks in the calling thread's network namespace; some milliseconds.
[[nodiscard]] std::optional<std::string> find_requester(Protocol protocol, std::uint32_t port);

}  // namespace warren::netlink
