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
    // Where the newest SA of a pair was deleted the sender makes do with an older one until a rotation heals the pair.
    const auto newest = makes_do_.find({sa.sender_id, sa.receiver_id});
    const bool makes_do = newest != makes_do_.end() && sa.epoch < newest->second;
    return makes_do || lost_.contains(sa) || cut(sa.sender_id) || cut(sa.receiver_id);
}

// A kernel changed: all that it sends, and all that is sent to it.
void World::check_kernel(NodeNumber number) {
    for (NodeNumber peer = 0; peer < static_cast<NodeNumber>(nodes_.size()); ++peer) {
        if (peer != number) {
            check_pair(number, peer);
            check_pair(peer, number);
        }
    }
}

void World::check_pair(NodeNumber sender, NodeNumber receiver) {
    const Agent& from = *nodes_[static_cast<std::size_t>(sender)].agent;
    const Agent& to = *nodes_[static_cast<std::size_t>(receiver)].agent;
    const auto established = established_.find({sender, receiver});
    bool there = false;
    from.each_outbound([&](const SaName& sa, const xfrm::FakeKernel::State& state) {
        if (sa.receiver != receiver || !is_current(sa)) {
            return;
        }
        there = there || (established != established_.end() && sa.sender_id == established->second.sender_id &&
                          sa.receiver_id == established->second.receiver_id);
        if (!to.accepts(state) && !is_excused(sa)) {
            fail("a packet sent now is lost: " + text(sa));
        }
    });
    if (!there && established != established_.end() && is_current(established->second) &&
        !is_excused(established->second)) {
        fail("a pair that could talk can't any more: " + text(established->second));
    }
}

// Deleted by somebody at this node, or an outbound one on its record when its daemon was killed before the kernel had
// it.
void World::lose(NodeNumber number, const SaName& sa) {
    log("node {} has lost the SA of {}", number, text(sa));
    lost_.insert(sa);
    if (sa.sender == number) {
        Epoch& newest = makes_do_[{sa.sender_id, sa.receiver_id}];
        newest = std::max(newest, sa.epoch);
    }
}

void World::check_key(const SaName& sa, const std::vector<std::uint8_t>& key, bool outbound) {
    if (!outbound) {
        if (used_outbound_.contains(key)) {
            fail(fmt::format("a receiver begins anew with a key that its sender has used: {}", text(sa)));
        }
        return;
    }
    if (const auto [used, fresh] = used_outbound_.emplace(key, sa); !fresh) {
        fail(fmt::format("a key is used outbound twice: {}, before: {}", text(sa), text(used->second)));
    }
    established_[{sa.sender, sa.receiver}] = sa;
}

// What has just arrived: secrets of epochs that were alive while the node was a member, and of no other.
void World::check_secrets(NodeNumber number, const Update& update) {
    const Node& node = nodes_[static_cast<std::size_t>(number)];
    const keymgr::End self = update.members.at(number).end;
    const auto left = left_at_.find(number);
    for (const keymgr::HeldEpoch& epoch : update.epochs) {
        if (epoch.superseded != Revision{} && epoch.superseded <= self.since) {
            fail(fmt::format("node {} joined at {} and got epoch {}, over since {}", number, self.since, epoch.number,
                             epoch.superseded));
        }
        if (membership(number) == nullptr && (left == left_at_.end() || epoch.since > left->second)) {
            fail(fmt::format("node {} is no member and got epoch {}", number, epoch.number));
        }
        if (node.removed) {
            fail(fmt::format("node {} got epoch {} after its removal", number, epoch.number));
        }
    }
}

// Nobody that is there may be left behind.
void World::check_activation(const keymgr::Event& event) {
    const auto epoch = std::ranges::find(state_.epochs, event.epoch, &keymgr::EpochState::number);
    for (const keymgr::Member& one : members()) {
        const bool patient = now_ - made_at_[event.epoch] < settings_.patience;
        if (one.connected && patient && one.since <= epoch->since && one.acked < epoch->since) {
            fail(fmt::format("epoch {} active without {}", event.epoch, one.id));
        }
    }
}

void World::check_state() {
    if (broken_) {
        return;
    }
    const auto all = members();
    const bool anybody = std::ranges::any_of(
        all, [&](const keymgr::Member& one) { return keymgr::is_present(one, settings_, manager_now()); });
    std::set<base::EpochSlot> slots;
    std::size_t active = 0;
    for (const keymgr::EpochState& epoch : state_.epochs) {
        if (!slots.insert(epoch.slot).second || epoch.slot.value >= keymgr::kSlots) {
            fail(fmt::format("slot {} of epoch {} is not its own", epoch.slot, epoch.number));
        }
        active += epoch.stage == keymgr::Stage::kActive ? 1U : 0U;
        const bool lingers = epoch.stage == keymgr::Stage::kDraining || epoch.stage == keymgr::Stage::kKept;
        if (anybody && lingers && epoch.number < state_.revoked_below) {
            fail(fmt::format("epoch {}, which a removed node knew, lingers", epoch.number));
        }
        if (anybody && epoch.stage == keymgr::Stage::kKept && !epoch.moved &&
            manager_now() - epoch.superseded_time >= settings_.straggler_limit) {
            fail(fmt::format("epoch {} is kept beyond the straggler limit", epoch.number));
        }
    }
    if (active != 1) {
        fail(fmt::format("{} active epochs", active));
    }
    const bool coming = state_.pending || std::ranges::any_of(state_.epochs, [](const keymgr::EpochState& epoch) {
                            return epoch.stage == keymgr::Stage::kInstalling;
                        });
    if (state_.active < owed_ && !coming) {
        fail(fmt::format("epoch {} is owed to somebody and forgotten, {} is active", owed_, state_.active));
    }
    const auto again = keymgr::step(state_, all, settings_, manager_now(), Revision(revision_.value + 1), 0);
    if (again.state) {
        fail("step() leaves something for the next step()");
    }
}

void World::check_removals() {
    for (const auto& [removed, target] : removals_) {
        const auto& known = nodes_[static_cast<std::size_t>(removed)].agent->view();
        if (known && known->epochs.back().number >= target) {
            fail(fmt::format("node {} got epoch {} after its removal", removed, known->epochs.back().number));
        }
        if (!keymgr::unconfirmed(state_, target, members()).empty()) {
            continue;
        }
        for (const Membership& one : memberships_) {
            for (const SaName& sa : nodes_[static_cast<std::size_t>(one.node)].agent->inbound()) {
                if (sa.epoch < target) {
                    fail(fmt::format("node {} still accepts epoch {}, which a removed node knew", one.node, sa.epoch));
                }
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
            const auto sent = agent.outbound_to(peer.node);
            if (sent.size() != 1 || sent.front().epoch != state_.active || !is_current(sent.front())) {
                fail(fmt::format("node {} can't send to node {}", self.node, peer.node));
            }
            check_pair(self.node, peer.node);
        }
        if (agent.inbound().size() != memberships_.size() - 1) {
            fail(fmt::format("node {} has {} inbound SAs left", self.node, agent.inbound().size()));
        }
    }
    check_removals();
}

}  // namespace warren::sim
