#include <algorithm>
#include <vector>

#include "base/text.h"
#include "manager/addressing.h"
#include "manager/changes.h"
#include "manager/key_history.h"
#include "manager/key_record.h"
#include "manager/network_mtu.h"
#include "manager/numbers.h"
#include "overlay/mtu.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr std::size_t kEndpointsShown = 3;

base::Status check_request(const Cluster& cluster, const v1::NetworkCreateRequest& request) {
    WARREN_TRY(base::check_name("network name", request.name()));
    for (const auto& [id, network] : cluster.networks()) {
        if (network.record().name() == request.name()) {
            return fail(Code::kConflict, "network name '{}': taken by network {}; choose another one", request.name(),
                        id);
        }
    }
    if (!request.driver().empty() && request.driver() != "overlay") {
        return fail(Code::kInvalid, "--driver '{}': must be overlay", request.driver());
    }
    return {};
}

// Without --opt mtu= the most that the underlay of every node carries. Nodes that have not said hello yet do not count.
base::Status set_mtu(const Cluster& cluster, v1::NetworkRecord& record, const NetworkOptions& options) {
    WARREN_TRY(check_asked_mtu(record, options));
    const auto carry = nodes_carry(cluster, protection(options), smallest_mtu(record));
    if (!carry.least) {
        return carry.unfit
                   ? fail(Code::kPrecondition, "{}: too little for an overlay network", carry.unfit->text())
                   : fail(Code::kPrecondition, "no node has told its underlay's MTU yet; try again in a moment");
    }
    if (options.mtu && *options.mtu > *carry.least) {
        return fail(Code::kInvalid, "--opt mtu={}: the underlay of node '{}' carries at most {}", *options.mtu,
                    carry.narrowest->name, *carry.least);
    }
    record.set_mtu(options.mtu.value_or(*carry.least).value);
    record.set_chosen_mtu(record.mtu());
    record.set_mtu_fixed(options.mtu.has_value());
    return {};
}

base::Status set_labels(v1::NetworkRecord& record, const v1::NetworkCreateRequest& request) {
    for (const auto& label : request.labels()) {
        const auto equals = label.find('=');
        const auto name = label.substr(0, equals);
        if (name.empty()) {
            return fail(Code::kInvalid, "--label '{}': must be KEY or KEY=VALUE", label);
        }
        const auto value = equals == std::string::npos ? "" : label.substr(equals + 1);
        if (!record.mutable_labels()->insert({name, value}).second) {
            return fail(Code::kInvalid, "--label '{}': the key is given twice; give each KEY once", label);
        }
    }
    return {};
}

base::Status set_port(const Cluster& cluster, v1::NetworkRecord& record) {
    if (!record.encrypted()) {
        record.set_udp_port(cluster.settings().plain_port());
        return {};
    }
    const std::uint32_t port = cluster.settings().port_base() + record.network_index();
    if (port > UINT16_MAX) {
        return fail(Code::kExhausted, "network index {} has no UDP port: port base {} is too high",
                    record.network_index(), cluster.settings().port_base());
    }
    record.set_udp_port(port);
    return {};
}

std::string subnets_text(const v1::NetworkRecord& record) {
    std::string text;
    for (const auto& subnet : record.subnets()) {
        text += fmt::format("{}{}", text.empty() ? "" : ", ", subnet_of(subnet));
    }
    return text;
}

base::Result<v1::NetworkRecord> make_record(const Cluster& cluster, const NewNetwork& network, base::Time now) {
    WARREN_TRY(check_request(cluster, network.request));
    WARREN_TRY(check_encap(cluster.settings(), network.options));
    v1::NetworkRecord record;
    WARREN_TRY_ASSIGN(const auto parts, choose_parts(cluster, network.request));
    WARREN_TRY(check_multicast(network.options, parts.size()));
    WARREN_TRY_ASSIGN(const auto vnis, choose_vnis(cluster, network.options.vnis, parts.size(), now));
    record.set_id(raw(network.id));
    record.set_name(network.request.name());
    set_subnets(record, parts, vnis);
    WARREN_TRY(set_mtu(cluster, record, network.options));
    record.set_encrypted(network.options.encrypted);
    if (network.options.encrypted) {
        WARREN_TRY_ASSIGN(const auto index, next_number(cluster, key::Kind::kNetworkIndex, now));
        record.set_network_index(index);
    }
    set_options(record, network.options);
    WARREN_TRY(set_port(cluster, record));
    WARREN_TRY(set_labels(record, network.request));
    record.set_internal(network.request.internal());
    record.set_created(unix_ms(now));
    return record;
}

}  // namespace

base::Result<store::Transaction> create_network(const Cluster& cluster, const NewNetwork& network, base::Time now) {
    WARREN_TRY_ASSIGN(const auto record, make_record(cluster, network, now));
    v1::MembershipRecord members;
    members.set_revision(1);
    store::Transaction change;
    take_guard(cluster, change);
    for (const auto vni : vnis_of(record)) {
        take_number(change, key::Kind::kVni, vni, network.id.bytes);
    }
    if (record.encrypted()) {
        take_number(change, key::Kind::kNetworkIndex, record.network_index(), network.id.bytes);
        change.puts.push_back({.key = key::keys(network.id), .value = network.keys.SerializeAsString()});
        v1::KeyHistoryRecord history;
        note_step(history, read_keys(network.keys), {}, now);
        change.puts.push_back({.key = key::history(network.id), .value = history.SerializeAsString()});
    }
    change.puts.push_back({.key = key::network(network.id), .value = record.SerializeAsString()});
    change.puts.push_back({.key = key::members(network.id), .value = members.SerializeAsString()});
    tell(cluster, change,
         {.kind = EventKind::kNetworkCreated,
          .network = network.id,
          .network_name = record.name(),
          .text = fmt::format("created: {}, {}", subnets_text(record), record.encrypted() ? "encrypted" : "plain"),
          .by = network.by},
         now);
    return change;
}

base::Result<store::Transaction> remove_network(const Cluster& cluster, const base::NetworkId& id,
                                                const std::string& by, base::Time now) {
    const auto* network = cluster.network(id);
    if (network == nullptr) {
        return fail(Code::kNotFound, "network {}: not found", id);
    }
    if (!network->endpoints.empty()) {
        std::string shown;
        std::size_t count = 0;
        for (const auto& [endpoint_id, endpoint] : network->endpoints) {
            if (count++ < kEndpointsShown) {
                shown += fmt::format("{}{} on {}", shown.empty() ? "" : ", ", endpoint.name(),
                                     cluster.node_name(id_of<base::NodeId>(endpoint.node_id())));
            }
        }
        return fail(Code::kConflict, "network '{}' is in use by {} endpoint{} ({}{}): disconnect {} first",
                    network->record().name(), count, count == 1 ? "" : "s", shown,
                    count > kEndpointsShown ? ", ..." : "", count == 1 ? "it" : "them");
    }
    store::Transaction change;
    take_guard(cluster, change);
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network->members.revision});
    for (const auto vni : vnis_of(network->record())) {
        free_number(change, key::Kind::kVni, vni, now);
    }
    if (network->record().encrypted()) {
        free_number(change, key::Kind::kNetworkIndex, network->record().network_index(), now);
        change.deletes.push_back(key::keys(id));
        change.deletes.push_back(key::history(id));
    }
    change.deletes.push_back(key::members(id));
    change.deletes.push_back(key::network(id));
    tell(cluster, change, {.kind = EventKind::kNetworkRemoved, .network = id, .text = "removed", .by = by}, now);
    return change;
}

store::Transaction next_revision(const NetworkState& network) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    v1::MembershipRecord members = network.members.record;
    members.set_revision(members.revision() + 1);
    store::Transaction change;
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
    change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    return change;
}

base::Result<store::Transaction> save_keys(const NetworkState& network, const v1::KeyStateRecord& keys) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    auto change = next_revision(network);
    change.puts.push_back({.key = key::keys(id), .value = keys.SerializeAsString()});
    return change;
}

}  // namespace warren::manager
