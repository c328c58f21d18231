#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "base/ids.h"
#include "keymgr/rotation.h"

// Which SAs a pair of members uses. The agents decide with tx_epoch() and rx_epochs(); the manager gives them what
// these need with held_epochs(), snapshot_acks(), announced_acks() and ack_listeners(). Pure values, like rotation.h.
namespace warren::keymgr {

// An epoch as an agent is told of it (with its secret).
struct HeldEpoch {
    base::Epoch number;
    base::EpochSlot slot;
    EpochParameters parameters;
    base::Revision since;
    base::Revision superseded;                 // 0 = no later epoch was activated
    bool kept = false;                         // retired, but for the pairs of kept_for
    std::vector<base::MembershipId> kept_for;  // only if kept

    bool operator==(const HeldEpoch&) const = default;
};

// One end of a pair.
struct End {
    base::MembershipId id;
    base::Revision since;

    auto operator<=>(const End&) const = default;
};

// "At least `acked` is acknowledged by `member`."
struct PeerAck {
    base::MembershipId member;
    base::Revision acked;

    auto operator<=>(const PeerAck&) const = default;
};
// "Every member that joined by `floor` has acknowledged at least `floor`, except those in `acks`, which are as said
// there (above or below the floor)." Floor 0 says something only about those in `acks`.
struct AckUpdate {
    base::Revision floor;
    std::vector<PeerAck> acks;

    bool operator==(const AckUpdate&) const = default;
};

// What an agent knows of its peers' acknowledgements in one network. Only grows, so late or doubled updates do no harm;
// a manager that has forgotten something can't take it back. Lives as long as the agent's membership id.
class AckView {
  public:
    void apply(const AckUpdate& update);
    // What is known of a member that joined at `peer.since`; below that, nothing is known (0).
    [[nodiscard]] base::Revision acked(const End& peer) const;
    // Forgets all but these members.
    void retain(std::span<const base::MembershipId> members);

    bool operator==(const AckView&) const = default;

  private:
    base::Revision floor_;
    std::map<base::MembershipId, base::Revision> acks_;  // who differs from the floor
};

// Whether two members use an epoch with each other at all. They don't when it was superseded before the later of them
// joined: whoever knows both knows the later epoch to be active. Nor when it is retired, unless for one of them.
[[nodiscard]] bool is_used_between(const HeldEpoch& epoch, const End& one, const End& other);

// The epoch that `self` sends to `peer` in: the highest one up to the active one whose inbound SA the peer is known to
// have, that is, whose peer has acknowledged a revision with the epoch and both membership ids in it. 0 = none: no
// outbound SA, packets are dropped. `in_use` is the epoch of the outbound SA that the agent has, or had and lost, for
// exactly this pair of membership ids (0 = never had one): never goes back behind it, because a key is used outbound
// once. If the answer is `in_use` and the SA is gone, it stays away and a rotation has to be asked for.
[[nodiscard]] base::Epoch tx_epoch(base::Epoch active, std::span<const HeldEpoch> epochs, const End& self,
                                   const End& peer, base::Revision peer_acked, base::Epoch in_use);

// The epochs whose inbound SAs `self` has to hold from `peer`: every one the pair uses, whether active or not. It can't
// be less: the sender decides by what it has been told, which may be older (it is cut off) or newer (it was quicker)
// than what the receiver knows. Hence also the one being installed, as the acknowledgement promises it, and
// a retiring one until the manager has heard that the sender has changed over.
[[nodiscard]] std::vector<base::Epoch> rx_epochs(std::span<const HeldEpoch> epochs, const End& self, const End& peer);

// The manager's side ---------------------------------------------------------------------------------------------

// The epochs whose secrets a member gets, by number.
[[nodiscard]] std::vector<HeldEpoch> held_epochs(const KeyState& state, const Member& member);

// Part of every announced state: what all members must know of each other to follow it. Small: the laggards.
[[nodiscard]] AckUpdate announced_acks(const KeyState& state);

// Part of a member's snapshot: everything it must know of its peers. At most one entry per peer.
[[nodiscard]] AckUpdate snapshot_acks(const KeyState& state, const Member& self, std::span<const Member> members);

// When `acker` went from `before` (0 at its first acknowledgement under this membership id) to acker.acked: who must be
// told at once, because the pair can now begin to talk: a PeerAck each, best batched per session; not a revision.
// Members by `since`, ascending. Costs a member that joined O(members) in all, anybody else's acknowledgement O(members
// that joined since).
[[nodiscard]] std::span<const Member> ack_listeners(std::span<const Member> by_since, const Member& acker,
                                                    base::Revision before);

}  // namespace warren::keymgr
