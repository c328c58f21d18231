#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "manager/changes.h"
#include "manager/numbers.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

// A record that an interrupted join left: the host was let in, but died before it had its certificate on disk, and asks
// again now. A node that ever had a session has a boot id.
bool left_by_a_failed_join(const v1::NodeRecord& record, const NewNode& node) {
    return record.boot_id().empty() && record.name() == node.name && record.role() == node.role &&
           record.data_address() == raw(node.data_address);
}

base::Status check_new_node(const Cluster& cluster, const NewNode& node) {
    WARREN_TRY(base::check_name("--node-name", node.name));
    for (const auto& [id, other] : cluster.nodes()) {
        if (left_by_a_failed_join(other.record, node)) {
            continue;
        }
        if (other.record.name() == node.name) {
            return fail(Code::kConflict, "--node-name '{}': taken by node {}; choose another one", node.name, id);
        }
        if (other.record.data_address() == raw(node.data_address)) {
            return fail(Code::kConflict, "--data-addr {}: taken by node {} ({}); choose another one", node.data_address,
                        other.record.name(), id);
        }
    }
    return {};
}

}  // namespace

base::Result<store::Transaction> admit_node(const Cluster& cluster, const NewNode& node, base::Time now) {
    WARREN_TRY(check_new_node(cluster, node));
    WARREN_TRY_ASSIGN(const auto index, next_number(cluster, key::Kind::kNodeIndex, now));
    v1::NodeRecord record;
    record.set_id(raw(node.id));
    record.set_name(node.name);
    record.set_role(node.role);
    record.set_index(index);
    record.set_data_address(raw(node.data_address));
    record.set_advertise_address(raw(node.advertise_address));
    record.set_port(node.port);
    record.set_joined(unix_ms(now));
    record.set_certificate_expires(unix_ms(node.certificate.not_after));
    record.set_certificate_serial(node.certificate.serial);
    record.set_certificate_issuer(node.certificate.issuer_key);
    store::Transaction change;
    take_guard(cluster, change);
    for (const auto& [id, other] : cluster.nodes()) {
        if (left_by_a_failed_join(other.record, node)) {
            change.compares.emplace_back(store::ModifiedAt{key::node(id), other.revision});
            change.deletes.push_back(key::node(id));
            free_number(change, key::Kind::kNodeIndex, other.record.index(), now);
        }
    }
    take_number(change, key::Kind::kNodeIndex, index, node.id.bytes);
    change.puts.push_back({.key = key::node(node.id), .value = record.SerializeAsString()});
    tell(cluster, change,
         {.kind = EventKind::kNodeJoined,
          .node = node.id,
          .node_name = node.name,
          .text = fmt::format("joined as {}, data address {}", node.role, node.data_address)},
         now);
    return change;
}

base::Result<store::Transaction> change_node(const Cluster& cluster, const base::NodeId& id,
                                             const std::function<void(v1::NodeRecord&)>& edit) {
    const auto* node = cluster.node(id);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", id);
    }
    v1::NodeRecord record = node->record;
    edit(record);
    store::Transaction change;
    if (record.SerializeAsString() != node->record.SerializeAsString()) {
        change.compares.emplace_back(store::ModifiedAt{key::node(id), node->revision});
        change.puts.push_back({.key = key::node(id), .value = record.SerializeAsString()});
    }
    return change;
}

base::Result<store::Transaction> update_node(const Cluster& cluster, const base::NodeId& id, const v1::Hello& hello) {
    const auto* node = cluster.node(id);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", id);
    }
    if (!ip_of(hello.data_address()) || id_of<base::BootId>(hello.boot_id()).is_zero()) {
        return fail(Code::kInvalid, "hello of node {}: malformed address or boot id", node->record.name());
    }
    for (const auto& [other_id, other] : cluster.nodes()) {
        if (other_id != id && other.record.data_address() == hello.data_address()) {
            return fail(Code::kConflict, "data address {} of node {} is that of node {} too",
                        *ip_of(hello.data_address()), node->record.name(), other.record.name());
        }
    }
    return change_node(cluster, id, [&](v1::NodeRecord& record) {
        record.set_boot_id(hello.boot_id());
        record.set_data_address(hello.data_address());
        *record.mutable_ciphers() = hello.ciphers();
        record.set_esp_problem(hello.esp_problem());
        record.set_version(hello.version());
        record.set_fast_aes(hello.fast_aes());
        *record.mutable_host_networks() = hello.host_networks();
    });
}

base::Result<store::Transaction> renew_membership(const Cluster& cluster, const base::NetworkId& network_id,
                                                  const base::NodeId& node_id, base::Time now) {
    const auto* network = cluster.network(network_id);
    const auto* node = cluster.node(node_id);
    const auto* member = network == nullptr ? nullptr : network->member(node_id);
    store::Transaction change;
    if (member == nullptr || node == nullptr ||
        (member->boot_id() == node->record.boot_id() && member->vtep() == node->record.data_address())) {
        return change;
    }
    v1::MembershipRecord members = network->members.record;
    members.set_revision(members.revision() + 1);
    for (auto& renewed : *members.mutable_members()) {
        if (id_of<base::NodeId>(renewed.node_id()) == node_id) {
            renewed.set_membership_id(base::random_u64());
            renewed.set_since(members.revision());
            renewed.set_boot_id(node->record.boot_id());
            renewed.set_vtep(node->record.data_address());
        }
    }
    change.compares.emplace_back(store::ModifiedAt{key::members(network_id), network->members.revision});
    change.puts.push_back({.key = key::members(network_id), .value = members.SerializeAsString()});
    const bool booted = member->boot_id() != node->record.boot_id();
    tell(cluster, change,
         {.kind = EventKind::kMemberJoined,
          .network = network_id,
          .node = node_id,
          .text = fmt::format("is a member anew: its {}", booted ? "host was booted" : "data address changed")},
         now);
    return change;
}

}  // namespace warren::manager
