#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"

// Raw fields of messages and records to values, or an error that names the field by `what`. Pure.
namespace warren::agent {

[[nodiscard]] base::Result<base::IpAddress> decode_ip(std::string_view what, const std::string& raw);
[[nodiscard]] base::Result<base::Prefix> decode_prefix(std::string_view what, const std::string& raw,
                                                       std::uint32_t length);

}  // namespace warren::agent
