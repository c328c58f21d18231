#include "keymgr/shown.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::keymgr {

namespace {

double percent(std::uint64_t used, std::uint64_t limit) {
    return limit == 0 ? 0.0 : 100.0 * static_cast<double>(used) / static_cast<double>(limit);
}

}  // namespace

std::string encap_text(base::UdpPort port) {
    return port == base::UdpPort{} ? "none" : fmt::format("udp:{}", port);
}

double limit_used_percent(const Sent& sent, const Sent& limits) {
    return std::max(percent(sent.packets, limits.packets), percent(sent.bytes, limits.bytes));
}

}  // namespace warren::keymgr
