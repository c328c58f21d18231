#pragma once

#include <cstdint>
#include <span>

namespace warren::base {

// Fills `out` from getrandom(2), good for keys. Aborts the process when the kernel refuses: no caller can go on
// without.
void random_bytes(std::span<std::uint8_t> out);
[[nodiscard]] std::uint64_t random_u64();

}  // namespace warren::base
