#pragma once

#include <cstdint>
#include <span>

#include "base/result.h"

namespace warren::keymgr {

// HKDF with SHA-256 (RFC 5869). Fails only if the library does.
[[nodiscard]] base::Status hkdf_sha256(std::span<const std::uint8_t> secret, std::span<const std::uint8_t> salt,
                                       std::span<const std::uint8_t> info, std::span<std::uint8_t> out);

}  // namespace warren::keymgr
