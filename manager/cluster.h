#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "manager/endpoint_table.h"
#include "manager/events.h"
#include "manager/records.h"
#include "proto/state.pb.h"
#include "store/store.h"

namespace warren::manager {

// A record and the store's revision of its last change, which a transaction compares.
template <typename Record>
struct Stored {
    Record record;
    store::StoreRevision revision;
};

// Takes a node off a list of members or former members.
template <typename Records>
void erase_of_node(Records& records, const base::NodeId& node) {
    records.erase(std::remove_if(records.begin(), records.end(),
                                 [&](const auto& record) { return id_of<base::NodeId>(record.node_id()) == node; }),
                  records.end());
}

// Finds the members of a record, which may be many, without going through them.
struct MemberIndex {
    std::map<base::NodeId, int> by_node;  // place in the record
    std::map<base::MembershipId, int> by_membership;
    base::Revision newest;  // `since` of the one that joined last

    [[nodiscard]] static MemberIndex of(const v1::MembershipRecord& members);
};

struct NetworkState {
    Stored<v1::NetworkRecord> network;
    Stored<v1::MembershipRecord> members;
    MemberIndex index;                // of `members`
    Stored<v1::KeyStateRecord> keys;  // revision 0 on plain networks
    v1::KeyHistoryRecord history;     // changes in the keys' transactions
    EndpointTable endpoints;

    [[nodiscard]] const v1::NetworkRecord& record() const { return network.record; }
    [[nodiscard]] base::Revision revision() const { return base::Revision{members.record.revision()}; }
    // Null: not a member.
    [[nodiscard]] const v1::MemberRecord* member(const base::NodeId& node) const;
    [[nodiscard]] const v1::MemberRecord* member(base::MembershipId id) const;
    [[nodiscard]] std::size_t endpoints_on(const base::NodeId& node) const { return endpoints.on_node(raw(node)); }
};

struct Allocation {
    base::IdBytes owner{};
    std::optional<base::Time> freed;
};

// What the store holds, decoded: a cache that is fed by the store's watch alone. One thread.
class Cluster {
  public:
    // Takes one changed or deleted record. An undecodable one is an error: the store is damaged or newer than we are.
    [[nodiscard]] base::Status put(std::string_view key, const std::string& value, store::StoreRevision revision);
    void erase(std::string_view key);

    [[nodiscard]] const Stored<v1::ClusterRecord>& cluster() const { return cluster_; }
    [[nodiscard]] base::ClusterId id() const { return id_of<base::ClusterId>(cluster_.record.id()); }
    [[nodiscard]] const v1::ClusterSettings& settings() const { return cluster_.record.settings(); }
    [[nodiscard]] store::StoreRevision guard() const { return guard_; }
    [[nodiscard]] const std::map<base::NodeId, Stored<v1::NodeRecord>>& nodes() const { return nodes_; }
    // Grows with every change of a node's record.
    [[nodiscard]] std::uint64_t node_changes() const { return node_changes_; }
    // Nodes that were removed or left, all of them.
    [[nodiscard]] const std::map<base::NodeId, Stored<v1::RemovedNodeRecord>>& removed() const { return removed_; }
    [[nodiscard]] const std::map<base::NodeId, Stored<v1::OperatorRecord>>& operators() const { return operators_; }
    [[nodiscard]] const std::map<base::NetworkId, NetworkState>& networks() const { return networks_; }
    [[nodiscard]] const std::map<std::uint32_t, Allocation>& allocations(key::Kind kind) const;

    [[nodiscard]] const Stored<v1::NodeRecord>* node(const base::NodeId& id) const;
    [[nodiscard]] const Stored<v1::RemovedNodeRecord>* removed(const base::NodeId& id) const;
    [[nodiscard]] const NetworkState* network(const base::NetworkId& id) const;
    [[nodiscard]] const EventLog& events() const { return events_; }
    // The name of a node for people, also of one that was removed; its id when it never was there.
    [[nodiscard]] std::string node_name(const base::NodeId& id) const;

    // By name, id or unique prefix of an id; the error says which it is: none, or several.
    [[nodiscard]] base::Result<base::NodeId> find_node(std::string_view reference) const;
    // Among the removed ones; of several with this name the one that was removed last.
    [[nodiscard]] base::Result<base::NodeId> find_removed(std::string_view reference) const;
    [[nodiscard]] base::Result<base::NetworkId> find_network(std::string_view reference) const;

  private:
    Stored<v1::ClusterRecord> cluster_;
    store::StoreRevision guard_;
    std::map<base::NodeId, Stored<v1::NodeRecord>> nodes_;
    std::uint64_t node_changes_ = 0;
    std::map<base::NodeId, Stored<v1::RemovedNodeRecord>> removed_;
    std::map<base::NodeId, Stored<v1::OperatorRecord>> operators_;
    std::map<base::NetworkId, NetworkState> networks_;
    std::map<std::uint32_t, Allocation> node_indexes_;
    std::map<std::uint32_t, Allocation> network_indexes_;
    std::map<std::uint32_t, Allocation> vnis_;
    EventLog events_;

    [[nodiscard]] std::map<std::uint32_t, Allocation>* allocations_of(std::string_view& key);
};

}  // namespace warren::manager
