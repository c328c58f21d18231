#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ip.h"
#include "overlay/publication.h"

namespace warren::overlay {

// Who holds a port in the calling thread's network namespace, in words: "process 812 (dockerd)", "the kernel itself, by
// a tunnel such as VXLAN"; nullopt: nobody. With an address: who is in the way of a socket there, bound to it or to
// all. For errors.
[[nodiscard]] std::optional<std::string> port_owner(Transport transport, std::uint16_t port,
                                                    const std::optional<base::IpAddress>& address = {});

}  // namespace warren::overlay
