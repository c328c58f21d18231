#include <algorithm>
#include <iterator>
#include <vector>

#include "base/text.h"
#include "manager/changes.h"
#include "manager/key_history.h"
#include "manager/key_record.h"
#include "manager/numbers.h"
#include "overlay/ipam.h"
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
    if (request.subnets_size() > 1) {
        return fail(Code::kInvalid, "--subnet: given {} times; a network has one subnet", request.subnets_size());
    }
    if (request.gateways_size() > request.subnets_size()) {
        return fail(Code::kInvalid, "--gateway: needs the --subnet that it belongs to");
    }
    if (request.ip_ranges_size() > 1) {
        return fail(Code::kInvalid, "--ip-range: given {} times; a network has one subnet", request.ip_ranges_size());
    }
    if (request.subnets().empty() && request.ip_ranges_size() + request.aux_addresses_size() > 0) {
        return fail(Code::kInvalid, "{}: needs the --subnet that it belongs to",
                    request.ip_ranges().empty() ? "--aux-address" : "--ip-range");
    }
    return {};
}

std::vector<overlay::UsedSubnet> subnets_in_use(const Cluster& cluster) {
    std::vector<overlay::UsedSubnet> used;
    for (const auto& [id, network] : cluster.networks()) {
        used.push_back(
            {.prefix = subnet_of(network.record()), .user = fmt::format("network {}", network.record().name())});
    }
    return used;
}

// What the nodes' hosts have themselves. A container could not reach it past a network of the same addresses.
std::vector<overlay::UsedSubnet> host_networks(const Cluster& cluster) {
    std::vector<overlay::UsedSubnet> used;
    for (const auto& [id, node] : cluster.nodes()) {
        for (const auto& text : node.record.host_networks()) {
            const auto blank = text.find(' ');
            const auto prefix = base::parse_prefix("host network", text.substr(0, blank));
            if (prefix && blank != std::string::npos) {
                used.push_back({.prefix = {.address = prefix->network(), .length = prefix->length},
                                .user = fmt::format("{} of node {}", text.substr(blank + 1), node.record.name())});
            }
        }
    }
    return used;
}

// A route for much more than the subnet (10.0.0.0/8 into a company's network, say) is no conflict: whoever chooses a
// subnet of that knows that it is free, and without such a choice the other ones come first.
constexpr std::uint8_t kWideRoute = 16;  // wider ones than this are
void add_narrow(std::vector<overlay::UsedSubnet>& used, const std::vector<overlay::UsedSubnet>& more,
                std::uint8_t length) {
    std::ranges::copy_if(more, std::back_inserter(used),
                         [&](const auto& it) { return it.prefix.length >= std::min(length, kWideRoute); });
}

base::Result<base::Prefix> choose_subnet(const Cluster& cluster, const v1::NetworkCreateRequest& request) {
    auto used = subnets_in_use(cluster);
    const auto hosts = host_networks(cluster);
    if (!request.subnets().empty()) {
        WARREN_TRY_ASSIGN(const auto subnet, base::parse_prefix("--subnet", request.subnets(0)));
        add_narrow(used, hosts, subnet.length);
        WARREN_TRY(overlay::check_subnet("--subnet", subnet, used));
        return subnet;
    }
    WARREN_TRY_ASSIGN(const auto pool, base::parse_prefix("subnet pool", cluster.settings().subnet_pool()));
    const auto size = static_cast<std::uint8_t>(cluster.settings().subnet_size());
    auto avoided = used;
    avoided.insert(avoided.end(), hosts.begin(), hosts.end());
    if (auto free = overlay::allocate_subnet(pool, size, avoided)) {
        return free;
    }
    add_narrow(used, hosts, size);
    return overlay::allocate_subnet(pool, size, used);
}

base::Result<overlay::AddressPool> choose_addressing(const Cluster& cluster, const v1::NetworkCreateRequest& request) {
    overlay::AddressPool chosen;
    WARREN_TRY_ASSIGN(chosen.subnet, choose_subnet(cluster, request));
    if (request.gateways().empty()) {
        chosen.gateway = overlay::default_gateway(chosen.subnet);
    } else {
        WARREN_TRY_ASSIGN(chosen.gateway, base::parse_ip("--gateway", request.gateways(0)));
        WARREN_TRY(overlay::check_gateway("--gateway", chosen.subnet, chosen.gateway));
    }
    if (!request.ip_ranges().empty()) {
        WARREN_TRY_ASSIGN(chosen.range, base::parse_prefix("--ip-range", request.ip_ranges(0)));
        WARREN_TRY(overlay::check_address_range("--ip-range", chosen.subnet, *chosen.range));
    }
    for (const auto& text : request.aux_addresses()) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(Code::kInvalid, "--aux-address '{}': must be NAME=IP", text);
        }
        WARREN_TRY_ASSIGN(const auto ip, base::parse_ip("--aux-address", text.substr(equals + 1)));
        WARREN_TRY(overlay::check_reserved("--aux-address", chosen, ip));
        if (!chosen.reserved.emplace(ip, text.substr(0, equals)).second) {
            return fail(Code::kInvalid, "--aux-address {}: given twice", ip);
        }
    }
    return chosen;
}

base::Status set_addressing(v1::NetworkRecord& record, const overlay::AddressPool& chosen) {
    record.set_subnet(raw(chosen.subnet.address));
    record.set_subnet_length(chosen.subnet.length);
    record.set_gateway(raw(chosen.gateway));
    if (chosen.range) {
        record.set_range(raw(chosen.range->address));
        record.set_range_length(chosen.range->length);
    }
    for (const auto& [ip, name] : chosen.reserved) {
        if (!record.mutable_reserved()->insert({name, raw(ip)}).second) {
            return fail(Code::kInvalid, "--aux-address {}={}: the name is given twice", name, ip);
        }
    }
    return {};
}

struct Carried {
    base::Mtu mtu;
    std::string narrowest;  // the node that carries no more
};
// The most that the underlay of every node carries. Nodes that have not said hello yet do not count.
base::Result<Carried> most_carried(const Cluster& cluster, overlay::Protection protection) {
    Carried most{.mtu = base::Mtu{UINT16_MAX}, .narrowest = {}};
    for (const auto& [id, node] : cluster.nodes()) {
        const auto vtep = ip_of(node.record.data_address());
        if (node.record.underlay_mtu() == 0 || !vtep) {
            continue;
        }
        const auto carried = overlay::inner_mtu(base::Mtu{node.record.underlay_mtu()}, vtep->family, protection);
        if (!carried) {
            return fail(Code::kPrecondition, "the underlay of node '{}' (MTU {}) is too small for an overlay network",
                        node.record.name(), node.record.underlay_mtu());
        }
        if (*carried < most.mtu) {
            most = {.mtu = *carried, .narrowest = node.record.name()};
        }
    }
    if (most.narrowest.empty()) {
        return fail(Code::kPrecondition, "no node has told its underlay's MTU yet; try again in a moment");
    }
    return most;
}

base::Result<base::Mtu> choose_mtu(const Cluster& cluster, const NetworkOptions& options) {
    WARREN_TRY_ASSIGN(const auto most, most_carried(cluster, protection(options)));
    if (options.mtu && *options.mtu > most.mtu) {
        return fail(Code::kInvalid, "--opt mtu={}: the underlay of node '{}' carries at most {}", *options.mtu,
                    most.narrowest, most.mtu);
    }
    return options.mtu.value_or(most.mtu);
}

base::Status set_labels(v1::NetworkRecord& record, const v1::NetworkCreateRequest& request) {
    for (const auto& label : request.labels()) {
        const auto equals = label.find('=');
        const auto name = label.substr(0, equals);
        if (name.empty()) {
            return fail(Code::kInvalid, "--label '{}': must be KEY or KEY=VALUE", label);
        }
        (*record.mutable_labels())[name] = equals == std::string::npos ? "" : label.substr(equals + 1);
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

base::Result<v1::NetworkRecord> make_record(const Cluster& cluster, const NewNetwork& network, base::Time now) {
    WARREN_TRY(check_request(cluster, network.request));
    WARREN_TRY(check_encap(cluster.settings(), network.options));
    v1::NetworkRecord record;
    WARREN_TRY_ASSIGN(const auto addressing, choose_addressing(cluster, network.request));
    WARREN_TRY_ASSIGN(const auto mtu, choose_mtu(cluster, network.options));
    WARREN_TRY_ASSIGN(const auto vni, next_number(cluster, key::Kind::kVni, now));
    record.set_id(raw(network.id));
    record.set_name(network.request.name());
    WARREN_TRY(set_addressing(record, addressing));
    record.set_vni(vni);
    record.set_mtu(mtu.value);
    record.set_encrypted(network.options.encrypted);
    if (network.options.encrypted) {
        WARREN_TRY_ASSIGN(const auto index, next_number(cluster, key::Kind::kNetworkIndex, now));
        record.set_network_index(index);
        set_encryption(record, network.options);
    }
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
    take_number(change, key::Kind::kVni, record.vni(), network.id.bytes);
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
          .text = fmt::format("created: {}, {}", subnet_of(record), record.encrypted() ? "encrypted" : "plain"),
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
    free_number(change, key::Kind::kVni, network->record().vni(), now);
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

base::Result<store::Transaction> save_keys(const NetworkState& network, const v1::KeyStateRecord& keys) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    v1::MembershipRecord members = network.members.record;
    members.set_revision(members.revision() + 1);
    store::Transaction change;
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
    change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    change.puts.push_back({.key = key::keys(id), .value = keys.SerializeAsString()});
    return change;
}

}  // namespace warren::manager
