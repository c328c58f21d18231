#pragma once

#include <sys/socket.h>

#include <optional>

#include "base/ip.h"

// Between our addresses and those of socket calls.
namespace warren::base {

// An IPv4 or IPv6 address and port as the kernel takes and gives it.
class Sockaddr {
  public:
    Sockaddr() : size_(sizeof storage_) {}  // with room for what a call writes
    explicit Sockaddr(const SocketAddress& address);

    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage_); }
    [[nodiscard]] socklen_t size() const { return size_; }
    [[nodiscard]] socklen_t* size_pointer() { return &size_; }

    // nullopt: of another family.
    [[nodiscard]] std::optional<SocketAddress> address() const;

  private:
    sockaddr_storage storage_{};
    socklen_t size_ = 0;
};

// AF_INET or AF_INET6.
[[nodiscard]] int socket_family(Family family);

}  // namespace warren::base
