#include "overlay/neighbour_limits.h"

#include <algorithm>
#include <bit>

#include "base/text.h"
#include "overlay/sysctl.h"

namespace warren::overlay {

namespace {

constexpr std::uint32_t kPeersOfOne = 64;  // that most endpoints talk to at the same time, at most
constexpr std::uint32_t kMost = 1U << 20U;

}  // namespace

std::optional<std::uint32_t> neighbour_limit(const Crowd& endpoints, std::uint32_t now) {
    const auto wanted = std::min<std::uint64_t>((std::uint64_t{endpoints.local} * kPeersOfOne) + endpoints.all, kMost);
    if (wanted <= now) {
        return std::nullopt;
    }
    return std::bit_ceil(static_cast<std::uint32_t>(wanted));  // so that not every endpoint changes it
}

base::Result<std::string> raise_neighbour_limits(const Crowd& endpoints) {
    std::string changed;
    for (const auto* family : {"ipv4", "ipv6"}) {
        const auto name = [&](int level) { return fmt::format("{}/neigh/default/gc_thresh{}", family, level); };
        WARREN_TRY_ASSIGN(const auto text, read_sysctl(name(3)));
        const auto now = text ? base::parse_unsigned(*text, UINT32_MAX) : std::nullopt;
        const auto limit = now ? neighbour_limit(endpoints, static_cast<std::uint32_t>(*now)) : std::nullopt;
        if (!limit) {
            continue;
        }
        // The upper one first: between the two the kernel begins to throw entries out.
        WARREN_TRY(set_sysctl(name(3), std::to_string(*limit)));
        WARREN_TRY(set_sysctl(name(2), std::to_string(*limit / 2)));
        changed += fmt::format("{}net.{}.neigh.default.gc_thresh3 was {} and is {} now", changed.empty() ? "" : ", ",
                               family, *now, *limit);
    }
    return changed;
}

}  // namespace warren::overlay
