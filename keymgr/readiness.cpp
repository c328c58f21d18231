#include "keymgr/readiness.h"

#include <algorithm>

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;

bool contains(std::span<const MembershipId> ids, MembershipId id) {
    return std::ranges::find(ids, id) != ids.end();
}

}  // namespace

void AckView::apply(const AckUpdate& update) {
    std::map<MembershipId, Revision> named;
    for (const PeerAck& ack : update.acks) {
        const auto known = acks_.find(ack.member);
        named[ack.member] = std::max({named[ack.member], ack.acked, known == acks_.end() ? floor_ : known->second});
    }
    floor_ = std::max(floor_, update.floor);
    for (auto& [member, acked] : acks_) {
        acked = std::max(acked, update.floor);
    }
    for (const auto& [member, acked] : named) {
        acks_[member] = acked;
    }
    std::erase_if(acks_, [&](const auto& entry) { return entry.second == floor_; });
}

Revision AckView::acked(const End& peer) const {
    const auto found = acks_.find(peer.id);
    const Revision known = found == acks_.end() ? floor_ : found->second;
    return known < peer.since ? Revision{} : known;
}

void AckView::retain(std::span<const MembershipId> members) {
    std::erase_if(acks_, [&](const auto& entry) { return !contains(members, entry.first); });
}

bool is_used_between(const HeldEpoch& epoch, const End& one, const End& other) {
    if (epoch.superseded != Revision{} && epoch.superseded <= std::max(one.since, other.since)) {
        return false;
    }
    return !epoch.kept || contains(epoch.kept_for, one.id) || contains(epoch.kept_for, other.id);
}

Epoch tx_epoch(Epoch active, std::span<const HeldEpoch> epochs, const End& self, const End& peer, Revision peer_acked,
               Epoch in_use) {
    const Revision pair = std::max(self.since, peer.since);
    // Who was sent to under these ids has acknowledged both of them, even if nobody remembers to have been told.
    const Revision acked = in_use == Epoch{} ? peer_acked : std::max(peer_acked, pair);
    Epoch chosen;
    for (const HeldEpoch& epoch : epochs) {
        const bool usable = epoch.number <= active && is_used_between(epoch, self, peer);
        const bool ready = acked >= std::max(epoch.since, pair);
        if (usable && (ready || epoch.number == in_use)) {
            chosen = std::max(chosen, epoch.number);
        }
    }
    return chosen < in_use ? Epoch{} : chosen;
}

std::vector<Epoch> rx_epochs(std::span<const HeldEpoch> epochs, const End& self, const End& peer) {
    std::vector<Epoch> numbers;
    for (const HeldEpoch& epoch : epochs) {
        if (is_used_between(epoch, self, peer)) {
            numbers.push_back(epoch.number);
        }
    }
    return numbers;
}

std::vector<HeldEpoch> held_epochs(const KeyState& state, const Member& member) {
    std::vector<HeldEpoch> held;
    for (const EpochState& epoch : state.epochs) {
        const bool superseded = epoch.superseded != Revision{} && epoch.superseded <= member.since;
        if (epoch.stage == Stage::kRetired || superseded) {
            continue;
        }
        const bool kept = epoch.stage == Stage::kKept;
        held.push_back({.number = epoch.number,
                        .slot = epoch.slot,
                        .parameters = epoch.parameters,
                        .since = epoch.since,
                        .superseded = epoch.superseded,
                        .kept = kept,
                        .kept_for = kept ? epoch.kept_for : std::vector<MembershipId>{}});
    }
    return held;
}

AckUpdate announced_acks(const KeyState& state) {
    AckUpdate update{.floor = state.floor};
    for (const Laggard& laggard : state.laggards) {
        if (laggard.caught_up == Revision{}) {
            update.acks.push_back({.member = laggard.member, .acked = laggard.acked});
        }
    }
    return update;
}

AckUpdate snapshot_acks(const KeyState& state, const Member& self, std::span<const Member> members) {
    AckUpdate update = announced_acks(state);
    for (const Member& member : members) {
        const Revision pair = std::max(self.since, member.since);
        const auto lags = std::ranges::find(update.acks, member.id, &PeerAck::member);
        if (lags != update.acks.end()) {
            lags->acked = std::max(lags->acked, member.acked);
        } else if (member.id != self.id && pair > state.floor && member.acked >= pair) {
            update.acks.push_back({.member = member.id, .acked = member.acked});
        }
    }
    return update;
}

std::span<const Member> ack_listeners(std::span<const Member> by_since, const Member& acker, Revision before) {
    const auto first_after = [&](Revision revision) {
        return std::ranges::upper_bound(by_since, revision, {}, &Member::since);
    };
    const auto first = first_after(before);
    const auto last = first_after(acker.acked);
    return first < last ? std::span<const Member>(first, last) : std::span<const Member>{};
}

}  // namespace warren::keymgr
