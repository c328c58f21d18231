#include "overlay/diff.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/text.h"

namespace warren::overlay {

namespace {

using base::Code;
using base::IfIndex;
using netlink::FdbEntry;
using netlink::FdbState;
using netlink::FdbTable;
using netlink::Link;

template <typename Map>
const typename Map::mapped_type& find_or_empty(const Map& map, const typename Map::key_type& key) {
    static const typename Map::mapped_type empty{};
    const auto found = map.find(key);
    return found == map.end() ? empty : found->second;
}

const Link* find_name(const SeenNamespace& where, std::string_view name) {
    const auto found =
        std::find_if(where.links.begin(), where.links.end(), [&](const Link& link) { return link.name == name; });
    return found == where.links.end() ? nullptr : &*found;
}

// What pair_name() makes.
bool is_pair_name(std::string_view name) {
    return name.size() == 15 && name.front() == 'v' &&
           std::all_of(name.begin() + 1, name.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
}

// An end of a pair that a crash left without its mark.
bool is_unmarked_pair(const Link& link) {
    return link.alias.empty() && link.kind == "veth" && is_pair_name(link.name);
}

std::string first_free(const std::string& ifnames, const SeenNamespace& container,
                       const std::set<std::string>& chosen) {
    for (unsigned i = 0;; ++i) {
        std::string name = fmt::format("{}{}", ifnames, i);
        if (find_name(container, name) == nullptr && !chosen.contains(name)) {
            return name;
        }
    }
}

bool contains(const std::vector<base::Prefix>& list, const base::Prefix& prefix) {
    return std::find(list.begin(), list.end(), prefix) != list.end();
}

// Puts the steps of a plan into the order of their phases.
class Planner {
  public:
    Planner(const Desired& want, const Observed& have) : want_(want), have_(have), links_(have.network) {}

    Plan plan() && {
        out_.refused = want_.refused;
        remove_unwanted();
        for (const auto& bridge : want_.bridges) {
            plan_bridge(bridge);
        }
        for (const auto& vxlan : want_.vxlans) {
            plan_vxlan(vxlan);
        }
        for (const auto& pair : want_.pairs) {
            plan_pair(pair);
        }
        if (want_.forwards && !have_.network.forwards) {
            settings_.push_back({Place::kNetwork, std::nullopt, TurnOnForwarding{}});
        }
        for (auto* phase : {&deletions_, &creations_, &settings_}) {
            std::move(phase->begin(), phase->end(), std::back_inserter(out_.steps));
        }
        return std::move(out_);
    }

  private:
    void remove_unwanted() {
        std::set<std::string_view> wanted;
        kept_marks_ = want_.kept;
        for (const auto& bridge : want_.bridges) {
            wanted.insert(bridge.name);
        }
        for (const auto& vxlan : want_.vxlans) {
            wanted.insert(vxlan.name);
        }
        for (const auto& pair : want_.pairs) {
            wanted.insert(pair.name);
        }
        for (const auto& refusal : want_.refused) {
            // Its old interface may be right: nothing is taken from an endpoint because of a request that can't be met.
            if (refusal.endpoint) {
                kept_marks_.insert(fmt::format("{}:{}", want_.mark, *refusal.endpoint));
            }
        }
        for (const auto& link : have_.network.links) {
            if (is_ours(link, want_.mark) && !wanted.contains(link.name) && !kept_marks_.contains(link.alias)) {
                remove(link);
            }
        }
    }

    void remove(const Link& link, std::optional<base::EndpointId> endpoint = std::nullopt) {
        deletions_.push_back({Place::kNetwork, endpoint, DeleteLink{link.index, link.name}});
    }

    // The network's link of that name, if it is there and of that kind. Something foreign under the name is refused.
    struct Found {
        const Link* link = nullptr;
        bool blocked = false;
    };
    Found find_own(std::string_view name, std::string_view kind, std::string_view alias,
                   std::optional<base::EndpointId> endpoint) {
        const Link* link = links_.find(name);
        if (link == nullptr) {
            return {};
        }
        if (link->kind == kind && (link->alias == alias || link->alias.empty())) {
            return {.link = link};
        }
        if (link->alias == alias) {
            remove(*link, endpoint);
            return {};
        }
        out_.refused.push_back(
            {endpoint,
             base::Error(Code::kConflict, fmt::format("the network's namespace has an interface {} that is not ours "
                                                      "(kind '{}', alias '{}'): remove or rename it",
                                                      link->name, link->kind, link->alias))});
        return {.blocked = true};
    }

    void plan_bridge(const WantedBridge& bridge) {
        const auto [link, blocked] = find_own(bridge.name, "bridge", bridge.alias, std::nullopt);
        if (link == nullptr) {
            if (!blocked) {
                creations_.push_back({Place::kNetwork, std::nullopt, CreateBridge{bridge}});
            }
            return;
        }
        if (link->bridge != bridge.options) {
            settings_.push_back({Place::kNetwork, std::nullopt, SetBridge{link->index, link->name, bridge.options}});
        }
        const auto& addresses = find_or_empty(have_.network.addresses, link->index);
        for (const auto& address : addresses) {
            if (!contains(bridge.addresses, address)) {
                settings_.push_back({Place::kNetwork, std::nullopt, DeleteAddress{link->index, address}});
            }
        }
        add_addresses(Place::kNetwork, std::nullopt, *link, bridge.addresses, addresses);
        plan_neighbours(*link, bridge.neighbours);
        set_link(Place::kNetwork, std::nullopt, *link,
                 {.alias = bridge.alias, .mac = bridge.mac, .mtu = bridge.mtu, .up = true});
    }

    void plan_vxlan(const WantedVxlan& vxlan) {
        auto [link, blocked] = find_own(vxlan.name, "vxlan", vxlan.alias, std::nullopt);
        if (link != nullptr && link->vxlan != vxlan.options) {
            remove(*link);  // the kernel can change only some of them
            link = nullptr;
        }
        if (link == nullptr) {
            if (!blocked) {
                creations_.push_back({Place::kHost, std::nullopt, CreateVxlan{vxlan.name, vxlan.mtu, vxlan.options}});
            }
            return;
        }
        enslave(*link, vxlan.bridge, std::nullopt);
        plan_forwarding(*link, vxlan);
        const auto segmentation = have_.network.segmentation.find(link->index);
        if (segmentation != have_.network.segmentation.end() && segmentation->second != vxlan.segmentation) {
            settings_.push_back(
                {Place::kNetwork, std::nullopt, SetSegmentation{link->index, link->name, vxlan.segmentation}});
        }
        plan_neighbours(*link, vxlan.neighbours);
        set_link(Place::kNetwork, std::nullopt, *link, {.alias = vxlan.alias, .mtu = vxlan.mtu, .up = true});
    }

    // On the way from one state to another no known MAC address is without its entry, and nothing unknown gets to where
    // there are default destinations: entries come before the port's options and those before the default destinations,
    // and all goes the other way round.
    void plan_forwarding(const Link& link, const WantedVxlan& vxlan) {
        const auto wanted = wanted_entries(link, vxlan);
        const auto seen = seen_entries(link);
        const auto superfluous = [&](const FdbEntry& entry) {
            if (is_default(entry)) {
                return !wanted.contains(entry);
            }
            // What is there for a MAC address that is wanted otherwise is replaced.
            const auto other = wanted.lower_bound({.link = entry.link, .mac = entry.mac, .table = entry.table});
            return other == wanted.end() || other->mac != entry.mac || other->table != entry.table;
        };
        put_missing(wanted, seen, false);
        for (const auto& entry : seen) {
            if (is_default(entry) && superfluous(entry)) {
                settings_.push_back({Place::kNetwork, std::nullopt, DeleteForwarding{entry}});
            }
        }
        set_port(link, vxlan.bridge, vxlan.port, std::nullopt);
        put_missing(wanted, seen, true);
        for (auto entry = seen.rbegin(); entry != seen.rend(); ++entry) {  // the bridge's before the device's
            if (!is_default(*entry) && superfluous(*entry)) {
                settings_.push_back({Place::kNetwork, std::nullopt, DeleteForwarding{*entry}});
            }
        }
    }

    std::set<FdbEntry> wanted_entries(const Link& link, const WantedVxlan& vxlan) const {
        std::set<FdbEntry> entries;
        for (const auto& [mac, vtep] : vxlan.forwarding) {
            entries.insert({.link = link.index, .mac = mac, .destination = vtep});
            if (vxlan.in_bridge && find_bridge(vxlan.bridge) != nullptr) {
                entries.insert(
                    {.link = link.index, .mac = mac, .table = FdbTable::kBridge, .state = FdbState::kStatic});
            }
        }
        for (const auto& vtep : vxlan.copies) {
            entries.insert({.link = link.index, .mac = {}, .destination = vtep});
        }
        return entries;
    }

    // Without the kernel's own. With each MAC address the device's entry comes before the bridge's.
    std::set<FdbEntry> seen_entries(const Link& link) const {
        std::set<FdbEntry> entries;
        for (const auto& entry : find_or_empty(have_.network.forwarding, link.index)) {
            if (entry.table == FdbTable::kDevice || is_not_the_ports(entry)) {
                entries.insert(entry);
            }
        }
        return entries;
    }

    void put_missing(const std::set<FdbEntry>& wanted, const std::set<FdbEntry>& seen, bool defaults) {
        for (const auto& entry : wanted) {
            if (is_default(entry) == defaults && !seen.contains(entry)) {
                settings_.push_back({Place::kNetwork, std::nullopt, PutForwarding{entry}});
            }
        }
    }

    void plan_neighbours(const Link& link, const std::map<base::IpAddress, base::MacAddress>& neighbours) {
        std::set<base::IpAddress> right;
        for (const auto& neighbour : find_or_empty(have_.network.neighbours, link.index)) {
            if (!neighbour.permanent) {
                continue;  // the kernel's own
            }
            const auto wanted = neighbours.find(neighbour.ip);
            if (wanted == neighbours.end()) {
                settings_.push_back({Place::kNetwork, std::nullopt, DeleteNeighbour{neighbour}});
            } else if (neighbour.mac == wanted->second) {
                right.insert(neighbour.ip);
            }
        }
        for (const auto& [ip, mac] : neighbours) {
            if (!right.contains(ip)) {
                settings_.push_back(
                    {Place::kNetwork, std::nullopt, PutNeighbour{{.link = link.index, .ip = ip, .mac = mac}}});
            }
        }
    }

    void plan_pair(const WantedPair& pair) {
        const auto [port, blocked] = find_own(pair.name, "veth", pair.alias, pair.endpoint);
        const auto seen = have_.containers.find(pair.endpoint);
        const bool reachable = seen != have_.containers.end();
        const Link* end = port != nullptr && reachable ? container_end(pair, *port, seen->second) : nullptr;
        if (port != nullptr && reachable && end == nullptr) {
            remove(*port, pair.endpoint);  // its other end is elsewhere
        }
        const bool missing = port == nullptr || (reachable && end == nullptr);
        if (missing) {
            if (reachable && !blocked) {
                create_pair(pair, seen->second);
            }
            return;
        }
        attach(*port, pair.bridge, pair.port, pair.endpoint);
        plan_port_entry(*port, pair);
        if (end != nullptr) {
            plan_container_end(*end, pair, seen->second);
        }
        set_link(Place::kNetwork, pair.endpoint, *port, {.alias = pair.alias, .mtu = pair.mtu, .up = true});
    }

    void create_pair(const WantedPair& pair, const SeenNamespace& container) {
        auto& chosen = chosen_[pair.netns];
        std::string ifname = pair.ifname.empty() ? first_free(pair.ifnames, container, chosen) : pair.ifname;
        chosen.insert(ifname);
        creations_.push_back(
            {Place::kNetwork, pair.endpoint, CreatePair{pair.name, pair.netns, std::move(ifname), pair.mac, pair.mtu}});
    }

    void plan_port_entry(const Link& port, const WantedPair& pair) {
        bool there = false;
        for (const auto& entry : find_or_empty(have_.network.forwarding, port.index)) {
            if (entry.table != FdbTable::kBridge || entry.state == FdbState::kPermanent) {
                continue;  // the port's own
            }
            if (entry.mac != pair.mac) {
                drop_if_learned(entry);
            } else if (entry.vlan == 0 && entry.state == FdbState::kStatic) {
                there = true;
            }
        }
        // Without the bridge there is nothing to put it into; attach() has just seen to the membership.
        if (!there && links_.find(pair.bridge) != nullptr) {
            settings_.push_back(
                {Place::kNetwork, pair.endpoint,
                 PutForwarding{
                     {.link = port.index, .mac = pair.mac, .table = FdbTable::kBridge, .state = FdbState::kStatic}}});
        }
    }

    static bool is_not_the_ports(const FdbEntry& entry) {
        return entry.state != FdbState::kPermanent && entry.vlan == 0;
    }

    // An entry of the bridge that says a MAC address is behind a port, and that we did not make.
    void drop_if_learned(const FdbEntry& entry) {
        if (is_not_the_ports(entry)) {
            settings_.push_back({Place::kNetwork, std::nullopt, DeleteForwarding{entry}});
        }
    }

    void plan_container_end(const Link& end, const WantedPair& pair, const SeenNamespace& container) {
        const auto& addresses = find_or_empty(container.addresses, end.index);
        for (const auto& address : addresses) {
            const bool former = !contains(pair.addresses, address) &&
                                std::any_of(pair.subnets.begin(), pair.subnets.end(), [&](const base::Prefix& subnet) {
                                    return subnet.contains(address.address);
                                });
            if (former) {
                settings_.push_back({Place::kContainer, pair.endpoint, DeleteAddress{end.index, address}});
            }
        }
        add_addresses(Place::kContainer, pair.endpoint, end, pair.addresses, addresses);
        set_link(Place::kContainer, pair.endpoint, end,
                 {.alias = pair.alias, .mac = pair.mac, .mtu = pair.mtu, .up = true});
        for (const auto& route : pair.routes) {
            plan_route(end, pair, route, container);
        }
    }

    void add_addresses(Place place, std::optional<base::EndpointId> endpoint, const Link& link,
                       const std::vector<base::Prefix>& wanted, const std::vector<base::Prefix>& there) {
        for (const auto& address : wanted) {
            if (contains(there, address)) {
                continue;
            }
            if (address.address.family == base::Family::kIpv6) {
                settings_.push_back({place, endpoint, TurnOnIpv6{link.name}});
            }
            settings_.push_back({place, endpoint, AddAddress{link.index, address}});
        }
    }

    // A route through another interface is the container's own affair, and is left alone.
    void plan_route(const Link& end, const WantedPair& pair, const WantedRoute& wanted,
                    const SeenNamespace& container) {
        const auto& routes = container.routes;
        const bool settled = std::any_of(routes.begin(), routes.end(), [&](const netlink::Route& route) {
            return route.destination == wanted.destination && (route.link != end.index || route.gateway == wanted.via);
        });
        if (!settled) {
            settings_.push_back(
                {Place::kContainer, pair.endpoint,
                 PutRoute{{.destination = wanted.destination, .link = end.index, .gateway = wanted.via}}});
        }
    }

    const Link* find_bridge(std::string_view name) const {
        const Link* bridge = links_.find(name);
        return bridge != nullptr && bridge->kind == "bridge" ? bridge : nullptr;
    }

    // Into the bridge, if that is there already, and only then with the port's options: they belong to the membership.
    void attach(const Link& link, std::string_view bridge, const netlink::BridgePort& options,
                std::optional<base::EndpointId> endpoint) {
        enslave(link, bridge, endpoint);
        set_port(link, bridge, options, endpoint);
    }

    void enslave(const Link& link, std::string_view bridge_name, std::optional<base::EndpointId> endpoint) {
        const Link* bridge = find_bridge(bridge_name);
        if (bridge != nullptr && link.master != bridge->index) {
            settings_.push_back(
                {Place::kNetwork, endpoint, SetLink{.link = link.index, .name = link.name, .master = bridge->index}});
        }
    }

    void set_port(const Link& link, std::string_view bridge_name, const netlink::BridgePort& options,
                  std::optional<base::EndpointId> endpoint) {
        const Link* bridge = find_bridge(bridge_name);
        if (bridge != nullptr && (link.master != bridge->index || link.port != options)) {
            settings_.push_back({Place::kNetwork, endpoint, SetPort{link.index, link.name, options}});
        }
    }

    struct Properties {
        std::string alias;
        std::optional<base::MacAddress> mac{};
        base::Mtu mtu;
        bool up = true;
    };
    void set_link(Place place, std::optional<base::EndpointId> endpoint, const Link& link, const Properties& wanted) {
        SetLink change{.link = link.index, .name = link.name};
        if (link.alias != wanted.alias) {
            change.alias = wanted.alias;
        }
        if (wanted.mac && link.mac != *wanted.mac) {
            change.mac = wanted.mac;
        }
        if (link.mtu != wanted.mtu) {
            change.mtu = wanted.mtu;
        }
        if (link.up != wanted.up) {
            change.up = wanted.up;
        }
        if (change.alias || change.mac || change.mtu || change.up) {
            settings_.push_back({place, endpoint, std::move(change)});
        }
    }

    const Desired& want_;
    const Observed& have_;
    LinksByName links_;  // of the network's namespace
    Plan out_;
    std::set<std::string> kept_marks_;
    std::map<std::string, std::set<std::string>> chosen_;  // interface names of this plan, by container namespace
    std::vector<Step> deletions_;
    std::vector<Step> creations_;
    std::vector<Step> settings_;
};

std::string text_of(const FdbEntry& entry) {
    if (is_default(entry)) {
        return fmt::format("copies of broadcast and multicast to {}", entry.destination.value_or(base::IpAddress{}));
    }
    return entry.destination ? fmt::format("forwarding entry {} to {}", entry.mac, *entry.destination)
                             : fmt::format("forwarding entry {}", entry.mac);
}

struct Describe {
    std::string operator()(const DeleteLink& a) const { return fmt::format("delete {}", a.name); }
    std::string operator()(const CreateBridge& a) const { return fmt::format("create bridge {}", a.bridge.name); }
    std::string operator()(const CreateVxlan& a) const {
        return fmt::format("create vxlan {} (VNI {}, UDP port {})", a.name, a.options.vni, a.options.port);
    }
    std::string operator()(const CreatePair& a) const {
        return fmt::format("create interface {} in namespace {}", a.ifname, a.netns);
    }
    std::string operator()(const SetLink& a) const {
        return a.up && *a.up ? fmt::format("set up {}", a.name) : fmt::format("change {}", a.name);
    }
    std::string operator()(const SetBridge& a) const { return fmt::format("set options of bridge {}", a.name); }
    std::string operator()(const SetPort& a) const { return fmt::format("set port options of {}", a.name); }
    std::string operator()(const SetSegmentation& a) const {
        return fmt::format("turn segmentation offload of {} {}", a.name, a.on ? "on" : "off");
    }
    std::string operator()(const TurnOnForwarding& /*step*/) const { return "turn on forwarding"; }
    std::string operator()(const TurnOnIpv6& a) const { return fmt::format("turn on IPv6 on {}", a.name); }
    std::string operator()(const AddAddress& a) const { return fmt::format("add address {}", a.address); }
    std::string operator()(const DeleteAddress& a) const { return fmt::format("delete address {}", a.address); }
    std::string operator()(const PutForwarding& a) const { return fmt::format("put {}", text_of(a.entry)); }
    std::string operator()(const DeleteForwarding& a) const { return fmt::format("delete {}", text_of(a.entry)); }
    std::string operator()(const PutNeighbour& a) const {
        return fmt::format("put neighbour {} with {}", a.neighbour.ip, a.neighbour.mac);
    }
    std::string operator()(const DeleteNeighbour& a) const {
        return fmt::format("delete neighbour {}", a.neighbour.ip);
    }
    std::string operator()(const PutRoute& a) const {
        return fmt::format("put the route to {} through {}", a.route.destination, *a.route.gateway);
    }
};

}  // namespace

std::string describe(const Step& step) {
    return std::visit(Describe{}, step.action);
}

LinksByName::LinksByName(const SeenNamespace& where) {
    for (const auto& link : where.links) {
        links_.emplace(link.name, &link);
    }
}

const netlink::Link* LinksByName::find(std::string_view name) const {
    const auto found = links_.find(name);
    return found == links_.end() ? nullptr : found->second;
}

Plan diff(const Desired& want, const Observed& have) {
    return Planner(want, have).plan();
}

bool is_ours(const netlink::Link& link, std::string_view mark) {
    if (link.alias.starts_with(mark) && (link.alias.size() == mark.size() || link.alias[mark.size()] == ':')) {
        return true;
    }
    return is_unmarked_pair(link);
}

bool is_of(const netlink::Link& link, std::string_view subject) {
    const auto parts = base::split(link.alias, ':');
    const bool marked = parts.size() >= 3 && parts[0] == "warren" && parts[2] == subject;
    return marked || is_unmarked_pair(link);
}

const netlink::Link* container_end(const WantedPair& pair, const netlink::Link& port, const SeenNamespace& container) {
    const auto found = std::find_if(container.links.begin(), container.links.end(), [&](const Link& link) {
        // The alias comes after the creation; until then the random MAC address tells.
        const bool marked = link.alias == pair.alias || (link.alias.empty() && link.mac == pair.mac);
        return marked && link.kind == "veth" && link.lower == port.index && port.lower == link.index;
    });
    return found == container.links.end() ? nullptr : &*found;
}

}  // namespace warren::overlay
