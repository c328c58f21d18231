#include "base/sockaddr.h"

#include <netinet/in.h>

#include <cstring>

namespace warren::base {

Sockaddr::Sockaddr(const SocketAddress& address) {
    const auto raw = address.ip.raw();
    if (address.ip.family == Family::kIpv4) {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        four.sin_port = htons(address.port);
        std::memcpy(&four.sin_addr, raw.data(), raw.size());
        std::memcpy(&storage_, &four, sizeof four);
        size_ = sizeof four;
    } else {
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        six.sin6_port = htons(address.port);
        std::memcpy(&six.sin6_addr, raw.data(), raw.size());
        std::memcpy(&storage_, &six, sizeof six);
        size_ = sizeof six;
    }
}

std::optional<SocketAddress> Sockaddr::address() const {
    SocketAddress found;
    if (storage_.ss_family == AF_INET) {
        sockaddr_in four{};
        std::memcpy(&four, &storage_, sizeof four);
        found.ip.family = Family::kIpv4;
        found.port = ntohs(four.sin_port);
        std::memcpy(found.ip.bytes.data(), &four.sin_addr, sizeof four.sin_addr);
        return found;
    }
    if (storage_.ss_family == AF_INET6) {
        sockaddr_in6 six{};
        std::memcpy(&six, &storage_, sizeof six);
        found.ip.family = Family::kIpv6;
        found.port = ntohs(six.sin6_port);
        std::memcpy(found.ip.bytes.data(), &six.sin6_addr, sizeof six.sin6_addr);
        return found;
    }
    return std::nullopt;
}

int socket_family(Family family) {
    return family == Family::kIpv4 ? AF_INET : AF_INET6;
}

}  // namespace warren::base
