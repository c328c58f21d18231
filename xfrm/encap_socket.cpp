#include "xfrm/encap_socket.h"

#include <arpa/inet.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace warren::xfrm {

namespace {

socklen_t make_address(const EncapPort& where, sockaddr_storage& address) {
    const auto raw = where.address.raw();
    if (where.address.family == base::Family::kIpv4) {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_port = htons(where.port.value);
        std::memcpy(&four.sin_addr, raw.data(), raw.size());
        std::memcpy(&address, &four, sizeof four);
        return sizeof four;
    }
    sockaddr_in6 six{};
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(where.port.value);
    std::memcpy(&six.sin6_addr, raw.data(), raw.size());
    std::memcpy(&address, &six, sizeof six);
    return sizeof six;
}

bool set(int fd, int level, int option, int value) {
    return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

}  // namespace

base::Result<base::UniqueFd> open_encap_socket(const EncapPort& where) {
    const auto fail = [&](std::string_view what) {
        return base::fail_errno(fmt::format("socket for ESP in UDP on {} port {}: {}", where.address, where.port, what),
                                errno);
    };
    const bool four = where.address.family == base::Family::kIpv4;
    base::UniqueFd fd(::socket(four ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail("socket");
    }
    if (!four && !set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)) {
        return fail("IPV6_V6ONLY");
    }
    if (!set(fd.get(), SOL_SOCKET, SO_RCVBUF, 0)) {
        return fail("SO_RCVBUF");
    }
    // Before it is bound: no packet finds it that does not go to XFRM.
    if (!set(fd.get(), IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)) {
        return fail("UDP_ENCAP");
    }
    sockaddr_storage address{};
    const socklen_t size = make_address(where, address);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0) {
        return fail("bind");
    }
    return fd;
}

std::optional<EncapPort> encap_port_of(int fd) {
    int kind = 0;
    socklen_t kind_size = sizeof kind;
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &kind, &kind_size) != 0 || kind != UDP_ENCAP_ESPINUDP ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return std::nullopt;
    }
    EncapPort found;
    if (address.ss_family == AF_INET) {
        sockaddr_in four{};
        std::memcpy(&four, &address, sizeof four);
        found.port = base::UdpPort{ntohs(four.sin_port)};
        found.address.family = base::Family::kIpv4;
        std::memcpy(found.address.bytes.data(), &four.sin_addr, sizeof four.sin_addr);
        return found;
    }
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 six{};
        std::memcpy(&six, &address, sizeof six);
        found.port = base::UdpPort{ntohs(six.sin6_port)};
        found.address.family = base::Family::kIpv6;
        std::memcpy(found.address.bytes.data(), &six.sin6_addr, sizeof six.sin6_addr);
        return found;
    }
    return std::nullopt;
}

}  // namespace warren::xfrm
