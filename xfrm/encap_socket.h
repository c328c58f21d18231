#pragma once

#include <optional>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/unique_fd.h"

// ESP in UDP (RFC 3948). What goes out needs no socket; what comes in is handed to XFRM only where a socket is bound to
// its port and says so (kernel net/ipv4/udp.c, UDP_ENCAP; net/ipv4/xfrm4_input.c, xfrm4_udp_encap_rcv), whoever has it
// open. Without one the host answers with an ICMP error, and nothing is decrypted.
namespace warren::xfrm {

struct EncapPort {
    base::IpAddress address;
    base::UdpPort port;

    auto operator<=>(const EncapPort&) const = default;
};

// Bound in the namespace of the caller. What comes that is not ESP waits in it, unread, until its smallest of buffers
// is full. The error has the kernel's errno: EADDRINUSE when another socket has the port.
[[nodiscard]] base::Result<base::UniqueFd> open_encap_socket(const EncapPort& where);

// What such a socket is bound to; nullopt: it is none.
[[nodiscard]] std::optional<EncapPort> encap_port_of(int fd);

}  // namespace warren::xfrm
