#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "xfrm/model.h"

namespace warren::xfrm {

// One SA that was handed to the kernel.
struct Installed {
    Direction direction = Direction::kIn;
    keymgr::SaIdentity identity;
    SaLocation location;
    bool placed = true;  // false: the key only counts as spent, what is under the location is somebody else's doing
    bool acknowledged = false;  // see InstallHistory::acknowledge()

    // This node's own membership: the sender's or the receiver's.
    [[nodiscard]] base::MembershipId self_membership() const {
        return direction == Direction::kOut ? identity.sender_membership : identity.receiver_membership;
    }
    auto operator<=>(const Installed&) const = default;
};

// Everything of a network up to an epoch, under one membership of this node, counts as installed: what stays of the
// single entries once they are dropped.
struct Floor {
    base::NetworkId network;
    base::MembershipId self;
    base::Epoch epoch;

    auto operator<=>(const Floor&) const = default;
};

// Which SAs were ever handed to the kernel. A value; InstallRecord keeps it on disk.
class InstallHistory {
  public:
    void add(const Installed& installed);
    // The kernel refused it, so its key was never in use.
    void revoke(const Installed& installed);
    // From now on others may hear that the inbound SAs of this membership are there, and send to them.
    void acknowledge(const base::NetworkId& network, base::MembershipId self);
    // Drops what the floor covers and, since a membership id is never given twice, what was noted under the network's
    // other memberships.
    void raise(const Floor& floor);

    // Was an SA with this key ever handed over? If so the key is spent.
    [[nodiscard]] bool spent(Direction direction, const keymgr::SaIdentity& identity) const;
    // Was an inbound SA handed over whose sender cannot have used it, as nobody was ever told that it is there? If it
    // is not there, the key is as good as new: no replay window and no sequence number went with it.
    [[nodiscard]] bool unheard_of(const keymgr::SaIdentity& inbound) const;
    // Are there such SAs under this membership?
    [[nodiscard]] bool unacknowledged(const base::NetworkId& network, base::MembershipId self) const;
    // What was last handed over under this location; nullopt: nothing, or we cannot know.
    [[nodiscard]] std::optional<Installed> at(const SaLocation& location) const;

    // The newest epoch in which this node, under its membership `self`, ever had an outbound SA, by the receiver's
    // membership.
    [[nodiscard]] std::map<base::MembershipId, base::Epoch> sent(const base::NetworkId& network,
                                                                 base::MembershipId self) const;

    // The floor that drops what cannot be wanted again, when the network's oldest epoch is `oldest` and this node's
    // membership `self`; nullopt when there is nothing to drop.
    [[nodiscard]] std::optional<Floor> prunable(const base::NetworkId& network, base::MembershipId self,
                                                base::Epoch oldest) const;
    // The floors that drop all single entries of a network that this node has left.
    [[nodiscard]] std::vector<Floor> leaving(base::NetworkIndex index) const;

    // All of it; adding the floors and then the entries, in this order, makes an equal history.
    [[nodiscard]] std::vector<Floor> floors() const;
    [[nodiscard]] std::vector<Installed> entries() const;
    [[nodiscard]] std::size_t size() const;  // floors and entries

  private:
    using Key = std::pair<Direction, keymgr::SaIdentity>;
    struct PerNetwork {
        std::optional<Floor> floor;
        std::map<Key, Installed> entries;
        base::MembershipId current;  // this node's own, of the last entry
    };
    void forget(const Installed& installed);

    std::map<base::NetworkId, PerNetwork> networks_;
    std::map<SaLocation, std::vector<Key>, KernelOrder> at_;  // the last is the current one
    std::size_t entry_count_ = 0;
};

}  // namespace warren::xfrm
