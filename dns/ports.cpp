#include "dns/ports.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "base/sockaddr.h"

namespace warren::dns {

namespace {

constexpr std::uint16_t kPort = 53;
constexpr int kBacklog = 16;

base::Result<base::UniqueFd> open_port(const base::IpAddress& address, int type) {
    const auto fail = [&](std::string_view what) {
        return base::fail_errno(
            fmt::format("names: {} port {} of {}: {}", type == SOCK_DGRAM ? "UDP" : "TCP", kPort, address, what),
            errno);
    };
    base::UniqueFd fd(::socket(base::socket_family(address.family), type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail("socket");
    }
    const int on = 1;
    // TCP: connections of a former daemon may still be on their way out.
    if (type == SOCK_STREAM && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return fail("SO_REUSEADDR");
    }
    const base::Sockaddr wanted({.ip = address, .port = kPort});
    if (::bind(fd.get(), wanted.get(), wanted.size()) != 0) {
        return fail("bind");
    }
    if (type == SOCK_STREAM && ::listen(fd.get(), kBacklog) != 0) {
        return fail("listen");
    }
    return fd;
}

}  // namespace

base::Result<Ports> open_ports(const base::IpAddress& address) {
    Ports ports;
    WARREN_TRY_ASSIGN(ports.udp, open_port(address, SOCK_DGRAM));
    WARREN_TRY_ASSIGN(ports.tcp, open_port(address, SOCK_STREAM));
    return ports;
}

std::optional<Datagram> receive(const base::UniqueFd& udp, std::span<std::uint8_t> into) {
    base::Sockaddr from;
    const auto size = ::recvfrom(udp.get(), into.data(), into.size(), MSG_DONTWAIT, from.get(), from.size_pointer());
    const auto source = from.address();
    if (size < 0 || !source) {
        return std::nullopt;
    }
    return Datagram{.source = *source, .size = static_cast<std::size_t>(size)};
}

void send(const base::UniqueFd& udp, const base::SocketAddress& to, std::span<const std::uint8_t> bytes) {
    const base::Sockaddr address(to);
    (void)::sendto(udp.get(), bytes.data(), bytes.size(), MSG_DONTWAIT, address.get(), address.size());
}

std::optional<Accepted> accept(const base::UniqueFd& tcp) {
    base::Sockaddr from;
    base::UniqueFd fd(::accept4(tcp.get(), from.get(), from.size_pointer(), SOCK_CLOEXEC | SOCK_NONBLOCK));
    const auto source = from.address();
    if (!fd || !source) {
        return std::nullopt;
    }
    return Accepted{.fd = std::move(fd), .source = source->ip};
}

}  // namespace warren::dns
