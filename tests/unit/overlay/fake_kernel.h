#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "overlay/diff.h"

namespace warren::overlay {

// As much of a kernel as the steps of a plan need: the network's namespace and those of the containers in maps, with
// the kernel's rules about what needs what. A step that breaks one of them, or touches what is not ours, is remembered
// in `complaints`.
struct FakeKernel {
    Observed state;
    std::string mark;
    std::vector<std::string> complaints;

    void apply(const Plan& plan) {
        for (const auto& step : plan.steps) {
            step_ = &step;
            std::visit([this](const auto& action) { run(action); }, step.action);
        }
    }

  private:
    SeenNamespace& where() {
        if (step_->place == Place::kContainer) {
            return state.containers.at(*step_->endpoint);
        }
        return state.network;
    }
    void complain(const std::string& why) { complaints.push_back(describe(*step_) + ": " + why); }

    netlink::Link* find(SeenNamespace& ns, base::IfIndex index) {
        for (auto& link : ns.links) {
            if (link.index == index) {
                return &link;
            }
        }
        complain("ENODEV");
        return nullptr;
    }
    // For changes: the link must be ours, or new and ours to be.
    netlink::Link* own(base::IfIndex index) {
        netlink::Link* link = find(where(), index);
        const bool fresh = link != nullptr && link->alias.empty() && created_.contains(index);
        if (link != nullptr && !fresh && !is_ours(*link, mark)) {
            complain("touches a foreign link");
        }
        return link;
    }
    bool add(SeenNamespace& ns, netlink::Link link) {
        for (const auto& other : ns.links) {
            if (other.name == link.name) {
                complain("EEXIST");
                return false;
            }
        }
        created_.insert(link.index);
        ns.links.push_back(std::move(link));
        return true;
    }

    void run(const DeleteLink& a) {
        const netlink::Link* link = own(a.link);
        if (link == nullptr) {
            return;
        }
        const base::IfIndex lower = link->lower;
        erase(state.network, a.link);
        for (auto& [id, container] : state.containers) {
            erase(container, lower);
        }
    }
    void erase(SeenNamespace& ns, base::IfIndex index) {
        std::erase_if(ns.links, [&](const auto& link) { return link.index == index; });
        for (auto& link : ns.links) {
            if (link.master == index) {
                link.master = base::IfIndex(0);
                link.port.reset();
                forget_port(ns, link.index);
            }
        }
        ns.addresses.erase(index);
        ns.forwarding.erase(index);
        ns.neighbours.erase(index);
        ns.segmentation.erase(index);
        std::erase_if(ns.routes, [&](const auto& route) { return route.link == index; });
    }
    // What the bridge knows of a port goes with its membership.
    void forget_port(SeenNamespace& ns, base::IfIndex port) {
        std::erase_if(ns.forwarding[port], [this](const auto& entry) {
            const bool goes = entry.table == netlink::FdbTable::kBridge;
            if (goes) {
                moved_.insert(entry);
            }
            return goes;
        });
    }
    void run(const CreateBridge& a) {
        add(state.network, {.index = next(),
                            .name = a.bridge.name,
                            .kind = "bridge",
                            .mac = a.bridge.mac,
                            .mtu = a.bridge.mtu,
                            .bridge = a.bridge.options});
    }
    void run(const CreateVxlan& a) {
        if (step_->place != Place::kHost) {
            complain("the socket would be in the wrong namespace");
        }
        const base::IfIndex index = next();
        if (add(state.network, {.index = index, .name = a.name, .kind = "vxlan", .mtu = a.mtu, .vxlan = a.options})) {
            state.network.segmentation[index] = true;
        }
    }
    void run(const CreatePair& a) {
        const base::IfIndex port = next();
        const base::IfIndex end = next();
        auto& container = state.containers.at(*step_->endpoint);
        if (add(container,
                {.index = end, .name = a.ifname, .kind = "veth", .mac = a.mac, .mtu = a.mtu, .lower = port})) {
            add(state.network, {.index = port, .name = a.name, .kind = "veth", .mtu = a.mtu, .lower = end});
        }
    }
    void run(const SetLink& a) {
        netlink::Link* link = own(a.link);
        if (link == nullptr) {
            return;
        }
        link->alias = a.alias.value_or(link->alias);
        link->mac = a.mac.value_or(link->mac);
        link->mtu = a.mtu.value_or(link->mtu);
        link->up = a.up.value_or(link->up);
        if (a.master) {
            link->master = *a.master;
            forget_port(where(), link->index);
            link->port = netlink::BridgePort{};
        }
        if (a.up && link->master.value != 0 && link->port && link->port->learning) {
            complain("is up before it is told not to learn");
        }
    }
    void run(const SetBridge& a) {
        if (auto* link = own(a.link)) {
            link->bridge = a.options;
        }
    }
    void run(const SetPort& a) {
        auto* link = own(a.link);
        if (link != nullptr && !link->port) {
            complain("EINVAL: no bridge port");
        } else if (link != nullptr) {
            link->port = a.options;
            const auto& entries = state.network.forwarding[a.link];
            if (a.options.unicast_flood && std::any_of(entries.begin(), entries.end(), is_default)) {
                complain("would copy unknown unicast to everybody");
            }
        }
    }
    void run(const SetSegmentation& a) {
        if (own(a.link) != nullptr) {
            state.network.segmentation[a.link] = a.on;
        }
    }
    void run(const TurnOnForwarding& /*a*/) { state.network.forwards = true; }
    void run(const TurnOnIpv6& a) { ipv6_.insert({step_->endpoint, a.name}); }
    void run(const AddAddress& a) {
        const auto* link = find(where(), a.link);
        if (a.address.address.family == base::Family::kIpv6 && link != nullptr &&
            !ipv6_.contains({step_->endpoint, link->name})) {
            complain("EACCES: IPv6 may be off");
        }
        if (own(a.link) != nullptr) {
            where().addresses[a.link].push_back(a.address);
        }
    }
    void run(const DeleteAddress& a) {
        if (own(a.link) != nullptr && std::erase(where().addresses[a.link], a.address) == 0) {
            complain("EADDRNOTAVAIL");
        }
    }
    void run(const PutForwarding& a) {
        auto* link = own(a.entry.link);
        if (link == nullptr) {
            return;
        }
        if (a.entry.table == netlink::FdbTable::kBridge && link->master.value == 0) {
            complain("EINVAL: no bridge port");
        }
        if (a.entry.table == netlink::FdbTable::kBridge) {
            forget_mac(a.entry.mac, link->master);
        }
        auto& entries = state.network.forwarding[a.entry.link];
        if (is_default(a.entry)) {  // one of many
            if (std::find(entries.begin(), entries.end(), a.entry) != entries.end()) {
                complain("is there already");
                return;
            }
            if (link->port && link->port->unicast_flood) {
                complain("would copy unknown unicast to everybody");
            }
        } else {
            std::erase_if(entries, [&](const auto& e) { return e.mac == a.entry.mac && e.table == a.entry.table; });
        }
        entries.push_back(a.entry);
    }
    // A bridge has a MAC address behind one port.
    void forget_mac(base::MacAddress mac, base::IfIndex bridge) {
        for (const auto& link : state.network.links) {
            if (link.master == bridge) {
                std::erase_if(state.network.forwarding[link.index], [&](const auto& e) {
                    const bool moves = e.mac == mac && e.table == netlink::FdbTable::kBridge;
                    if (moves) {
                        moved_.insert(e);
                    }
                    return moves;
                });
            }
        }
    }
    void run(const DeleteForwarding& a) {
        const bool there =
            own(a.entry.link) == nullptr || std::erase(state.network.forwarding[a.entry.link], a.entry) > 0;
        if (!there && !moved_.contains(a.entry)) {
            complain("ENOENT");
        }
    }
    void run(const PutNeighbour& a) {
        if (own(a.neighbour.link) != nullptr) {
            auto& entries = state.network.neighbours[a.neighbour.link];
            std::erase_if(entries, [&](const auto& n) { return n.ip == a.neighbour.ip; });
            entries.push_back(a.neighbour);
        }
    }
    void run(const DeleteNeighbour& a) {
        if (own(a.neighbour.link) != nullptr &&
            std::erase(state.network.neighbours[a.neighbour.link], a.neighbour) == 0) {
            complain("ENOENT");
        }
    }

    void run(const PutRoute& a) {
        if (own(a.route.link) != nullptr) {
            where().routes.push_back(a.route);
        }
    }

    base::IfIndex next() { return base::IfIndex(++last_index_); }

    const Step* step_ = nullptr;
    std::set<base::IfIndex> created_;
    std::set<std::pair<std::optional<base::EndpointId>, std::string>> ipv6_;
    std::set<netlink::FdbEntry> moved_;  // or gone with a membership: their deletion fails, and need not work
    std::uint32_t last_index_ = 100;
};

}  // namespace warren::overlay
