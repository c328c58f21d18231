#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "base/ip.h"

// AF_* of the kernel's address families.
namespace warren::netlink {

[[nodiscard]] constexpr std::uint8_t wire_family(base::Family family) {
    return family == base::Family::kIpv4 ? AF_INET : AF_INET6;
}

[[nodiscard]] constexpr std::optional<base::Family> family_of(std::uint8_t wire) {
    if (wire == AF_INET) {
        return base::Family::kIpv4;
    }
    if (wire == AF_INET6) {
        return base::Family::kIpv6;
    }
    return std::nullopt;
}

}  // namespace warren::netlink
