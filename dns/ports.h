#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/ip.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace warren::dns {

// Where questions come in: UDP and TCP port 53 of an address, non-blocking, in the namespace of the calling thread.
struct Ports {
    base::UniqueFd udp;
    base::UniqueFd tcp;  // listens
};
[[nodiscard]] base::Result<Ports> open_ports(const base::IpAddress& address);

struct Datagram {
    base::SocketAddress source;
    std::size_t size = 0;  // in `into`, cut off at its end
};
// nullopt: none is waiting.
[[nodiscard]] std::optional<Datagram> receive(const base::UniqueFd& udp, std::span<std::uint8_t> into);
// Lost where the way is full, as any datagram may be.
void send(const base::UniqueFd& udp, const base::SocketAddress& to, std::span<const std::uint8_t> bytes);

struct Accepted {
    base::UniqueFd fd;
    base::IpAddress source;
};
// nullopt: nobody is waiting.
[[nodiscard]] std::optional<Accepted> accept(const base::UniqueFd& tcp);

}  // namespace warren::dns
