#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

// The kernel has one table of neighbours for each family, and one limit for it, for all namespaces of a host: with many
// containers, each with a few peers in its own cache, it is full, and packets are dropped that nobody counts as
// anybody's ("neighbour: arp_cache: neighbor table overflow!"). Permanent entries, as those of remote endpoints, do not
// count (kernel net/core/neighbour.c, neigh_alloc).
namespace warren::overlay {

struct Crowd {
    std::size_t local = 0;  // endpoints on the host
    std::size_t all = 0;    // of the networks that these are in, on all nodes
};

// The limit (gc_thresh3) that so many endpoints call for; nullopt: the one there is will do. A few peers for each local
// one at a time, and room for one in each network that talks to all others, as what gathers metrics does.
[[nodiscard]] std::optional<std::uint32_t> neighbour_limit(const Crowd& endpoints, std::uint32_t now);

// Raises the limits of both families if it has to; never lowers one. What was changed, in words; empty: nothing.
// Nothing either where the calling thread's namespace does not show them, as all but the host's first one.
[[nodiscard]] base::Result<std::string> raise_neighbour_limits(const Crowd& endpoints);

}  // namespace warren::overlay
