#pragma once

#include <cstdint>

// How much may be sent under one key of any of our ciphers before a rotation is asked for. docs/keys.md ("How much one
// key may carry") has the reasons.
namespace warren::keymgr {

inline constexpr std::uint64_t kMostPackets = std::uint64_t{1} << 32U;
inline constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40U;

}  // namespace warren::keymgr
