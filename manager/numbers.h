#pragma once

#include "base/result.h"
#include "base/time.h"
#include "manager/cluster.h"
#include "store/store.h"

// Numbers that the cluster gives out: node and network indexes (14 bits, from 1) and VNIs (from 0x570000). One that was
// freed rests for a day, since peers may still hold SPIs, ports and tunnels made of it.
namespace warren::manager {

// The VNIs of a new network's parts: those that are asked for, or the next ones. kConflict: one is in use or rests.
[[nodiscard]] base::Result<std::vector<std::uint32_t>> choose_vnis(const Cluster& cluster,
                                                                   const std::vector<std::uint32_t>& asked,
                                                                   std::size_t count, base::Time now);
[[nodiscard]] base::Result<std::uint32_t> next_number(const Cluster& cluster, key::Kind kind, base::Time now);
// Puts the allocation into a transaction that also takes the guard.
void take_number(store::Transaction& change, key::Kind kind, std::uint32_t number, const base::IdBytes& owner);
void free_number(store::Transaction& change, key::Kind kind, std::uint32_t number, base::Time now);

// Makes the transaction the only one of its kind from this state: see key::kGuard.
void take_guard(const Cluster& cluster, store::Transaction& change);

}  // namespace warren::manager
