#include "dns/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace warren::dns {

namespace {

constexpr std::uint16_t kPort = 53;
constexpr int kBacklog = 16;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

SocketAddress make_address(const base::IpAddress& ip, std::uint16_t port) {
    SocketAddress address;
    const auto raw = ip.raw();
    if (ip.family == base::Family::kIpv4) {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_port = htons(port);
        std::memcpy(&four.sin_addr, raw.data(), raw.size());
        std::memcpy(&address.storage, &four, sizeof four);
        address.size = sizeof four;
    } else {
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(port);
        std::memcpy(&six.sin6_addr, raw.data(), raw.size());
        std::memcpy(&address.storage, &six, sizeof six);
        address.size = sizeof six;
    }
    return address;
}

base::IpAddress ip_of(const SocketAddress& address) {
    base::IpAddress ip;
    if (address.storage.ss_family == AF_INET6) {
        sockaddr_in6 six{};
        std::memcpy(&six, &address.storage, sizeof six);
        ip.family = base::Family::kIpv6;
        std::memcpy(ip.bytes.data(), &six.sin6_addr, sizeof six.sin6_addr);
    } else {
        sockaddr_in four{};
        std::memcpy(&four, &address.storage, sizeof four);
        ip.family = base::Family::kIpv4;
        std::memcpy(ip.bytes.data(), &four.sin_addr, sizeof four.sin_addr);
    }
    return ip;
}

std::uint16_t port_of(const SocketAddress& address) {
    in_port_t port = 0;  // in the same place for both families
    std::memcpy(&port, reinterpret_cast<const char*>(&address.storage) + offsetof(sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

base::Result<base::UniqueFd> open_port(const base::IpAddress& address, int type) {
    const auto fail = [&](std::string_view what) {
        return base::fail_errno(
            fmt::format("names: {} port {} of {}: {}", type == SOCK_DGRAM ? "UDP" : "TCP", kPort, address, what),
            errno);
    };
    const int family = address.family == base::Family::kIpv4 ? AF_INET : AF_INET6;
    base::UniqueFd fd(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail("socket");
    }
    const int on = 1;
    // TCP: connections of a former daemon may still be on their way out.
    if (type == SOCK_STREAM && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) {
        return fail("SO_REUSEADDR");
    }
    auto wanted = make_address(address, kPort);
    if (::bind(fd.get(), wanted.get(), wanted.size) != 0) {
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
    SocketAddress from;
    const auto size = ::recvfrom(udp.get(), into.data(), into.size(), MSG_DONTWAIT, from.get(), &from.size);
    if (size < 0) {
        return std::nullopt;
    }
    return Datagram{.source = ip_of(from), .port = port_of(from), .size = static_cast<std::size_t>(size)};
}

void send(const base::UniqueFd& udp, const base::IpAddress& to, std::uint16_t port,
          std::span<const std::uint8_t> bytes) {
    auto address = make_address(to, port);
    (void)::sendto(udp.get(), bytes.data(), bytes.size(), MSG_DONTWAIT, address.get(), address.size);
}

std::optional<Accepted> accept(const base::UniqueFd& tcp) {
    SocketAddress from;
    base::UniqueFd fd(::accept4(tcp.get(), from.get(), &from.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
        return std::nullopt;
    }
    return Accepted{.fd = std::move(fd), .source = ip_of(from)};
}

}  // namespace warren::dns
