#include "manager/numbers.h"

#include "overlay/ipam.h"

namespace warren::manager {

base::Result<std::uint32_t> next_number(const Cluster& cluster, key::Kind kind, base::Time now) {
    overlay::NumberUse use;
    for (const auto& [number, allocation] : cluster.allocations(kind)) {
        use.emplace(number, allocation.freed);
    }
    switch (kind) {
        case key::Kind::kNodeIndex:
            return overlay::allocate_number("node index", overlay::kNodeIndexes, use, now);
        case key::Kind::kNetworkIndex:
            return overlay::allocate_number("index for an encrypted network", overlay::kNetworkIndexes, use, now);
        case key::Kind::kVni:
            break;
    }
    return overlay::allocate_number("VNI", overlay::kVnis, use, now);
}

void take_number(store::Transaction& change, key::Kind kind, std::uint32_t number, const base::IdBytes& owner) {
    v1::AllocationRecord record;
    record.set_owner(std::string(owner.begin(), owner.end()));
    change.puts.push_back({.key = key::allocation(kind, number), .value = record.SerializeAsString()});
}

void free_number(store::Transaction& change, key::Kind kind, std::uint32_t number, base::Time now) {
    v1::AllocationRecord record;
    record.set_freed(unix_ms(now));
    change.puts.push_back({.key = key::allocation(kind, number), .value = record.SerializeAsString()});
}

void take_guard(const Cluster& cluster, store::Transaction& change) {
    change.compares.emplace_back(store::ModifiedAt{std::string(key::kGuard), cluster.guard()});
    change.puts.push_back({.key = std::string(key::kGuard), .value = ""});
}

}  // namespace warren::manager
