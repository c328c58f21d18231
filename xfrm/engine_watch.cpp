#include <algorithm>
#include <utility>

#include "xfrm/engine.h"

// How the engine learns what is there: dumps, events, counters.
namespace warren::xfrm {
namespace {

// Equal in all that somebody must have changed, and not in what moves by itself.
bool same_sa(const Sa& a, const Sa& b) {
    Sa still = a;
    still.counters = b.counters;
    return still == b;
}

// What differs between two tables of one network, in words; nothing if they are equal.
std::optional<std::string> difference(const SaTable& before, const SaTable& now) {
    std::size_t gone = 0;
    std::size_t changed = 0;
    std::size_t kept = 0;
    for (const auto& [location, sa] : before) {
        const auto found = now.find(location);
        gone += found == now.end() ? 1U : 0U;
        kept += found != now.end() ? 1U : 0U;
        changed += found != now.end() && !same_sa(sa, found->second) ? 1U : 0U;
    }
    const std::size_t appeared = now.size() - kept;
    if (gone + changed + appeared == 0) {
        return std::nullopt;
    }
    return fmt::format("{} SAs gone, {} changed, {} appeared", gone, changed, appeared);
}

std::vector<Policy> policies_of(const std::vector<Policy>& all, base::NetworkIndex network) {
    std::vector<Policy> ours;
    std::copy_if(all.begin(), all.end(), std::back_inserter(ours),
                 [&](const Policy& policy) { return owner(policy) == network; });
    std::sort(ours.begin(), ours.end(), [](const Policy& a, const Policy& b) { return a.index < b.index; });
    return ours;
}

std::set<base::NetworkIndex> owners_of(const std::vector<Policy>& policies) {
    std::set<base::NetworkIndex> owners;
    for (const Policy& policy : policies) {
        if (const auto network = owner(policy)) {
            owners.insert(*network);
        }
    }
    return owners;
}

void merge(Findings& into, Findings&& from) {
    into.states.merge(from.states);
    into.policies.merge(from.policies);
    into.limits.merge(from.limits);
    into.closed.insert(into.closed.end(), from.closed.begin(), from.closed.end());
    std::move(from.notes.begin(), from.notes.end(), std::back_inserter(into.notes));
    into.by = into.by == 0 ? from.by : into.by;
}

// The kernel forgets routes that it has looked up when a policy is put in, but not when one is deleted
// (net/xfrm/xfrm_policy.c: rt_genid_bump_ipv4() is in xfrm_policy_insert() alone). A VXLAN device that found its way
// while somebody's policy let it pass without IPsec goes on with that route, and the second barrier drops all of it,
// until a policy comes. So one of ours of each family is put in again, as it is.
void renew_routes(KernelPort& kernel, const std::vector<Policy>& policies) {
    std::vector<Operation> operations;
    std::set<base::Family> families;
    for (const Policy& policy : policies) {
        if (owner(policy) && policy.direction == Direction::kOut && families.insert(policy.selector.family).second) {
            operations.emplace_back(UpdatePolicy{policy});
        }
    }
    static_cast<void>(kernel.apply(operations));  // what fails now is tried with the next event
}

}  // namespace

std::set<base::NetworkIndex> Engine::present() const {
    std::set<base::NetworkIndex> networks = owners_of(policies_);
    for (const auto& [network, table] : states_) {
        if (!table.empty()) {
            networks.insert(network);
        }
    }
    return networks;
}

base::Status Engine::refresh() {
    if (!stale_) {
        return {};
    }
    Findings found;
    WARREN_TRY(reload(found));
    merge(pending_, std::move(found));
    return {};
}

base::Status Engine::reload(Findings& findings) {
    stale_ = true;  // until both dumps are in
    WARREN_TRY_ASSIGN(const auto dumped, kernel_->dump_sas());
    std::map<base::NetworkIndex, SaTable> now;
    for (const Sa& sa : dumped) {
        if (const auto network = owner(sa)) {
            now[*network].emplace(sa.location, sa);
        }
    }
    for (auto& [network, table] : states_) {
        now.try_emplace(network);
    }
    for (const auto& [network, table] : now) {
        if (const auto what = difference(states_[network], table)) {
            findings.states.insert(network);
            findings.notes.push_back(fmt::format("network index {}: {}", network, *what));
        }
    }
    std::erase_if(now, [](const auto& entry) { return entry.second.empty(); });
    states_ = std::move(now);
    check_limits(findings);
    WARREN_TRY(reload_policies(findings));
    stale_ = false;
    return {};
}

base::Status Engine::reload_policies(Findings& findings) {
    WARREN_TRY_ASSIGN(auto dumped, kernel_->dump_policies());
    std::set<base::NetworkIndex> networks = owners_of(policies_);
    networks.merge(owners_of(dumped));
    for (const base::NetworkIndex network : networks) {
        if (policies_of(policies_, network) != policies_of(dumped, network)) {
            findings.policies.insert(network);
            findings.notes.push_back(fmt::format("network index {}: its policies are not as they were", network));
        }
    }
    policies_ = std::move(dumped);
    return {};
}

void Engine::check_limits(Findings& findings) const {
    for (const auto& [network, table] : states_) {
        const auto known = limits_.find(network);
        for (const auto& [location, sa] : table) {
            // The network's limits, not the SA's, which may have been made with others; until they are known those
            // have to do.
            const SoftLimits& limits = known == limits_.end() ? sa.soft : known->second;
            if (sa.counters.packets >= limits.packets || sa.counters.bytes >= limits.bytes) {
                findings.limits.insert(limit_reached(network, location));
            }
        }
    }
}

LimitReached Engine::limit_reached(base::NetworkIndex network, const SaLocation& location) const {
    const auto installed = record_.history().at(location);
    return {.network = network, .location = location, .epoch = installed ? installed->identity.epoch : base::Epoch{}};
}

void Engine::note_closed(const SaGone& gone, Findings& findings) const {
    const auto network = network_of(gone.reqid);
    const auto installed = record_.history().at(gone.location);
    if (network && installed && installed->direction == Direction::kOut) {
        findings.closed.push_back({.network = *network,
                                   .epoch = installed->identity.epoch,
                                   .packets = gone.counters.packets,
                                   .bytes = gone.counters.bytes});
    }
}

std::vector<SentUnder> Engine::sent() const {
    std::vector<SentUnder> list;
    for (const auto& [network, table] : states_) {
        for (const auto& [location, sa] : table) {
            const auto installed = record_.history().at(location);
            if (installed && installed->direction == Direction::kOut) {
                list.push_back({.network = network,
                                .epoch = installed->identity.epoch,
                                .packets = sa.counters.packets,
                                .bytes = sa.counters.bytes});
            }
        }
    }
    return list;
}

base::Result<Findings> Engine::resync() {
    Findings findings = std::exchange(pending_, {});
    if (auto reloaded = reload(findings); !reloaded) {
        merge(pending_, std::move(findings));
        return base::fail_with(std::move(reloaded));
    }
    return findings;
}

int Engine::event_fd() const {
    return kernel_->event_fd();
}

const Sa* Engine::find(const SaLocation& location, Reqid reqid) const {
    const auto network = network_of(reqid);
    const auto table = network ? states_.find(*network) : states_.end();
    if (table == states_.end()) {
        return nullptr;
    }
    const auto found = table->second.find(location);
    return found == table->second.end() ? nullptr : &found->second;
}

// Events only say that the mirror is wrong; what is right is read from the kernel, since an event may be older than our
// own last change.
void Engine::note_change(const Told& told, ToRead& read, Findings& findings) const {
    bool states = false;
    bool policies = false;
    if (const auto* changed = std::get_if<SaChanged>(&told.event)) {
        const Sa* known = find(changed->sa.location, changed->sa.reqid);
        states = owner(changed->sa) && (known == nullptr || !same_sa(*known, changed->sa));
    } else if (const auto* gone = std::get_if<SaGone>(&told.event)) {
        states = find(gone->location, gone->reqid) != nullptr;
        note_closed(*gone, findings);
    } else if (const auto* expired = std::get_if<SaExpired>(&told.event)) {
        const Sa* known = find(expired->location, expired->reqid);
        if (known != nullptr && !expired->hard) {
            findings.limits.insert(limit_reached(*network_of(expired->reqid), expired->location));
        }
        states = known != nullptr && expired->hard;
    } else if (std::holds_alternative<SasFlushed>(told.event)) {
        states = !states_.empty();
    } else {
        policies = true;
    }
    read.states = read.states || states;
    read.policies = read.policies || policies;
    if (states || policies) {
        read.by.insert(told.by);
    }
}

base::Result<Findings> Engine::handle_events() {
    Findings findings = std::exchange(pending_, {});
    auto batch = kernel_->read_events();
    if (!batch) {
        merge(pending_, std::move(findings));
        stale_ = true;
        return base::fail_with(std::move(batch));
    }
    ToRead to_read{.states = batch->lost || stale_};
    for (const Told& told : batch->events) {
        note_change(told, to_read, findings);
    }
    for (const SaGone& own : batch->deleted) {
        note_closed(own, findings);
    }
    base::Status read;
    if (to_read.states) {
        read = reload(findings);
    } else if (to_read.policies) {
        read = reload_policies(findings);
        stale_ = stale_ || !read;
    }
    if (to_read.policies && read) {
        renew_routes(*kernel_, policies_);
    }
    if (!batch->lost && to_read.by.size() == 1) {
        findings.by = *to_read.by.begin();
    }
    if (!read) {
        merge(pending_, std::move(findings));
        return base::fail_with(std::move(read));
    }
    return findings;
}

base::Result<std::vector<SaStatus>> Engine::status(std::optional<base::NetworkIndex> network) {
    WARREN_TRY_ASSIGN(auto dumped, kernel_->dump_sas());
    std::vector<SaStatus> list;
    for (Sa& sa : dumped) {
        const auto of = owner(sa);
        if (!of || (network && *network != *of)) {
            continue;
        }
        SaStatus entry{.network = *of};
        if (const auto installed = record_.history().at(sa.location)) {
            entry.direction = installed->direction;
            entry.identity = installed->identity;
        }
        entry.sa = std::move(sa);
        list.push_back(std::move(entry));
    }
    return list;
}

}  // namespace warren::xfrm
