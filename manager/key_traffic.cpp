#include "manager/key_traffic.h"

#include <algorithm>

namespace warren::manager {

void KeyTraffic::take(const Cluster& cluster, const base::NodeId& node, const v1::KeyCounters& message) {
    for (const auto& told : message.epochs()) {
        take_epoch(cluster, node, told);
    }
}

void KeyTraffic::take_epoch(const Cluster& cluster, const base::NodeId& node, const v1::EpochCounters& told) {
    const auto id = id_of<base::NetworkId>(told.network_id());
    const auto* network = cluster.network(id);
    const auto* member = network == nullptr ? nullptr : network->member(node);
    if (member == nullptr) {
        return;
    }
    const auto next = network->keys.record.next_epoch();
    if (told.epoch() == 0 || told.epoch() >= next || told.epoch() + kEpochsCounted < next) {
        return;
    }
    auto& epochs = networks_[id];
    auto& counters = epochs[base::Epoch{told.epoch()}][base::MembershipId{member->membership_id()}];
    // Counters only grow; one that did not has lost what a daemon that is no more knew.
    counters.packets = std::max(counters.packets, told.packets());
    counters.bytes = std::max(counters.bytes, told.bytes());
    counters.most_packets = std::max(counters.most_packets, told.most_packets());
    counters.most_bytes = std::max(counters.most_bytes, told.most_bytes());
    std::erase_if(epochs, [&](const auto& entry) { return entry.first.value + kEpochsCounted < next; });
}

KeyTraffic::Counters KeyTraffic::of(const base::NetworkId& network, base::Epoch epoch,
                                    base::MembershipId member) const {
    const auto epochs = networks_.find(network);
    if (epochs == networks_.end()) {
        return {};
    }
    const auto members = epochs->second.find(epoch);
    if (members == epochs->second.end()) {
        return {};
    }
    const auto found = members->second.find(member);
    return found == members->second.end() ? Counters{} : found->second;
}

std::optional<SentInEpoch> KeyTraffic::sum(const base::NetworkId& network, base::Epoch epoch) const {
    const auto epochs = networks_.find(network);
    if (epochs == networks_.end()) {
        return std::nullopt;
    }
    const auto members = epochs->second.find(epoch);
    if (members == epochs->second.end()) {
        return std::nullopt;
    }
    SentInEpoch sum;
    for (const auto& [member, counters] : members->second) {
        sum.packets += counters.packets;
        sum.bytes += counters.bytes;
    }
    return sum;
}

}  // namespace warren::manager
