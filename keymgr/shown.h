#pragma once

#include <cstdint>
#include <string>

#include "base/ids.h"

// How what belongs to keys is told to people, on a manager and on every node the same.
namespace warren::keymgr {

// "none", "udp:7443"; 0 is plain ESP.
[[nodiscard]] std::string encap_text(base::UdpPort port);

struct Sent {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
};
// How much of what asks for a rotation is used up, by what is nearer to its limit; may be above 100.
[[nodiscard]] double limit_used_percent(const Sent& sent, const Sent& limits);

}  // namespace warren::keymgr
