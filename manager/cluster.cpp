#include "manager/cluster.h"

#include <algorithm>
#include <charconv>

#include "base/reference.h"
#include "base/text.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

template <typename Record>
base::Status decode(std::string_view key, const std::string& value, Record& record) {
    if (!record.ParseFromString(value)) {
        return fail(Code::kInternal, "store: {}: the record is damaged or of a newer version", key);
    }
    return {};
}

// Takes `prefix` off `key`; false when it does not begin so.
bool take_prefix(std::string_view& key, std::string_view prefix) {
    if (!key.starts_with(prefix)) {
        return false;
    }
    key.remove_prefix(prefix.size());
    return true;
}

// The number that a key ends with.
std::optional<std::uint64_t> number_in_key(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    return error == std::errc{} ? std::optional(number) : std::nullopt;
}

template <typename IdType>
IdType id_in_key(std::string_view text) {
    return base::parse_id<IdType>("key", text).value_or(IdType{});
}

}  // namespace

MemberIndex MemberIndex::of(const v1::MembershipRecord& members) {
    MemberIndex index;
    for (int place = 0; place < members.members_size(); ++place) {
        const auto& member = members.members(place);
        index.by_node.emplace(id_of<base::NodeId>(member.node_id()), place);
        index.by_membership.emplace(member.membership_id(), place);
        index.newest = std::max(index.newest, base::Revision{member.since()});
    }
    return index;
}

const v1::MemberRecord* NetworkState::member(const base::NodeId& node) const {
    const auto found = index.by_node.find(node);
    return found == index.by_node.end() ? nullptr : &members.record.members(found->second);
}

const v1::MemberRecord* NetworkState::member(base::MembershipId id) const {
    const auto found = index.by_membership.find(id);
    return found == index.by_membership.end() ? nullptr : &members.record.members(found->second);
}

std::map<std::uint32_t, Allocation>* Cluster::allocations_of(std::string_view& key) {
    if (take_prefix(key, "node/")) {
        return &node_indexes_;
    }
    if (take_prefix(key, "network/")) {
        return &network_indexes_;
    }
    return take_prefix(key, "vni/") ? &vnis_ : nullptr;
}

base::Status Cluster::put(std::string_view key, const std::string& value, store::StoreRevision revision) {
    std::string_view rest = key;
    if (key == key::kCluster) {
        cluster_.revision = revision;
        return decode(key, value, cluster_.record);
    }
    if (key == key::kGuard) {
        guard_ = revision;
        return {};
    }
    if (take_prefix(rest, key::kNodes)) {
        ++node_changes_;
        auto& node = nodes_[id_in_key<base::NodeId>(rest)];
        node.revision = revision;
        return decode(key, value, node.record);
    }
    if (take_prefix(rest, key::kRemoved)) {
        auto& removed = removed_[id_in_key<base::NodeId>(rest)];
        removed.revision = revision;
        return decode(key, value, removed.record);
    }
    if (take_prefix(rest, key::kOperators)) {
        auto& stored = operators_[id_in_key<base::NodeId>(rest)];
        stored.revision = revision;
        return decode(key, value, stored.record);
    }
    if (take_prefix(rest, key::kNetworks)) {
        auto& network = networks_[id_in_key<base::NetworkId>(rest)].network;
        network.revision = revision;
        return decode(key, value, network.record);
    }
    if (take_prefix(rest, key::kMembers)) {
        auto& network = networks_[id_in_key<base::NetworkId>(rest)];
        network.members.revision = revision;
        WARREN_TRY(decode(key, value, network.members.record));
        network.index = MemberIndex::of(network.members.record);
        return {};
    }
    if (take_prefix(rest, key::kKeys)) {
        auto& keys = networks_[id_in_key<base::NetworkId>(rest)].keys;
        keys.revision = revision;
        return decode(key, value, keys.record);
    }
    if (take_prefix(rest, key::kHistory)) {
        return decode(key, value, networks_[id_in_key<base::NetworkId>(rest)].history);
    }
    if (take_prefix(rest, key::kEndpoints)) {
        auto& network = networks_[id_in_key<base::NetworkId>(rest.substr(0, rest.find('/')))];
        v1::StoredEndpoint endpoint;
        WARREN_TRY(decode(key, value, endpoint));
        network.endpoints.put(id_in_key<base::EndpointId>(rest.substr(rest.find('/') + 1)), std::move(endpoint));
        return {};
    }
    if (take_prefix(rest, key::kAllocations)) {
        v1::AllocationRecord record;
        WARREN_TRY(decode(key, value, record));
        auto* numbers = allocations_of(rest);
        const auto number = number_in_key(rest);
        if (numbers != nullptr && number) {
            auto& allocation = (*numbers)[static_cast<std::uint32_t>(*number)];
            allocation.owner = id_of<base::NetworkId>(record.owner()).bytes;
            allocation.freed = record.freed() == 0 ? std::nullopt : std::optional(time_of(record.freed()));
            return {};
        }
    }
    if (take_prefix(rest, key::kEvents)) {
        v1::EventRecord record;
        WARREN_TRY(decode(key, value, record));
        if (const auto sequence = number_in_key(rest)) {
            events_.put(*sequence, std::move(record));
            return {};
        }
    }
    return fail(Code::kInternal, "store: unknown record {}; written by a newer version", key);
}

void Cluster::erase(std::string_view key) {
    std::string_view rest = key;
    if (take_prefix(rest, key::kNodes)) {
        ++node_changes_;
        nodes_.erase(id_in_key<base::NodeId>(rest));
    } else if (take_prefix(rest, key::kNetworks)) {
        // All that belongs to it goes in the same transaction.
        networks_.erase(id_in_key<base::NetworkId>(rest));
    } else if (take_prefix(rest, key::kEndpoints)) {
        const auto network = networks_.find(id_in_key<base::NetworkId>(rest.substr(0, rest.find('/'))));
        if (network != networks_.end()) {
            network->second.endpoints.erase(id_in_key<base::EndpointId>(rest.substr(rest.find('/') + 1)));
        }
    } else if (take_prefix(rest, key::kAllocations)) {
        auto* numbers = allocations_of(rest);
        const auto number = number_in_key(rest);
        if (numbers != nullptr && number) {
            numbers->erase(static_cast<std::uint32_t>(*number));
        }
    } else if (take_prefix(rest, key::kEvents)) {
        events_.erase(number_in_key(rest).value_or(0));
    }
}

const std::map<std::uint32_t, Allocation>& Cluster::allocations(key::Kind kind) const {
    switch (kind) {
        case key::Kind::kNodeIndex:
            return node_indexes_;
        case key::Kind::kNetworkIndex:
            return network_indexes_;
        case key::Kind::kVni:
            return vnis_;
    }
    return vnis_;
}

const Stored<v1::NodeRecord>* Cluster::node(const base::NodeId& id) const {
    const auto found = nodes_.find(id);
    return found == nodes_.end() ? nullptr : &found->second;
}

const Stored<v1::RemovedNodeRecord>* Cluster::removed(const base::NodeId& id) const {
    const auto found = removed_.find(id);
    return found == removed_.end() ? nullptr : &found->second;
}

const NetworkState* Cluster::network(const base::NetworkId& id) const {
    const auto found = networks_.find(id);
    return found == networks_.end() ? nullptr : &found->second;
}

std::string Cluster::node_name(const base::NodeId& id) const {
    const auto* found = node(id);
    if (found != nullptr) {
        return found->record.name();
    }
    const auto* gone = removed(id);
    return gone == nullptr ? id.text() : gone->record.name();
}

base::Result<base::NodeId> Cluster::find_node(std::string_view reference) const {
    return base::find_reference("node", reference, nodes_, [](const auto& node) { return node.record.name(); });
}

base::Result<base::NodeId> Cluster::find_removed(std::string_view reference) const {
    std::optional<base::NodeId> latest;
    for (const auto& [id, node] : removed_) {
        if (node.record.name() == reference &&
            (!latest || node.record.removed() > removed_.at(*latest).record.removed())) {
            latest = id;
        }
    }
    return latest
               ? base::Result<base::NodeId>(*latest)
               : base::find_reference("node", reference, removed_, [](const auto& node) { return node.record.name(); });
}

base::Result<base::NetworkId> Cluster::find_network(std::string_view reference) const {
    return base::find_reference("network", reference, networks_,
                                [](const auto& network) { return network.record().name(); });
}

}  // namespace warren::manager
