#include <algorithm>
#include <filesystem>

#include "base/text.h"
#include "manager/changes.h"
#include "overlay/ipam.h"
#include "overlay/mtu.h"
#include "overlay/publication.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

// ESP and VXLAN go between addresses of one family.
base::Status check_family(const NetworkState& network, const v1::NodeRecord& node, const base::IpAddress& vtep) {
    const auto name = [](base::Family family) { return family == base::Family::kIpv4 ? "IPv4" : "IPv6"; };
    for (const auto& member : network.members.record.members()) {
        const auto other = ip_of(member.vtep());
        if (other && other->family != vtep.family) {
            return fail(Code::kPrecondition,
                        "network '{}' goes over {} (a member's data address is {}), but node '{}' has the data address "
                        "{}: all members must be of one family; make another network, or join the node with another "
                        "--data-addr",
                        network.record().name(), name(other->family), *other, node.name(), vtep);
        }
    }
    return {};
}

// The node can carry the network: its kernel has the cipher, its underlay the packets.
base::Status check_node(const NetworkState& network, const v1::NodeRecord& node) {
    const auto& record = network.record();
    if (record.encrypted()) {
        if (auto able = check_cipher(static_cast<keymgr::Cipher>(record.cipher()), node); !able) {
            return base::fail_in(fmt::format("network '{}'", record.name()), std::move(able));
        }
    }
    const auto vtep = ip_of(node.data_address());
    WARREN_TRY(check_family(network, node, *vtep));
    const auto carried =
        overlay::inner_mtu(base::Mtu{node.underlay_mtu()}, vtep->family, protection(encryption_of(record)));
    if (!carried || *carried < base::Mtu{record.mtu()}) {
        return fail(Code::kPrecondition,
                    "network '{}' has MTU {}, but the underlay of node '{}' (MTU {}) carries at most {}: make the "
                    "network with --opt mtu={}, or raise the underlay's MTU",
                    record.name(), record.mtu(), node.name(), node.underlay_mtu(), carried ? carried->value : 0,
                    carried ? carried->value : 0);
    }
    return {};
}

base::Result<std::string> choose_name(const NetworkState& network, const v1::ConnectEndpoint& request) {
    const bool given = !request.name().empty();
    const std::string name = given ? request.name() : std::filesystem::path(request.netns()).filename().string();
    WARREN_TRY(base::check_name(given ? "--name" : "--name (from the namespace's)", name));
    for (const auto& [id, other] : network.endpoints) {
        if (other.name() == name) {
            return fail(Code::kConflict, "--name '{}': taken by endpoint {} of network '{}'; choose another one", name,
                        id, network.record().name());
        }
    }
    return name;
}

base::Result<base::IpAddress> choose_ip(const NetworkState& network, const v1::ConnectEndpoint& request) {
    overlay::AddressSet taken;
    for (const auto& [id, endpoint] : network.endpoints) {
        taken.insert(ip_of(endpoint.ip()).value_or(base::IpAddress{}));
    }
    const overlay::AddressPool pool{.subnet = subnet_of(network.record()),
                                    .gateway = ip_of(network.record().gateway()).value_or(base::IpAddress{})};
    if (request.ip().empty()) {
        return overlay::allocate_address(pool, taken, ip_of(network.members.record.last_ip()));
    }
    const auto ip = ip_of(request.ip());
    if (!ip) {
        return fail(Code::kInvalid, "--ip: must be an IPv4 or IPv6 address");
    }
    WARREN_TRY(overlay::check_address("--ip", pool, taken, *ip));
    return *ip;
}

base::Result<base::MacAddress> choose_mac(const NetworkState& network, const v1::ConnectEndpoint& request,
                                          const base::IpAddress& ip) {
    const auto mac = request.mac().empty() ? base::mac_for(ip) : mac_of(request.mac()).value_or(base::MacAddress{});
    for (const auto& [id, endpoint] : network.endpoints) {
        if (endpoint.mac() == raw(mac)) {
            return fail(Code::kConflict, "--mac {}: taken by endpoint '{}'; choose another one", mac, endpoint.name());
        }
    }
    return mac;
}

base::Status check_namespace_is_new(const NetworkState& network, const NewEndpoint& endpoint) {
    for (const auto& [id, other] : network.endpoints) {
        if (id_of<base::NodeId>(other.node_id()) == endpoint.node && other.netns() == endpoint.request.netns()) {
            return fail(Code::kConflict, "--netns {}: is in network '{}' already, as endpoint '{}'", other.netns(),
                        network.record().name(), other.name());
        }
    }
    return {};
}

// Nobody on the same node has published it.
base::Status check_published_by_none(const Cluster& cluster, const NewEndpoint& endpoint,
                                     const overlay::Publication& wanted) {
    for (const auto& [id, network] : cluster.networks()) {
        for (const auto& [other_id, other] : network.endpoints) {
            if (id_of<base::NodeId>(other.node_id()) != endpoint.node) {
                continue;
            }
            for (const auto& text : other.publish()) {
                const auto published = overlay::parse_publication("published", text);
                if (published && collide(*published, wanted)) {
                    return fail(Code::kConflict,
                                "--publish {}: endpoint '{}' of network '{}' has published {} on this node; choose "
                                "another port",
                                wanted.text(), other.name(), network.record().name(), text);
                }
            }
        }
    }
    return {};
}

base::Result<std::vector<overlay::Publication>> check_publish(const Cluster& cluster, const NetworkState& network,
                                                              const NewEndpoint& endpoint) {
    std::vector<overlay::Publication> wanted;
    for (const auto& text : endpoint.request.publish()) {
        WARREN_TRY_ASSIGN(const auto it, overlay::parse_publication("--publish", text));
        if (network.record().internal()) {
            return fail(Code::kInvalid, "--publish {}: network '{}' is internal: nothing gets in or out", it.text(),
                        network.record().name());
        }
        if (it.transport == overlay::Transport::kUdp) {
            WARREN_TRY(check_free_udp_port(fmt::format("--publish {}", it.text()), cluster.settings(),
                                           base::UdpPort{it.host_port}));
        }
        if (std::any_of(wanted.begin(), wanted.end(), [&](const auto& other) { return collide(other, it); })) {
            return fail(Code::kInvalid, "--publish {}: given twice", it.text());
        }
        WARREN_TRY(check_published_by_none(cluster, endpoint, it));
        wanted.push_back(it);
    }
    return wanted;
}

base::Result<v1::StoredEndpoint> make_endpoint(const Cluster& cluster, const NetworkState& network,
                                               const NewEndpoint& endpoint, base::Time now) {
    v1::StoredEndpoint stored;
    WARREN_TRY(check_namespace_is_new(network, endpoint));
    WARREN_TRY_ASSIGN(const auto name, choose_name(network, endpoint.request));
    for (const auto& alias : endpoint.request.aliases()) {
        WARREN_TRY(base::check_name("--alias", alias));
    }
    WARREN_TRY_ASSIGN(const auto ip, choose_ip(network, endpoint.request));
    WARREN_TRY_ASSIGN(const auto mac, choose_mac(network, endpoint.request, ip));
    stored.set_id(raw(endpoint.id));
    stored.set_network_id(network.record().id());
    stored.set_name(name);
    *stored.mutable_aliases() = endpoint.request.aliases();
    stored.set_ip(raw(ip));
    stored.set_mac(raw(mac));
    stored.set_node_id(raw(endpoint.node));
    stored.set_netns(endpoint.request.netns());
    stored.set_ifname(endpoint.request.ifname());
    WARREN_TRY_ASSIGN(const auto published, check_publish(cluster, network, endpoint));
    for (const auto& it : published) {
        stored.add_publish(it.text());
    }
    stored.set_created(unix_ms(now));
    return stored;
}

void add_member(v1::MembershipRecord& members, const NewEndpoint& endpoint, const v1::NodeRecord& node) {
    auto& member = *members.add_members();
    member.set_node_id(raw(endpoint.node));
    member.set_node_index(node.index());
    member.set_vtep(node.data_address());
    member.set_membership_id(endpoint.membership.value);
    member.set_since(members.revision());
    member.set_boot_id(node.boot_id());
}

}  // namespace

base::Result<store::Transaction> connect_endpoint(const Cluster& cluster, const NewEndpoint& endpoint, base::Time now) {
    const auto* node = cluster.node(endpoint.node);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", endpoint.node);
    }
    WARREN_TRY_ASSIGN(const auto id, cluster.find_network(endpoint.request.network()));
    const auto& network = *cluster.network(id);
    WARREN_TRY(check_node(network, node->record));
    WARREN_TRY_ASSIGN(const auto stored, make_endpoint(cluster, network, endpoint, now));
    v1::MembershipRecord members = network.members.record;
    members.set_revision(members.revision() + 1);
    members.set_last_ip(stored.ip());
    store::Transaction change;
    if (network.member(endpoint.node) == nullptr) {
        erase_of_node(*members.mutable_former(), endpoint.node);
        add_member(members, endpoint, node->record);
        tell(cluster, change,
             {.kind = EventKind::kMemberJoined,
              .network = id,
              .node = endpoint.node,
              .text = fmt::format("is a member, with its first endpoint, {}", stored.name())},
             now);
    }
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
    change.compares.emplace_back(store::ModifiedAt{key::node(endpoint.node), node->revision});
    // Written as it is, so that a removal of the node that was made from a state without this endpoint fails.
    change.puts.push_back({.key = key::node(endpoint.node), .value = node->record.SerializeAsString()});
    change.puts.push_back({.key = key::endpoint(id, endpoint.id), .value = stored.SerializeAsString()});
    change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    return change;
}

base::Result<Departure> find_departure(const Cluster& cluster, const base::NodeId& node,
                                       const v1::DisconnectEndpoint& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster.find_network(request.network()));
    const auto& network = *cluster.network(id);
    WARREN_TRY_ASSIGN(const auto endpoint, find_reference("endpoint", request.endpoint(), network.endpoints,
                                                          [](const v1::StoredEndpoint& e) { return e.name(); }));
    const auto owner = id_of<base::NodeId>(network.endpoints.at(endpoint).node_id());
    if (owner != node) {
        return fail(Code::kDenied, "endpoint '{}' of network '{}' is on node '{}': disconnect it there",
                    request.endpoint(), network.record().name(), cluster.node_name(owner));
    }
    return Departure{.network = id, .endpoint = endpoint, .last_of_node = network.endpoints_on(node) == 1};
}

base::Result<store::Transaction> disconnect_endpoint(const Cluster& cluster, const Departure& departure,
                                                     base::Time now) {
    const auto* network = cluster.network(departure.network);
    const auto found =
        network == nullptr ? decltype(network->endpoints.end()){} : network->endpoints.find(departure.endpoint);
    if (network == nullptr || found == network->endpoints.end()) {
        return fail(Code::kNotFound, "endpoint {}: not found", departure.endpoint);
    }
    const auto node = id_of<base::NodeId>(found->second.node_id());
    v1::MembershipRecord members = network->members.record;
    members.set_revision(members.revision() + 1);
    store::Transaction change;
    if (network->endpoints_on(node) == 1) {
        erase_of_node(*members.mutable_members(), node);
        if (network->record().encrypted()) {
            auto& former = *members.add_former();
            former.set_node_id(raw(node));
            former.set_target(network->keys.record.next_epoch());
        }
        tell(cluster, change,
             {.kind = EventKind::kMemberLeft,
              .network = departure.network,
              .node = node,
              .text = fmt::format("is no member any more: its last endpoint, {}, went", found->second.name())},
             now);
    }
    change.compares.emplace_back(store::ModifiedAt{key::members(departure.network), network->members.revision});
    change.puts.push_back({.key = key::members(departure.network), .value = members.SerializeAsString()});
    change.deletes.push_back(key::endpoint(departure.network, departure.endpoint));
    return change;
}

}  // namespace warren::manager
