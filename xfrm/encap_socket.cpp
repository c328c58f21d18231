#include "xfrm/encap_socket.h"

#include <linux/udp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/sockaddr.h"

namespace warren::xfrm {

namespace {

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
    base::UniqueFd fd(
        ::socket(base::socket_family(where.address.family), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
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
    const base::Sockaddr address({.ip = where.address, .port = where.port.value});
    if (::bind(fd.get(), address.get(), address.size()) != 0) {
        return fail("bind");
    }
    return fd;
}

std::optional<EncapPort> encap_port_of(int fd) {
    int kind = 0;
    socklen_t kind_size = sizeof kind;
    base::Sockaddr bound;
    if (::getsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &kind, &kind_size) != 0 || kind != UDP_ENCAP_ESPINUDP ||
        ::getsockname(fd, bound.get(), bound.size_pointer()) != 0) {
        return std::nullopt;
    }
    const auto found = bound.address();
    return found ? std::optional(EncapPort{.address = found->ip, .port = base::UdpPort{found->port}}) : std::nullopt;
}

}  // namespace warren::xfrm
