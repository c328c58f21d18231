#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>

#include "base/unique_fd.h"

// Connections from any address of this host: all of 127.0.0.0/8 is.
namespace warren::manager {

inline sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(host);
    return address;
}

inline base::UniqueFd bound_socket(std::uint32_t host) {
    base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = loopback(host, 0);
    const int done = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return done == 0 ? std::move(fd) : base::UniqueFd();
}

// Connected to the port, from this address of the host.
inline base::UniqueFd connected_socket(std::uint16_t port, std::uint32_t from) {
    auto fd = bound_socket(from);
    const auto address = loopback(INADDR_LOOPBACK, port);
    const int done = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return done == 0 ? std::move(fd) : base::UniqueFd();
}

// Whether the other end hangs up within that time.
inline bool is_hung_up(const base::UniqueFd& fd, std::chrono::milliseconds patience) {
    pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1 && ::recv(fd.get(), &byte, 1, 0) <= 0;
}

inline std::uint16_t free_port() {
    const auto fd = bound_socket(INADDR_LOOPBACK);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    return ntohs(address.sin_port);
}

}  // namespace warren::manager
