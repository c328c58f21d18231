#include <utility>

#include "agent/agent.h"
#include "base/log.h"
#include "proto/wire.h"

// What the agent does when the kernel is not as it has left it.
namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
// Between two looks at a network because of events of its links.
constexpr base::Duration kPace = std::chrono::milliseconds(200);

std::string what_was_wrong(const Applied& applied) {
    const auto some = [](std::size_t count, std::string_view one, std::string_view more) {
        return fmt::format("{} {}", count, count == 1 ? one : more);
    };
    const auto policies = some(applied.policies, "IPsec policy", "IPsec policies");
    const auto links = some(applied.links, "setting of its links", "settings of its links");
    if (applied.policies > 0 && applied.links > 0) {
        return policies + " and " + links;
    }
    return applied.policies > 0 ? policies : links;
}

}  // namespace

void Agent::on_key_events() {
    take_changes(fabric_->handle_key_events());
    guard_networks();
}

void Agent::on_link_events() {
    const auto now = base::steady_now();
    for (const auto& id : fabric_->handle_link_events()) {
        const auto network = networks_.find(id);
        if (network == networks_.end()) {
            continue;
        }
        // What a container does to its interface is an event, too: it must not keep this host busy.
        auto& state = network->second;
        if (now - state.looked < kPace) {
            state.look_due = true;
            look_soon();
        } else {
            state.looked = now;
            look(id);
        }
    }
}

void Agent::look_soon() {
    if (std::exchange(pacing_, true)) {
        return;
    }
    pace_timer_.expires_after(kPace);
    pace_timer_.async_wait([this](const asio::error_code& error) {
        if (error) {
            return;
        }
        pacing_ = false;
        for (auto& [id, state] : networks_) {
            if (std::exchange(state.look_due, false)) {
                state.looked = base::steady_now();
                look(id);
            }
        }
    });
}

void Agent::on_firewall_events() {
    const auto now = base::steady_now();
    if (firewall_held_until_ && now < *firewall_held_until_) {
        fabric_->put_off_firewall_events();
        guard_networks();
        return;
    }
    firewall_held_until_.reset();
    const auto restored = fabric_->handle_firewall_events();
    if (!restored) {
        if (firewall_problem_ != restored.error().message()) {
            firewall_problem_ = restored.error().message();
            kLog.error("nft table inet warren can't be put back: {}; trying again", firewall_problem_);
        }
        fabric_->put_off_firewall_events();
        firewall_held_until_ = now;  // the next tick
        guard_networks();
        return;
    }
    firewall_problem_.clear();
    if (*restored) {
        ++repaired_;
        firewall_held_until_ = firewall_repairs_.note(now, (*restored)->by);
        tell_repair(std::nullopt, "the nft table inet warren", firewall_repairs_, firewall_held_until_);
    }
}

// While something is not put right at once, no network may be left without any barrier.
void Agent::guard_networks() {
    const auto now = base::steady_now();
    for (auto& [id, state] : networks_) {
        if (!firewall_held_until_ && !state.held_until) {
            continue;
        }
        state.quiet_from = now + kQuiet;
        state.guarded = true;
        if (const auto stopped = fabric_->guard(state.view, self()); !stopped) {
            kLog.error("network {}: its VXLAN device can't be stopped: {}", state.view.name, stopped.error().message());
        }
    }
}

bool Agent::besieged(const NetworkState& state, base::Moment now) const {
    return state.view.encrypted && state.repairs.fought(now) > 0 && firewall_repairs_.fought(now) > 0 &&
           now < state.quiet_from;
}

void Agent::note_repair(const base::NetworkId& id, NetworkState& state) {
    const auto now = base::steady_now();
    ++repaired_;
    state.held_until = state.repairs.note(now, state.changed_by);
    state.quiet_from = now + kQuiet;
    tell_repair(id, what_was_wrong(state.applied), state.repairs, state.held_until);
}

void Agent::tell_repair(const std::optional<base::NetworkId>& id, const std::string& what, const Repairs& repairs,
                        const std::optional<base::Moment>& next) {
    const auto now = base::steady_now();
    auto text = fmt::format("{}: changed by {}, and put right", what,
                            repairs.last_by().empty() ? "another program" : repairs.last_by());
    if (next) {
        text += fmt::format(", for the {}th time in a row; the next time not before {} have passed",
                            repairs.fought(now), base::format_age(*next - now));
    }
    kLog.warn("{}{}", id ? fmt::format("network {}: ", networks_.at(*id).view.name) : "", text);
    if (!welcomed_) {
        return;
    }
    v1::FromAgent message;
    auto& repaired = *message.mutable_repaired();
    if (id) {
        repaired.set_network_id(proto::raw(*id));
    }
    repaired.set_what(text);
    session_->send(std::move(message));
}

}  // namespace warren::agent
