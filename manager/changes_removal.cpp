#include <algorithm>

#include "certs/identity.h"
#include "manager/changes.h"
#include "manager/events.h"
#include "manager/key_record.h"
#include "manager/numbers.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr std::size_t kEndpointsShown = 3;
// Of one network in one change; a transaction holds 128.
constexpr std::size_t kEndpointsAtOnce = 100;

bool is_manager(const v1::NodeRecord& node) {
    return node.role() == certs::name(certs::Role::kManager);
}

base::Status check_managers(const Cluster& cluster, const v1::NodeRecord& node, const NodeRemoval& removal) {
    const auto managers = std::count_if(cluster.nodes().begin(), cluster.nodes().end(),
                                        [](const auto& entry) { return is_manager(entry.second.record); });
    if (is_manager(node) && managers == 1) {
        return fail(Code::kPrecondition,
                    "node '{}' is the cluster's only manager: without it nothing can be changed and no key rotates; to "
                    "end the cluster, run warren cluster leave --force on every node, on this one last",
                    node.name());
    }
    if (removal.node == removal.asked_of && !removal.by_itself) {
        return fail(Code::kPrecondition, "node '{}' is this one: run warren cluster leave on it", node.name());
    }
    return {};
}

base::Status check_endpoints(const Cluster& cluster, const v1::NodeRecord& node, const NodeRemoval& removal) {
    std::string shown;
    std::size_t count = 0;
    for (const auto& [id, network] : cluster.networks()) {
        for (const auto& [endpoint_id, endpoint] : network.endpoints) {
            if (id_of<base::NodeId>(endpoint.node_id()) == removal.node && count++ < kEndpointsShown) {
                shown += fmt::format("{}{} in {}", shown.empty() ? "" : ", ", endpoint.name(), network.record().name());
            }
        }
    }
    if (count != 0 && !removal.force) {
        return fail(Code::kPrecondition, "node '{}' has {} endpoint{} ({}{}): disconnect {} there, or use --force",
                    node.name(), count, count == 1 ? "" : "s", shown, count > kEndpointsShown ? ", ..." : "",
                    count == 1 ? "it" : "them");
    }
    return {};
}

// The first epoch of the network that the node can't know; none: it never was a member.
std::optional<base::Epoch> first_unknown(const NetworkState& network, const base::NodeId& node) {
    if (network.member(node) != nullptr) {
        return base::Epoch{network.keys.record.next_epoch()};
    }
    for (const auto& former : network.members.record.former()) {
        if (id_of<base::NodeId>(former.node_id()) == node) {
            return base::Epoch{former.target()};
        }
    }
    return std::nullopt;
}

bool concerns(const NetworkState& network, const base::NodeId& node) {
    return first_unknown(network, node).has_value() || network.endpoints_on(node) != 0;
}

// Takes up to so many of the node's endpoints out of the network. False: some are left.
bool take_endpoints(const NetworkState& network, const base::NodeId& node, v1::MembershipRecord& members,
                    base::Time now, store::Transaction& change) {
    std::size_t taken = 0;
    const auto id = id_of<base::NetworkId>(network.record().id());
    for (const auto& [endpoint_id, endpoint] : network.endpoints) {
        if (id_of<base::NodeId>(endpoint.node_id()) == node) {
            if (taken++ == kEndpointsAtOnce) {
                return false;
            }
            change.deletes.push_back(key::endpoint(id, endpoint_id));
            rest_addresses(members, endpoint, now);
        }
    }
    return true;
}

// Asks for keys that the node does not know, unless those that it knows are on their way out already. The epoch that is
// the first of these.
base::Epoch revoke_keys(const NetworkState& network, base::Epoch known_until, const keymgr::Settings& settings,
                        base::Time now, store::Transaction& change) {
    const auto keys = read_keys(network.keys.record);
    if (keys.purged_through.value + 1 >= known_until.value) {
        return known_until;
    }
    const auto asked = keymgr::request(keys, keymgr::Reason::kNodeRemoved, settings, now);
    const auto id = id_of<base::NetworkId>(network.record().id());
    change.compares.emplace_back(store::ModifiedAt{key::keys(id), network.keys.revision});
    change.puts.push_back(
        {.key = key::keys(id), .value = write_keys(asked.state, network.keys.record).SerializeAsString()});
    return asked.target;
}

}  // namespace

base::Result<store::Transaction> remove_node(const Cluster& cluster, const NodeRemoval& removal, base::Time now) {
    const auto* node = cluster.node(removal.node);
    if (node == nullptr) {
        return fail(Code::kNotFound, "node {}: not found; see: warren node ls", removal.node);
    }
    WARREN_TRY(check_managers(cluster, node->record, removal));
    WARREN_TRY(check_endpoints(cluster, node->record, removal));
    v1::RemovedNodeRecord removed;
    removed.set_id(raw(removal.node));
    removed.set_name(node->record.name());
    removed.set_removed(unix_ms(now));
    for (const auto& [id, network] : cluster.networks()) {
        if (concerns(network, removal.node)) {
            removed.add_to_clear(raw(id));
        }
    }
    store::Transaction change;
    // With the guard no other node can become or cease to be a manager meanwhile; an endpoint that is connected
    // meanwhile writes the node's record.
    take_guard(cluster, change);
    free_number(change, key::Kind::kNodeIndex, node->record.index(), now);
    change.compares.emplace_back(store::ModifiedAt{key::node(removal.node), node->revision});
    change.deletes.push_back(key::node(removal.node));
    change.puts.push_back({.key = key::removed(removal.node), .value = removed.SerializeAsString()});
    tell(cluster, change,
         {.kind = removal.by_itself ? EventKind::kNodeLeft : EventKind::kNodeRemoved,
          .node = removal.node,
          .text = removal.by_itself ? "left the cluster" : "was removed from the cluster",
          .by = removal.by},
         now);
    return change;
}

store::Transaction clear_removed_node(const Cluster& cluster, const base::NodeId& node, const SettingsOf& settings,
                                      base::Time now) {
    store::Transaction change;
    const auto* stored = cluster.removed(node);
    if (stored == nullptr || stored->record.to_clear().empty()) {
        return change;
    }
    auto removed = stored->record;
    const auto id = id_of<base::NetworkId>(removed.to_clear(removed.to_clear_size() - 1));
    const auto* network = cluster.network(id);
    bool cleared = true;
    if (network != nullptr && concerns(*network, node)) {
        auto members = network->members.record;
        members.set_revision(members.revision() + 1);
        cleared = take_endpoints(*network, node, members, now, change);
        if (const auto known_until = first_unknown(*network, node); known_until && network->record().encrypted()) {
            auto& knew = *removed.add_knew();
            knew.set_network_id(raw(id));
            knew.set_target(revoke_keys(*network, *known_until, settings(*network), now, change).value);
        }
        if (network->member(node) != nullptr) {
            tell(cluster, change,
                 {.kind = EventKind::kMemberLeft,
                  .network = id,
                  .node = node,
                  .node_name = removed.name(),
                  .text = "is no member any more: it is out of the cluster"},
                 now);
        }
        erase_of_node(*members.mutable_members(), node);
        erase_of_node(*members.mutable_former(), node);
        change.compares.emplace_back(store::ModifiedAt{key::members(id), network->members.revision});
        change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    }
    if (cleared) {
        removed.mutable_to_clear()->RemoveLast();
    }
    change.compares.emplace_back(store::ModifiedAt{key::removed(node), stored->revision});
    change.puts.push_back({.key = key::removed(node), .value = removed.SerializeAsString()});
    return change;
}

}  // namespace warren::manager
