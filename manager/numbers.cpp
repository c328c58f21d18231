#include "manager/numbers.h"

#include "overlay/ipam.h"

namespace warren::manager {

namespace {

overlay::NumberUse use_of(const Cluster& cluster, key::Kind kind) {
    overlay::NumberUse use;
    for (const auto& [number, allocation] : cluster.allocations(kind)) {
        use.emplace(number, allocation.freed);
    }
    return use;
}

base::Status check_vni(const overlay::NumberUse& use, std::uint32_t vni, base::Time now) {
    const auto found = use.find(vni);
    if (found == use.end()) {
        return {};
    }
    if (!found->second) {
        return base::fail(base::Code::kConflict, "--opt vni={}: another network has it; choose another one, or none",
                          vni);
    }
    const auto rest = overlay::kNumberRest - (now - *found->second);
    if (rest > base::Duration::zero()) {
        return base::fail(
            base::Code::kConflict,
            "--opt vni={}: was another network's until {} ago, and a node that was cut off since may use it "
            "still; it is free in {}",
            vni, base::format_age(now - *found->second), base::format_age(rest));
    }
    return {};
}

}  // namespace

base::Result<std::vector<std::uint32_t>> choose_vnis(const Cluster& cluster, const std::vector<std::uint32_t>& asked,
                                                     std::size_t count, base::Time now) {
    auto use = use_of(cluster, key::Kind::kVni);
    if (!asked.empty() && asked.size() != count) {
        return base::fail(base::Code::kInvalid,
                          "--opt vni: names {}, and the network needs {}: one for each of its IPv4 subnets",
                          asked.size(), count);
    }
    std::vector<std::uint32_t> vnis;
    for (std::size_t i = 0; i < count; ++i) {
        if (asked.empty()) {
            WARREN_TRY_ASSIGN(const auto next, overlay::allocate_number("VNI", overlay::kVnis, use, now));
            vnis.push_back(next);
        } else {
            WARREN_TRY(check_vni(use, asked[i], now));
            vnis.push_back(asked[i]);
        }
        use.insert_or_assign(vnis.back(), std::nullopt);
    }
    return vnis;
}

base::Result<std::uint32_t> next_number(const Cluster& cluster, key::Kind kind, base::Time now) {
    const auto use = use_of(cluster, kind);
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
