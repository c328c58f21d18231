#include "xfrm/install_history.h"

#include <algorithm>

namespace warren::xfrm {
namespace {

base::MembershipId self_membership(Direction direction, const keymgr::SaIdentity& identity) {
    return direction == Direction::kOut ? identity.sender_membership : identity.receiver_membership;
}

bool awaits_acknowledgement(const Installed& installed) {
    return installed.direction == Direction::kIn && installed.placed && !installed.acknowledged;
}

}  // namespace

void InstallHistory::add(const Installed& installed) {
    PerNetwork& network = networks_[installed.identity.network];
    const Key key{installed.direction, installed.identity};
    network.current = installed.self_membership();
    if (!network.entries.emplace(key, installed).second) {
        return;
    }
    ++entry_count_;
    if (installed.placed) {
        at_[installed.location].push_back(key);
    }
}

void InstallHistory::forget(const Installed& installed) {
    const auto found = at_.find(installed.location);
    if (installed.placed && found != at_.end()) {
        std::erase(found->second, Key{installed.direction, installed.identity});
        if (found->second.empty()) {
            at_.erase(found);
        }
    }
    --entry_count_;
}

void InstallHistory::revoke(const Installed& installed) {
    const auto network = networks_.find(installed.identity.network);
    if (network == networks_.end()) {
        return;
    }
    const Key key{installed.direction, installed.identity};
    if (const auto entry = network->second.entries.find(key); entry != network->second.entries.end()) {
        forget(entry->second);
        network->second.entries.erase(entry);
    }
}

void InstallHistory::acknowledge(const base::NetworkId& network, base::MembershipId self) {
    const auto found = networks_.find(network);
    if (found == networks_.end()) {
        return;
    }
    for (auto& [key, installed] : found->second.entries) {
        if (awaits_acknowledgement(installed) && installed.self_membership() == self) {
            installed.acknowledged = true;
        }
    }
}

void InstallHistory::raise(const Floor& floor) {
    PerNetwork& network = networks_[floor.network];
    const bool lower = network.floor && network.floor->self == floor.self && network.floor->epoch > floor.epoch;
    if (!lower) {
        network.floor = floor;
    }
    network.current = floor.self;
    for (auto entry = network.entries.begin(); entry != network.entries.end();) {
        const auto& [direction, identity] = entry->first;
        if (self_membership(direction, identity) == floor.self && identity.epoch > network.floor->epoch) {
            ++entry;
            continue;
        }
        forget(entry->second);
        entry = network.entries.erase(entry);
    }
}

bool InstallHistory::spent(Direction direction, const keymgr::SaIdentity& identity) const {
    const auto network = networks_.find(identity.network);
    if (network == networks_.end()) {
        return false;
    }
    const auto& floor = network->second.floor;
    if (floor && floor->self == self_membership(direction, identity) && identity.epoch <= floor->epoch) {
        return true;
    }
    return network->second.entries.contains({direction, identity});
}

bool InstallHistory::unheard_of(const keymgr::SaIdentity& inbound) const {
    const auto network = networks_.find(inbound.network);
    if (network == networks_.end()) {
        return false;
    }
    const auto entry = network->second.entries.find({Direction::kIn, inbound});
    return entry != network->second.entries.end() && awaits_acknowledgement(entry->second);
}

bool InstallHistory::unacknowledged(const base::NetworkId& network, base::MembershipId self) const {
    const auto found = networks_.find(network);
    return found != networks_.end() && std::ranges::any_of(found->second.entries, [&](const auto& entry) {
               return awaits_acknowledgement(entry.second) && entry.second.self_membership() == self;
           });
}

std::optional<Installed> InstallHistory::at(const SaLocation& location) const {
    const auto found = at_.find(location);
    if (found == at_.end()) {
        return std::nullopt;
    }
    const Key& key = found->second.back();
    return networks_.at(key.second.network).entries.at(key);
}

std::map<base::MembershipId, base::Epoch> InstallHistory::sent(const base::NetworkId& network,
                                                               base::MembershipId self) const {
    std::map<base::MembershipId, base::Epoch> newest;
    const auto found = networks_.find(network);
    if (found == networks_.end()) {
        return newest;
    }
    for (const auto& [key, installed] : found->second.entries) {
        const auto& identity = installed.identity;
        if (installed.direction == Direction::kOut && identity.sender_membership == self) {
            auto& epoch = newest[identity.receiver_membership];
            epoch = std::max(epoch, identity.epoch);
        }
    }
    return newest;
}

std::optional<Floor> InstallHistory::prunable(const base::NetworkId& network, base::MembershipId self,
                                              base::Epoch oldest) const {
    const auto found = networks_.find(network);
    if (found == networks_.end() || oldest.value == 0) {
        return std::nullopt;
    }
    const bool any = std::any_of(found->second.entries.begin(), found->second.entries.end(), [&](const auto& entry) {
        const auto& [direction, identity] = entry.first;
        return self_membership(direction, identity) != self || identity.epoch < oldest;
    });
    if (!any) {
        return std::nullopt;
    }
    return Floor{.network = network, .self = self, .epoch = base::Epoch{oldest.value - 1}};
}

std::vector<Floor> InstallHistory::leaving(base::NetworkIndex index) const {
    std::vector<Floor> floors;
    for (const auto& [id, network] : networks_) {
        if (network.entries.empty()) {
            continue;
        }
        const auto parts = split_spi(network.entries.begin()->second.location.spi);
        if (!parts || parts->network != index) {
            continue;
        }
        base::Epoch highest;
        for (const auto& [key, installed] : network.entries) {
            highest = std::max(highest, key.second.epoch);
        }
        floors.push_back({.network = id, .self = network.current, .epoch = highest});
    }
    return floors;
}

std::vector<Floor> InstallHistory::floors() const {
    std::vector<Floor> floors;
    for (const auto& [id, network] : networks_) {
        if (network.floor) {
            floors.push_back(*network.floor);
        }
    }
    return floors;
}

std::vector<Installed> InstallHistory::entries() const {
    std::vector<Installed> past;
    std::vector<Installed> current;
    const auto keep = [&](const Installed& entry) {
        const bool is_current = networks_.at(entry.identity.network).current == entry.self_membership();
        (is_current ? current : past).push_back(entry);
    };
    for (const auto& [location, keys] : at_) {
        for (const Key& key : keys) {
            keep(networks_.at(key.second.network).entries.at(key));
        }
    }
    for (const auto& [id, network] : networks_) {
        for (const auto& [key, entry] : network.entries) {
            if (!entry.placed) {
                keep(entry);
            }
        }
    }
    past.insert(past.end(), current.begin(), current.end());
    return past;
}

std::size_t InstallHistory::size() const {
    const auto floors = std::count_if(networks_.begin(), networks_.end(),
                                      [](const auto& network) { return network.second.floor.has_value(); });
    return entry_count_ + static_cast<std::size_t>(floors);
}

}  // namespace warren::xfrm
