#include <algorithm>

#include "tests/sim/world.h"

namespace warren::sim {

using base::Epoch;
using base::MembershipId;
using base::Revision;

void World::fail(const std::string& what) {
    if (broken_) {
        return;
    }
    trace("BROKEN: " + what);
    broken_ = fmt::format("{}", fmt::join(trace_, "\n"));
}

// Whether both ends are members under these ids, and the receiver still is the machine that it was.
bool World::is_current(const SaName& sa) {
    const auto is = [&](NodeNumber number, MembershipId id) {
        const Membership* const known = membership(number);
        const Node& node = nodes_[static_cast<std::size_t>(number)];
        return known != nullptr && known->id == id && known->boot == node.boot && known->address == node.address;
    };
    return is(sa.sender, sa.sender_id) && is(sa.receiver, sa.receiver_id);
}

// Somebody deleted the SA, or one of the two has been cut off, with an event.
bool World::is_excused(const SaName& sa) const {
    const auto cut = [&](MembershipId id) {
        const auto found = cut_below_.find(id);
        return found != cut_below_.end() && sa.epoch < found->second;
    };
    return lost_.contains(sa) || cut(sa.sender_id) || cut(sa.receiver_id);
}

void World::check_kernels() {
    for (const Node& node : nodes_) {
        for (const auto& [peer, sa] : node.agent->all_outbound()) {
            const Agent& receiver = *nodes_[static_cast<std::size_t>(peer)].agent;
            if (is_current(sa) && !is_excused(sa) && !receiver.accepts(sa)) {
                fail("a packet sent now is lost: " + text(sa));
            }
        }
    }
    for (const auto& [pair, sa] : established_) {
        const SaName* const now = nodes_[static_cast<std::size_t>(pair.first)].agent->outbound(pair.second);
        const bool there = now != nullptr && now->sender_id == sa.sender_id && now->receiver_id == sa.receiver_id;
        if (!there && is_current(sa) && !is_excused(sa)) {
            fail("a pair that could talk can't any more: " + text(sa));
        }
    }
}

void World::check_outbound(const SaName& sa) {
    if (!used_outbound_.insert(sa).second) {
        fail("a key is used outbound twice: " + text(sa));
    }
    established_[{sa.sender, sa.receiver}] = sa;
}

// Nobody that is there may be left behind.
void World::check_activation(const keymgr::Event& event) {
    const auto epoch = std::ranges::find(state_.epochs, event.epoch, &keymgr::EpochState::number);
    for (const keymgr::Member& one : members()) {
        const bool patient = manager_now() - made_at_[event.epoch] < settings_.patience;
        if (one.connected && !jumpy_clock_ && patient && one.since <= epoch->since && one.acked < epoch->since) {
            fail(fmt::format("epoch {} active without {}", event.epoch, one.id));
        }
    }
}

void World::check_state() {
    if (broken_) {
        return;
    }
    std::set<base::EpochSlot> slots;
    std::size_t active = 0;
    for (const keymgr::EpochState& epoch : state_.epochs) {
        if (!slots.insert(epoch.slot).second || epoch.slot.value >= keymgr::kSlots) {
            fail(fmt::format("slot {} of epoch {} is not its own", epoch.slot, epoch.number));
        }
        active += epoch.stage == keymgr::Stage::kActive ? 1U : 0U;
    }
    if (active != 1) {
        fail(fmt::format("{} active epochs", active));
    }
    const auto again = keymgr::step(state_, members(), settings_, manager_now(), Revision(revision_.value + 1), 0);
    if (again.state) {
        fail("step() leaves something for the next step()");
    }
}

void World::check_removals() {
    for (const auto& [removed, target] : removals_) {
        for (const keymgr::HeldEpoch& epoch : nodes_[static_cast<std::size_t>(removed)].agent->view()
                                                  ? nodes_[static_cast<std::size_t>(removed)].agent->view()->epochs
                                                  : std::vector<keymgr::HeldEpoch>{}) {
            if (epoch.number >= target) {
                fail(fmt::format("node {} got epoch {} after its removal", removed, epoch.number));
            }
        }
        if (!keymgr::unconfirmed(state_, target, members()).empty()) {
            continue;
        }
        for (const Membership& one : memberships_) {
            const auto epochs = nodes_[static_cast<std::size_t>(one.node)].agent->inbound_epochs();
            if (!epochs.empty() && *epochs.begin() < target) {
                fail(fmt::format("node {} still accepts epoch {}, which a removed node knew", one.node,
                                 *epochs.begin()));
            }
        }
    }
}

// Some time after the last fault everything has come to rest.
void World::check_quiet() {
    const auto all = members();
    const auto progress = keymgr::progress(state_, all, settings_, manager_now());
    if (!manager_up_ || progress.phase != keymgr::Phase::kIdle || state_.pending || state_.epochs.size() != 1) {
        fail(fmt::format("not at rest: {}, {} epochs, waiting for {}, stragglers {}", name(progress.phase),
                         state_.epochs.size(), fmt::join(progress.waiting_for, ", "),
                         fmt::join(progress.stragglers, ", ")));
    }
    if (!state_.laggards.empty() || progress.retired != all.size()) {
        fail(fmt::format("{} laggards, {} of {} have retired", state_.laggards.size(), progress.retired, all.size()));
    }
    for (const Membership& self : memberships_) {
        const Agent& agent = *nodes_[static_cast<std::size_t>(self.node)].agent;
        for (const Membership& peer : memberships_) {
            if (self.node == peer.node) {
                continue;
            }
            const SaName* const sa = agent.outbound(peer.node);
            if (sa == nullptr || sa->epoch != state_.active || !is_current(*sa) ||
                !nodes_[static_cast<std::size_t>(peer.node)].agent->accepts(*sa)) {
                fail(fmt::format("node {} can't send to node {}", self.node, peer.node));
            }
        }
        if (agent.inbound_count() != memberships_.size() - 1) {
            fail(fmt::format("node {} has {} inbound SAs left", self.node, agent.inbound_count()));
        }
    }
    check_removals();
}

}  // namespace warren::sim
