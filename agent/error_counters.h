#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace warren::agent {

// An error counter of the kernel's IPsec (/proc/net/xfrm_stat, linux/snmp.h) that is not zero. They are of the whole
// network namespace and since boot; other users of IPsec count there too.
struct XfrmError {
    std::string name;
    std::uint64_t value = 0;
    std::string_view meaning;

    bool operator==(const XfrmError&) const = default;
};
[[nodiscard]] std::vector<XfrmError> parse_xfrm_errors(std::string_view text);
// Of the calling thread's namespace; empty when the kernel does not count (CONFIG_XFRM_STATISTICS).
[[nodiscard]] std::vector<XfrmError> read_xfrm_errors();

}  // namespace warren::agent
