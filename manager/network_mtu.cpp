#include "manager/network_mtu.h"

#include <algorithm>
#include <set>
#include <utility>

#include "manager/changes.h"
#include "manager/key_record.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;
using base::Mtu;

constexpr Mtu kLargest{UINT16_MAX};

// The data addresses of the others that matter for a node.
using Peers = std::set<std::string>;

// Nothing: the node has not said yet.
std::optional<Narrow> narrowest_of(const v1::NodeRecord& node, const Peers& peers) {
    if (node.underlay_mtu() == 0) {
        return std::nullopt;
    }
    Narrow narrow{.node = id_of<base::NodeId>(node.id()), .name = node.name(), .underlay = Mtu{node.underlay_mtu()}};
    for (const auto& route : node.narrow_routes()) {
        if (Mtu{route.mtu()} < narrow.underlay && peers.contains(route.to())) {
            narrow.underlay = Mtu{route.mtu()};
            narrow.peer = ip_of(route.to());
        }
    }
    return narrow;
}

void add(Carry& carry, const v1::NodeRecord& node, const Peers& peers, overlay::Protection protection, Mtu smallest) {
    const auto vtep = ip_of(node.data_address());
    const auto narrow = narrowest_of(node, peers);
    if (!narrow || !vtep) {
        return;
    }
    const auto carried = overlay::inner_mtu(narrow->underlay, vtep->family, protection);
    if (!carried || *carried < smallest) {
        carry.unfit = narrow;
        return;
    }
    const auto mtu = std::min(*carried, kLargest);
    carry.most = std::max(carry.most, mtu);
    if (!carry.least || mtu < *carry.least) {
        carry.least = mtu;
        carry.narrowest = narrow;
    }
}

Peers peers_in(const NetworkState& network) {
    Peers peers;
    for (const auto& member : network.members.record.members()) {
        peers.insert(member.vtep());
    }
    return peers;
}

bool carries_any(const NetworkState& network, const v1::NodeRecord& node, const Peers& peers) {
    Carry carry;
    add(carry, node, peers, live_protection(network), smallest_mtu(network.record()));
    return !carry.unfit;
}

// Only what is about other nodes is kept, sorted.
void set_routes(v1::NodeRecord& record, const Cluster& cluster, const v1::UnderlayMtu& underlay) {
    Peers others;
    for (const auto& [id, node] : cluster.nodes()) {
        others.insert(node.record.data_address());
    }
    std::map<std::string, std::uint32_t> routes;
    for (const auto& route : underlay.narrow_routes()) {
        if (others.contains(route.to()) && route.mtu() < underlay.mtu()) {
            routes.insert_or_assign(route.to(), route.mtu());
        }
    }
    record.clear_narrow_routes();
    for (const auto& [to, mtu] : routes) {
        auto& route = *record.add_narrow_routes();
        route.set_to(to);
        route.set_mtu(mtu);
    }
}

}  // namespace

std::string Narrow::text() const {
    return fmt::format("the underlay of node '{}' carries packets of {}{}", name, underlay,
                       peer ? fmt::format(" to {}", *peer) : "");
}

Carry members_carry(const Cluster& cluster, const NetworkState& network, overlay::Protection protection) {
    Carry carry;
    const auto peers = peers_in(network);
    for (const auto& member : network.members.record.members()) {
        if (const auto* node = cluster.node(id_of<base::NodeId>(member.node_id()))) {
            add(carry, node->record, peers, protection, smallest_mtu(network.record()));
        }
    }
    return carry;
}

Carry nodes_carry(const Cluster& cluster, overlay::Protection protection, Mtu smallest) {
    Carry carry;
    for (const auto& [id, node] : cluster.nodes()) {
        add(carry, node.record, {}, protection, smallest);
    }
    return carry;
}

Mtu smallest_mtu(const v1::NetworkRecord& network) {
    const bool ipv6 = std::any_of(network.subnets().begin(), network.subnets().end(), [](const auto& subnet) {
        return subnet_of(subnet).address.family == base::Family::kIpv6;
    });
    return ipv6 ? overlay::kSmallestMtu6 : overlay::kSmallestMtu;
}

base::Status check_asked_mtu(const v1::NetworkRecord& network, const NetworkOptions& options) {
    const auto smallest = smallest_mtu(network);
    if (options.mtu && *options.mtu < smallest) {
        return fail(Code::kInvalid, "--opt mtu={}: must be at least {} where there is IPv6", *options.mtu, smallest);
    }
    return {};
}

overlay::Protection live_protection(const NetworkState& network) {
    const auto wanted = protection(encryption_of(network.record()));
    const auto& epochs = network.keys.record.epochs();
    const bool in_udp = std::any_of(epochs.begin(), epochs.end(), [](const auto& epoch) {
        return epoch.encap_port() != 0 && epoch.stage() != static_cast<std::uint32_t>(keymgr::Stage::kRetired);
    });
    return in_udp ? overlay::Protection::kEspInUdp : wanted;
}

std::optional<Mtu> fitting_mtu(const Cluster& cluster, const NetworkState& network) {
    const auto protection = live_protection(network);
    const auto least = members_carry(cluster, network, protection).least;
    if (!least) {
        return std::nullopt;
    }
    const auto& record = network.record();
    auto ceiling = Mtu{record.chosen_mtu()};
    if (!record.mtu_fixed()) {
        ceiling = std::max(ceiling, nodes_carry(cluster, protection, smallest_mtu(record)).least.value_or(Mtu{}));
    }
    return std::min(*least, std::max(ceiling, Mtu{record.mtu()}));
}

std::optional<Narrow> narrowed_by(const Cluster& cluster, const NetworkState& network) {
    const auto& record = network.record();
    auto carry = members_carry(cluster, network, live_protection(network));
    if (!carry.least || *carry.least > Mtu{record.mtu()}) {
        return std::nullopt;
    }
    const auto otherwise = record.mtu_fixed() ? Mtu{record.chosen_mtu()} : carry.most;
    return *carry.least < otherwise ? std::move(carry.narrowest) : std::nullopt;
}

void write_narrowest(const Cluster& cluster, const NetworkState& network, v1::NetworkDelta& delta) {
    if (const auto narrow = narrowed_by(cluster, network)) {
        auto& written = *delta.mutable_narrowest();
        written.set_node_id(raw(narrow->node));
        written.set_node(narrow->name);
        written.set_underlay_mtu(narrow->underlay.value);
        if (narrow->peer) {
            written.set_peer(raw(*narrow->peer));
        }
    }
}

std::string mtu_choice(const Cluster& cluster, const NetworkState& network) {
    const auto& record = network.record();
    if (const auto narrow = narrowed_by(cluster, network)) {
        return narrow->text();
    }
    const auto fitting = fitting_mtu(cluster, network);
    if (fitting && *fitting > Mtu{record.mtu()}) {
        return fmt::format("its members carry {} again; it grows when that has lasted", *fitting);
    }
    if (record.mtu_fixed()) {
        return "--opt mtu=";
    }
    const auto least = members_carry(cluster, network, live_protection(network)).least;
    return least == Mtu{record.mtu()} ? "what its members carry" : "what every node carries";
}

MtuPace::Step MtuPace::step(Mtu is, Mtu fitting, base::Time now) {
    if (fitting <= is) {
        room_since_.reset();
    }
    if (fitting == is) {
        return {};
    }
    if (fitting < is) {
        if (const auto wait = shrinks_.take(kShrinks, now)) {
            return {.again = now + *wait};
        }
        // Where it goes up and down, it goes up more and more seldom.
        if (const auto grown = std::exchange(grown_, std::nullopt)) {
            wait_ = now - *grown < 2 * wait_ ? std::min(2 * wait_, kLongestWait) : patience_;
        }
        return {.now = true};
    }
    room_since_ = std::min(room_since_.value_or(now), now);
    if (now - *room_since_ < wait_) {
        return {.again = *room_since_ + wait_};
    }
    room_since_.reset();
    grown_ = now;
    return {.now = true};
}

void MtuPace::clock_set(base::Duration by) {
    for (auto* moment : {&room_since_, &grown_}) {
        if (*moment) {
            **moment += by;
        }
    }
}

base::Result<store::Transaction> update_underlay(const Cluster& cluster, const base::NodeId& id,
                                                 const v1::UnderlayMtu& underlay, base::Time now) {
    const auto* node = cluster.node(id);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", id);
    }
    v1::NodeRecord record = node->record;
    record.set_underlay_mtu(underlay.mtu());
    set_routes(record, cluster, underlay);
    store::Transaction change;
    if (record.SerializeAsString() == node->record.SerializeAsString()) {
        return change;
    }
    change.compares.emplace_back(store::ModifiedAt{key::node(id), node->revision});
    change.puts.push_back({.key = key::node(id), .value = record.SerializeAsString()});
    for (const auto& [network_id, network] : cluster.networks()) {
        if (network.member(id) == nullptr) {
            continue;
        }
        const auto peers = peers_in(network);
        if (!carries_any(network, record, peers) && carries_any(network, node->record, peers)) {
            tell(cluster, change,
                 {.kind = EventKind::kUnderlayTooSmall,
                  .network = network_id,
                  .node = id,
                  .text = fmt::format("{}, too little for this network: it stays as it is for the others",
                                      narrowest_of(record, peers)->text())},
                 now);
        }
    }
    return change;
}

base::Result<store::Transaction> fit_mtu(const Cluster& cluster, const base::NetworkId& id, base::Time now) {
    const auto* network = cluster.network(id);
    store::Transaction change;
    const auto fitting = network == nullptr ? std::nullopt : fitting_mtu(cluster, *network);
    const Mtu before{network == nullptr ? 0 : network->record().mtu()};
    if (!fitting || *fitting == before) {
        return change;
    }
    auto record = network->record();
    record.set_mtu(fitting->value);
    v1::MembershipRecord members = network->members.record;
    members.set_revision(members.revision() + 1);
    change.compares.emplace_back(store::ModifiedAt{key::members(id), network->members.revision});
    change.compares.emplace_back(store::ModifiedAt{key::network(id), network->network.revision});
    change.puts.push_back({.key = key::members(id), .value = members.SerializeAsString()});
    change.puts.push_back({.key = key::network(id), .value = record.SerializeAsString()});
    auto carry = members_carry(cluster, *network, live_protection(*network));
    tell_mtu(cluster, change, id, before, *fitting, *fitting < before ? carry.narrowest : std::nullopt, {}, now);
    return change;
}

void tell_mtu(const Cluster& cluster, store::Transaction& change, const base::NetworkId& network, Mtu before, Mtu after,
              const std::optional<Narrow>& narrowest, const std::string& by, base::Time now) {
    std::string why = by.empty() ? "its members carry more again" : "the network was updated";
    if (narrowest) {
        why = narrowest->text();
    }
    tell(cluster, change,
         {.kind = EventKind::kMtuChanged,
          .network = network,
          .node = narrowest ? narrowest->node : base::NodeId{},
          .text = fmt::format("MTU {} instead of {}: {}", after, before, why),
          .by = by},
         now);
}

}  // namespace warren::manager
