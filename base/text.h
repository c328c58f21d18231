#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::base {

[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);

// RFC 4648 base32, lower case, without padding. Decoding takes both cases.
[[nodiscard]] std::string to_base32(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<std::vector<std::uint8_t>> from_base32(std::string_view text);

// The letters A to Z in lower case, all else as it is.
[[nodiscard]] std::string to_lower(std::string_view text);

// A whole text as an unsigned decimal number not above `max`.
[[nodiscard]] std::optional<std::uint64_t> parse_unsigned(std::string_view text, std::uint64_t max = UINT64_MAX);

// The rule for the names of networks, nodes, clusters and endpoints: 1 to 63 of a-z A-Z 0-9 _ . -, beginning with a
// letter or digit (Docker's rule, within a DNS label's length). `what` names the field in the error.
[[nodiscard]] Status check_name(std::string_view what, std::string_view name);

[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace warren::base
