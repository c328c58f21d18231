#include <algorithm>
#include <filesystem>
#include <set>
#include <span>

#include "base/reference.h"
#include "base/text.h"
#include "manager/addressing.h"
#include "manager/changes.h"
#include "manager/network_mtu.h"
#include "overlay/model.h"
#include "overlay/mtu.h"
#include "overlay/publication.h"
#include "overlay/service.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

// An address that was freed is not given out by itself for so long.
constexpr base::Duration kAddressRest = std::chrono::minutes(1);
// Of more the oldest is given out again: where so many come and go, the subnet is large, and addresses come round late.
constexpr int kMostResting = 256;

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
    const base::Mtu underlay{node.underlay_mtu()};
    const auto carried = overlay::inner_mtu(underlay, vtep->family, live_protection(network));
    if (!carried) {
        return fail(Code::kPrecondition, "network '{}': node '{}': {}", record.name(), node.name(),
                    carried.error().message());
    }
    if (const auto smallest = smallest_mtu(record); *carried < smallest) {
        return fail(
            Code::kPrecondition,
            "network '{}' has IPv6, which needs packets of {}, but the underlay of node '{}' (MTU {}) carries at "
            "most {}: raise the underlay's MTU",
            record.name(), smallest, node.name(), underlay, *carried);
    }
    const bool joins = network.member(id_of<base::NodeId>(node.id())) == nullptr;
    if (joins && record.mtu_fixed() && *carried < base::Mtu{record.chosen_mtu()}) {
        return fail(Code::kPrecondition,
                    "network '{}' was given MTU {} (--opt mtu=), but the underlay of node '{}' (MTU {}) carries at "
                    "most {}: raise the underlay's MTU, or give the network less: warren network update {} --opt "
                    "mtu={}",
                    record.name(), record.chosen_mtu(), node.name(), underlay, *carried, record.name(), *carried);
    }
    return {};
}

// What a new endpoint is chosen for: beside all others but the one that gives way to it.
struct Place {
    const Cluster& cluster;
    const NetworkState& network;
    const NewEndpoint& endpoint;
    const v1::StoredEndpoint* replaced = nullptr;

    [[nodiscard]] bool is_other(EndpointTable::Map::const_iterator it) const {
        return it != network.endpoints.end() && &it->second != replaced;
    }
};

base::Result<std::string> choose_name(const v1::ConnectEndpoint& request) {
    const bool given = !request.name().empty();
    const std::string name = given ? request.name() : std::filesystem::path(request.netns()).filename().string();
    WARREN_TRY(base::check_name(given ? "--name" : "--name (from the namespace's)", name));
    return name;
}

base::Status check_namespace_is_new(const Place& place) {
    const auto other = place.network.endpoints.in_container(raw(place.endpoint.node), place.endpoint.request.netns());
    if (place.is_other(other)) {
        return fail(Code::kConflict, "--netns {}: is in network '{}' already, as endpoint '{}'", other->second.netns(),
                    place.network.record().name(), other->second.name());
    }
    return {};
}

// The endpoint that has the name, if it gives way; null if nobody has it.
base::Result<const v1::StoredEndpoint*> find_replaced(const Place& place, const std::string& name) {
    const auto other = place.network.endpoints.with_name(name);
    if (other == place.network.endpoints.end()) {
        return nullptr;
    }
    const auto node = id_of<base::NodeId>(other->second.node_id());
    const bool lost = place.endpoint.node_is_lost && place.endpoint.node_is_lost(node);
    if (!place.endpoint.request.take_over() && !lost) {
        WARREN_TRY(check_namespace_is_new(place));  // the same command again, most likely
        return fail(
            Code::kConflict,
            "--name '{}': taken by endpoint {} of network '{}' on node '{}'; choose another one, or --take-over "
            "if this is to be it",
            name, other->first, place.network.record().name(), place.cluster.node_name(node));
    }
    return &other->second;
}

// Not given out by itself while others may still send to whoever had it last.
std::set<base::IpAddress> resting(const v1::MembershipRecord& members, base::Time now) {
    std::set<base::IpAddress> addresses;
    for (const auto& rest : members.resting()) {
        const auto ip = ip_of(rest.ip());
        if (ip && time_of(rest.freed()) + kAddressRest > now) {
            addresses.insert(*ip);
        }
    }
    return addresses;
}

std::vector<base::IpAddress> ips_of(const v1::StoredEndpoint& endpoint) {
    std::vector<base::IpAddress> ips;
    for (const auto& raw_ip : endpoint.ips()) {
        ips.push_back(ip_of(raw_ip).value_or(base::IpAddress{}));
    }
    return ips;
}

base::Result<ChosenAddresses> choose_ips(const Place& place, base::Time now) {
    const auto& network = place.network;
    std::vector<base::IpAddress> asked;
    for (const auto& raw_ip : place.endpoint.request.ips()) {
        const auto ip = ip_of(raw_ip);
        if (!ip) {
            return fail(Code::kInvalid, "--ip: must be an IPv4 or IPv6 address");
        }
        asked.push_back(*ip);
    }
    const bool any = asked.empty() && place.replaced == nullptr;
    if (asked.empty() && place.replaced != nullptr) {
        asked = ips_of(*place.replaced);
    }
    const auto rests = any ? resting(network.members.record, now) : std::set<base::IpAddress>();
    auto chosen = choose_addresses(
        network, asked, [&](const base::IpAddress& ip) { return place.is_other(network.endpoints.with_ip(raw(ip))); },
        [&](const base::IpAddress& ip) { return rests.contains(ip); });
    if (!chosen && chosen.error().code() == Code::kExhausted && !rests.empty()) {
        return fail(Code::kExhausted,
                    "{}, or were freed within the last minute ({} of them) and rest: try again, or choose one with "
                    "--ip",
                    chosen.error().message(), rests.size());
    }
    return chosen;
}

// Nobody in the network has the MAC address.
base::Status check_mac(const Place& place, const base::MacAddress& mac) {
    const auto& record = place.network.record();
    std::set<std::uint32_t> parts;
    for (const auto& subnet : record.subnets()) {
        parts.insert(subnet.vni());
    }
    for (std::size_t part = 0; part < parts.size(); ++part) {
        if (mac == overlay::gateway_mac(id_of<base::NetworkId>(record.id()), part)) {
            return fail(Code::kConflict, "--mac {}: is that of a gateway of network '{}'; choose another one", mac,
                        record.name());
        }
    }
    if (const auto other = place.network.endpoints.with_mac(raw(mac)); place.is_other(other)) {
        return fail(Code::kConflict, "--mac {}: taken by endpoint '{}'; choose another one", mac, other->second.name());
    }
    return {};
}

base::Result<base::MacAddress> choose_mac(const Place& place, const base::IpAddress& ip) {
    const auto& given = place.endpoint.request.mac();
    // Of an endpoint that comes back under its address everybody knows the MAC address.
    const bool same = given.empty() && place.replaced != nullptr && place.replaced->ips(0) == raw(ip);
    auto mac = given.empty() && !same ? base::mac_for(ip)
                                      : mac_of(same ? place.replaced->mac() : given).value_or(base::MacAddress{});
    auto free = check_mac(place, mac);
    if (!free && given.empty()) {
        // Somebody chose what follows from the address: a random one, as the endpoint's id is.
        mac.bytes = {0x02};
        std::ranges::copy(std::span(place.endpoint.id.bytes).first<5>(), mac.bytes.begin() + 1);
        free = check_mac(place, mac);
    }
    WARREN_TRY(std::move(free));
    return mac;
}

// Nobody on the same node has published it.
base::Status check_published_by_none(const Place& place, const overlay::Publication& wanted) {
    const auto& node = place.endpoint.node;
    for (const auto& [id, network] : place.cluster.networks()) {
        if (network.endpoints_on(node) == 0) {
            continue;
        }
        for (const auto& [other_id, other] : network.endpoints) {
            if (id_of<base::NodeId>(other.node_id()) != node || &other == place.replaced) {
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

// It is no port of networks, nor of ESP in UDP: a network's, or what one gets when nobody chooses.
base::Status check_udp_port(const Cluster& cluster, const overlay::Publication& wanted) {
    const auto what = fmt::format("--publish {}", wanted.text());
    WARREN_TRY(check_free_udp_port(what, cluster.settings(), base::UdpPort{wanted.host_port}));
    const bool carries_esp = wanted.host_port == kEncapPort.value ||
                             std::any_of(cluster.networks().begin(), cluster.networks().end(), [&](const auto& it) {
                                 return it.second.record().encap_port() == wanted.host_port;
                             });
    if (carries_esp) {
        return fail(Code::kInvalid, "{}: UDP port {} is that of ESP in UDP; choose another one", what,
                    wanted.host_port);
    }
    return {};
}

base::Result<std::vector<overlay::Publication>> check_publish(const Place& place) {
    const auto& network = place.network;
    std::vector<overlay::Publication> wanted;
    for (const auto& text : place.endpoint.request.publish()) {
        WARREN_TRY_ASSIGN(const auto it, overlay::parse_publication("--publish", text));
        if (network.record().internal()) {
            return fail(Code::kInvalid, "--publish {}: network '{}' is internal: nothing gets in or out", it.text(),
                        network.record().name());
        }
        if (it.transport == overlay::Transport::kUdp) {
            WARREN_TRY(check_udp_port(place.cluster, it));
        }
        if (std::any_of(wanted.begin(), wanted.end(), [&](const auto& other) { return collide(other, it); })) {
            return fail(Code::kInvalid, "--publish {}: given twice", it.text());
        }
        WARREN_TRY(check_published_by_none(place, it));
        wanted.push_back(it);
    }
    return wanted;
}

base::Result<std::vector<overlay::Service>> check_services(const v1::ConnectEndpoint& request) {
    std::vector<overlay::Service> services;
    for (const auto& text : request.services()) {
        WARREN_TRY_ASSIGN(const auto it, overlay::parse_service("--service", text));
        if (std::find(services.begin(), services.end(), it) != services.end()) {
            return fail(Code::kInvalid, "--service {}: given twice; once is enough", it.text());
        }
        services.push_back(it);
    }
    return services;
}

base::Result<v1::StoredEndpoint> make_endpoint(const Place& place, const std::string& name,
                                               const ChosenAddresses& addresses, base::Time now) {
    const auto& endpoint = place.endpoint;
    v1::StoredEndpoint stored;
    for (const auto& alias : endpoint.request.aliases()) {
        WARREN_TRY(base::check_name("--alias", alias));
    }
    WARREN_TRY_ASSIGN(const auto mac, choose_mac(place, addresses.list.front().ip));
    stored.set_id(raw(endpoint.id));
    stored.set_network_id(place.network.record().id());
    stored.set_name(name);
    *stored.mutable_aliases() = endpoint.request.aliases();
    for (const auto& address : addresses.list) {
        stored.add_ips(raw(address.ip));
    }
    stored.set_mac(raw(mac));
    stored.set_node_id(raw(endpoint.node));
    stored.set_netns(endpoint.request.netns());
    stored.set_netns_inode(endpoint.request.netns_inode());
    stored.set_ifname(endpoint.request.ifname());
    WARREN_TRY_ASSIGN(const auto published, check_publish(place));
    for (const auto& it : published) {
        stored.add_publish(it.text());
    }
    WARREN_TRY_ASSIGN(const auto services, check_services(endpoint.request));
    for (const auto& it : services) {
        stored.add_services(it.text());
    }
    stored.set_created(unix_ms(now));
    return stored;
}

// Takes an endpoint out, and its node if it was the last one there: true.
bool take_out(const Cluster& cluster, const NetworkState& network, const v1::StoredEndpoint& endpoint,
              v1::MembershipRecord& members, store::Transaction& change, base::Time now) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    const auto node = id_of<base::NodeId>(endpoint.node_id());
    change.deletes.push_back(key::endpoint(id, id_of<base::EndpointId>(endpoint.id())));
    if (network.endpoints_on(node) != 1 || network.member(node) == nullptr) {
        return false;  // a node that is being removed is out already
    }
    erase_of_node(*members.mutable_members(), node);
    if (network.record().encrypted()) {
        auto& former = *members.add_former();
        former.set_node_id(raw(node));
        former.set_target(network.keys.record.next_epoch());
    }
    tell(cluster, change,
         {.kind = EventKind::kMemberLeft,
          .network = id,
          .node = node,
          .text = fmt::format("is no member any more: its last endpoint, {}, went", endpoint.name())},
         now);
    return true;
}

void remember_last(v1::MembershipRecord& members, const ChosenAddresses& addresses) {
    for (const auto& address : addresses.list) {
        if (address.allocated) {
            while (members.last_ips_size() <= address.subnet) {
                members.add_last_ips("");
            }
            members.set_last_ips(address.subnet, raw(address.ip));
        }
    }
}

// A new member whose underlay carries less takes the network's MTU down with it.
void fit_to_joiner(const Cluster& cluster, const NetworkState& network, const v1::NodeRecord& node,
                   store::Transaction& change, base::Time now) {
    const base::Mtu underlay{node.underlay_mtu()};
    const base::Mtu before{network.record().mtu()};
    const auto carried =
        overlay::inner_mtu(underlay, ip_of(node.data_address())->family, live_protection(network)).value_or(before);
    if (carried >= before) {
        return;
    }
    const auto id = id_of<base::NetworkId>(network.record().id());
    auto record = network.record();
    record.set_mtu(carried.value);
    change.compares.emplace_back(store::ModifiedAt{key::network(id), network.network.revision});
    change.puts.push_back({.key = key::network(id), .value = record.SerializeAsString()});
    const Narrow narrow{.node = id_of<base::NodeId>(node.id()), .name = node.name(), .underlay = underlay};
    tell_mtu(cluster, change, id, before, carried, narrow, {}, now);
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

void rest_addresses(v1::MembershipRecord& members, const v1::StoredEndpoint& endpoint, base::Time now) {
    auto& list = *members.mutable_resting();
    list.erase(std::remove_if(list.begin(), list.end(),
                              [&](const auto& rest) { return time_of(rest.freed()) + kAddressRest <= now; }),
               list.end());
    for (const auto& raw_ip : endpoint.ips()) {
        if (list.size() >= kMostResting) {
            list.erase(list.begin());
        }
        auto& rest = *list.Add();
        rest.set_ip(raw_ip);
        rest.set_freed(unix_ms(now));
    }
}

base::Result<Connection> connect_endpoint(const Cluster& cluster, const NewEndpoint& endpoint, base::Time now) {
    const auto* node = cluster.node(endpoint.node);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", endpoint.node);
    }
    WARREN_TRY_ASSIGN(const auto id, cluster.find_network(endpoint.request.network()));
    const auto& network = *cluster.network(id);
    WARREN_TRY(check_node(network, node->record));
    Place place{.cluster = cluster, .network = network, .endpoint = endpoint};
    WARREN_TRY_ASSIGN(const auto name, choose_name(endpoint.request));
    WARREN_TRY_ASSIGN(place.replaced, find_replaced(place, name));
    WARREN_TRY(check_namespace_is_new(place));
    WARREN_TRY_ASSIGN(const auto addresses, choose_ips(place, now));
    WARREN_TRY_ASSIGN(const auto stored, make_endpoint(place, name, addresses, now));
    v1::MembershipRecord members = network.members.record;
    members.set_revision(members.revision() + 1);
    remember_last(members, addresses);
    Connection connection{.change = {}, .network = id};
    auto& change = connection.change;
    if (place.replaced != nullptr) {
        if (place.replaced->node_id() == raw(endpoint.node)) {
            change.deletes.push_back(key::endpoint(id, id_of<base::EndpointId>(place.replaced->id())));
        } else {
            const auto former = id_of<base::NodeId>(place.replaced->node_id());
            if (take_out(cluster, network, *place.replaced, members, change, now)) {
                connection.left = former;
            }
        }
        if (ips_of(*place.replaced) != ips_of(stored)) {
            rest_addresses(members, *place.replaced, now);
        }
    }
    if (network.member(endpoint.node) == nullptr) {
        erase_of_node(*members.mutable_former(), endpoint.node);
        add_member(members, endpoint, node->record);
        tell(cluster, change,
             {.kind = EventKind::kMemberJoined,
              .network = id,
              .node = endpoint.node,
              .text = fmt::format("is a member, with its first endpoint, {}", stored.name())},
             now);
        fit_to_joiner(cluster, network, node->record, change, now);
    }
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
    change.compares.emplace_back(store::ModifiedAt{key::node(endpoint.node), node->revision});
    // Written as it is, so that a removal of the node that was made from a state without this endpoint fails.
    change.puts.push_back({.key = key::node(endpoint.node), .value = node->record.SerializeAsString()});
    change.puts.push_back({.key = key::endpoint(id, endpoint.id), .value = stored.SerializeAsString()});
    change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    return connection;
}

base::Result<Departure> find_departure(const Cluster& cluster, const base::NodeId& node,
                                       const v1::DisconnectEndpoint& request) {
    WARREN_TRY_ASSIGN(const auto id, cluster.find_network(request.network()));
    const auto& network = *cluster.network(id);
    WARREN_TRY_ASSIGN(const auto endpoint, base::find_reference("endpoint", request.endpoint(), network.endpoints,
                                                                [](const v1::StoredEndpoint& e) { return e.name(); }));
    const auto owner = id_of<base::NodeId>(network.endpoints.at(endpoint).node_id());
    if (owner != node) {
        return fail(Code::kDenied, "endpoint '{}' of network '{}' is on node '{}': disconnect it there",
                    request.endpoint(), network.record().name(), cluster.node_name(owner));
    }
    return Departure{.network = id,
                     .endpoint = endpoint,
                     .last_of_node = network.endpoints_on(node) == 1,
                     .vanished = request.vanished()};
}

base::Result<store::Transaction> disconnect_endpoint(const Cluster& cluster, const Departure& departure,
                                                     base::Time now) {
    const auto* network = cluster.network(departure.network);
    const auto found =
        network == nullptr ? decltype(network->endpoints.end()){} : network->endpoints.find(departure.endpoint);
    if (network == nullptr || found == network->endpoints.end()) {
        return fail(Code::kNotFound, "endpoint {}: not found", departure.endpoint);
    }
    v1::MembershipRecord members = network->members.record;
    members.set_revision(members.revision() + 1);
    rest_addresses(members, found->second, now);
    store::Transaction change;
    if (departure.vanished) {
        tell(cluster, change,
             {.kind = EventKind::kEndpointGone,
              .network = departure.network,
              .node = id_of<base::NodeId>(found->second.node_id()),
              .text = fmt::format("released the endpoint {}: its container's namespace {} is gone",
                                  found->second.name(), found->second.netns())},
             now);
    }
    (void)take_out(cluster, *network, found->second, members, change, now);
    change.compares.emplace_back(store::ModifiedAt{key::members(departure.network), network->members.revision});
    change.puts.push_back({.key = key::members(departure.network), .value = members.SerializeAsString()});
    return change;
}

}  // namespace warren::manager
