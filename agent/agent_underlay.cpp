#include <algorithm>
#include <utility>

#include "agent/agent.h"
#include "base/log.h"
#include "doctor/mtu_check.h"
#include "proto/wire.h"

// What the agent does to follow its underlay: what that carries, and what the host has routes to.
namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
// Between two looks because of events: whoever changes many routes must not keep this host busy.
constexpr base::Duration kPace = std::chrono::seconds(1);

std::string text_of(const overlay::UnderlayMtu& underlay) {
    auto text = fmt::format("{} MTU {}", underlay.device.ifname, underlay.device.mtu);
    for (const auto& way : underlay.narrow) {
        text += fmt::format(", to {} {} ({})", way.to, way.mtu, way.by);
    }
    return text;
}

}  // namespace

std::set<base::IpAddress> Agent::underlay_peers() const {
    std::set<base::IpAddress> peers;
    if (!membership_) {
        return peers;
    }
    const auto own = self();
    for (const auto& [id, state] : networks_) {
        for (const auto& [node, member] : state.view.members) {
            if (node != own.node && member.vtep.family == own.vtep.family) {
                peers.insert(member.vtep);
            }
        }
    }
    return peers;
}

void Agent::on_underlay_events() {
    underlay_watch_->take();
    underlay_changed();
}

void Agent::underlay_changed() {
    if (base::steady_now() - underlay_looked_ < kPace) {
        underlay_due_ = true;
    } else {
        look_at_underlay();
    }
}

void Agent::look_at_underlay() {
    underlay_due_ = false;
    underlay_looked_ = base::steady_now();
    if (!membership_) {
        return;
    }
    tell_host_networks();
    underlay_peers_ = underlay_peers();
    auto seen = overlay::read_underlay_mtu(self().vtep, underlay_peers_);
    if (!seen) {
        return;  // no interface has the address now: what was last holds until one has it again
    }
    if (*seen != underlay_) {
        kLog.info("the underlay: {}", text_of(*seen));
    }
    underlay_ = *std::move(seen);
    tell_underlay();
}

v1::UnderlayMtu Agent::underlay_message() const {
    v1::UnderlayMtu message;
    message.set_mtu(underlay_.device.mtu.value);
    for (const auto& way : underlay_.narrow) {
        auto& route = *message.add_narrow_routes();
        route.set_to(proto::raw(way.to));
        route.set_mtu(way.mtu.value);
    }
    return message;
}

void Agent::tell_underlay() {
    if (!welcomed_ || told_underlay_ == underlay_) {
        return;
    }
    told_underlay_ = underlay_;
    v1::FromAgent message;
    *message.mutable_underlay_mtu() = underlay_message();
    session_->send(std::move(message));
}

void Agent::tell_host_networks() {
    if (!welcomed_) {
        return;
    }
    auto networks = host_networks(host_resolvers(options_.resolv_conf));
    if (networks == told_host_networks_) {
        return;
    }
    told_host_networks_ = std::move(networks);
    v1::FromAgent message;
    message.mutable_host_networks()->mutable_networks()->Assign(told_host_networks_.begin(), told_host_networks_.end());
    session_->send(std::move(message));
}

doctor::MtuSight Agent::mtu_sight(const NetworkView& view) const {
    const auto own = self();
    doctor::MtuSight sight{.network = view.name,
                           .mtu = view.mtu,
                           .protection = protection(view),
                           .family = own.vtep.family,
                           .underlay = underlay_.device.mtu,
                           .by = "device " + underlay_.device.ifname};
    for (const auto& way : underlay_.narrow) {
        const bool matters = std::any_of(view.members.begin(), view.members.end(),
                                         [&](const auto& member) { return member.second.vtep == way.to; });
        if (matters && way.mtu < sight.underlay) {
            sight.underlay = way.mtu;
            sight.by = fmt::format("{}, the way to {},", way.by, way.to);
        }
    }
    if (view.narrowest) {
        sight.culprit = {.node = view.narrowest->node,
                         .here = view.narrowest->id == own.node,
                         .underlay = view.narrowest->underlay,
                         .peer = view.narrowest->peer};
    }
    return sight;
}

std::vector<std::string> Agent::underlay_problems() const {
    std::vector<std::string> problems;
    for (const auto& [id, state] : networks_) {
        if (auto problem = doctor::mtu_problem(mtu_sight(state.view))) {
            problems.push_back(fmt::format("network {}: {}", state.view.name, *problem));
        }
    }
    return problems;
}

std::vector<doctor::Finding> Agent::examine_mtus() const {
    std::vector<doctor::Finding> findings;
    const auto learned = overlay::learned_mtus(self().vtep, underlay_peers());
    for (const auto& [id, state] : networks_) {
        auto sight = mtu_sight(state.view);
        for (const auto& [node, member] : state.view.members) {
            std::ranges::copy_if(learned, std::back_inserter(sight.learned),
                                 [&vtep = member.vtep](const auto& it) { return it.to == vtep; });
        }
        std::ranges::move(doctor::check_mtu(sight), std::back_inserter(findings));
    }
    return findings;
}

}  // namespace warren::agent
