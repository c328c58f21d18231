#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

// Sysctls of networking, by their names below net: "ipv4/ip_forward". They are those of the calling thread's namespace.
namespace warren::overlay {

inline constexpr std::array kForwarding{"ipv4/ip_forward", "ipv6/conf/all/forwarding"};

// nullopt: the kernel has none of that name, as without IPv6.
[[nodiscard]] base::Result<std::optional<std::string>> read_sysctl(std::string_view name);
// Whether it had another value before. kNotFound: there is none of that name.
[[nodiscard]] base::Result<bool> set_sysctl(std::string_view name, std::string_view value);

}  // namespace warren::overlay
