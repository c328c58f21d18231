#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"

// The text of our nftables table, and how to read what it counted. Pure.
namespace warren::overlay {

// An encrypted network's UDP port and the reqid of the only SAs whose packets may come in on it.
struct ProtectedPort {
    std::uint32_t reqid = 0;
    base::UdpPort port;

    auto operator<=>(const ProtectedPort&) const = default;
};
using ProtectedPorts = std::set<ProtectedPort>;

// What the barrier has dropped since the table was made.
struct DropCounters {
    std::uint64_t sent_clear = 0;      // on the way out without an IPsec route
    std::uint64_t received_clear = 0;  // on the way in, not decrypted by the port's own SAs
    std::uint64_t forwarded = 0;       // would have been forwarded, perhaps into our own ESP

    auto operator<=>(const DropCounters&) const = default;
};

// One transaction that makes or replaces the table `inet warren`; its counters go on from `counted`.
[[nodiscard]] std::string barrier_ruleset(const ProtectedPorts& ports, const DropCounters& counted);
// One transaction that changes only the two sets of a table that is there.
[[nodiscard]] std::string barrier_elements(const ProtectedPorts& ports);
// One transaction that removes the table, whether it is there or not.
[[nodiscard]] std::string barrier_removal();

// From the output of `list counters table inet warren`; nullopt when one is missing.
[[nodiscard]] std::optional<DropCounters> parse_drop_counters(std::string_view listing);

}  // namespace warren::overlay
