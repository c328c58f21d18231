#include "xfrm/diff.h"

#include <algorithm>
#include <set>

namespace warren::xfrm {
namespace {

bool same_place(const Policy& a, const Policy& b) {
    return a.direction == b.direction && a.selector == b.selector;
}

DeletePolicy deletion_of(const Policy& policy) {
    return {.direction = policy.direction, .index = policy.index, .family = policy.selector.family};
}

// Finds out, SA by SA, what has to be done. One use.
class StateDiff {
  public:
    StateDiff(const Network& network, std::span<const WantedSa> wanted, const SaTable& observed,
              const InstallHistory& history)
        : network_(network), wanted_(wanted), observed_(observed), history_(history) {}

    StatePlan run() {
        for (const Direction direction : {Direction::kIn, Direction::kOut}) {
            for (const WantedSa& sa : wanted_) {
                if (sa.direction == direction) {
                    compare(sa);
                }
            }
        }
        for (const auto& [location, sa] : observed_) {
            if (!claimed_.contains(location)) {
                remove_extra(location);
            }
        }
        std::stable_partition(plan_.removals.begin(), plan_.removals.end(),
                              [](const Removal& removal) { return removal.direction == Direction::kOut; });
        return std::move(plan_);
    }

  private:
    // What will carry the traffic to a peer once the installs are done.
    struct Sending {
        std::optional<std::size_t> install;  // nullopt: it is there already
        bool lost = false;
    };

    void compare(const WantedSa& sa) {
        const auto found = observed_.find(sa.location);
        const auto known = history_.at(sa.location);
        claimed_.insert(sa.location);
        if (found != observed_.end() && known && known->identity == sa.identity && matches(sa, found->second)) {
            ++plan_.kept;
            note_sending(sa, {});
            return;
        }
        const bool unknown_key = found != observed_.end() && !known;
        const bool spent = history_.spent(sa.direction, sa.identity) && !never_came(sa, found != observed_.end());
        if (unknown_key || spent) {
            if (unknown_key) {
                plan_.spend.push_back(
                    {.direction = sa.direction, .identity = sa.identity, .location = sa.location, .placed = false});
            }
            plan_.lost.push_back({.direction = sa.direction, .identity = sa.identity, .location = sa.location});
            if (found != observed_.end()) {
                plan_.removals.push_back({.location = sa.location, .direction = sa.direction});
            }
            note_sending(sa, {.lost = true});
            return;
        }
        note_sending(sa, {.install = plan_.installs.size()});
        plan_.installs.push_back({.sa = sa, .replaces = found != observed_.end()});
    }

    // An inbound SA on record that a daemon was killed over: nobody has sent to it, so it may be made.
    [[nodiscard]] bool never_came(const WantedSa& sa, bool place_taken) const {
        return sa.direction == Direction::kIn && !place_taken && history_.unheard_of(sa.identity);
    }

    void note_sending(const WantedSa& sa, const Sending& sending) {
        if (sa.direction == Direction::kOut) {
            sending_.emplace(sa.location.destination, sending);
        }
    }

    void remove_extra(const SaLocation& location) {
        const Direction direction = direction_of(location);
        Removal removal{.location = location, .direction = direction};
        if (const auto sending = sending_.find(location.destination);
            direction == Direction::kOut && sending != sending_.end()) {
            if (sending->second.lost && usable(location)) {
                return;  // better the older epoch than none, until the rotation that the loss asks for
            }
            removal.after = sending->second.install;
        }
        plan_.removals.push_back(removal);
    }

    [[nodiscard]] Direction direction_of(const SaLocation& location) const {
        if (const auto parts = split_spi(location.spi)) {
            return parts->sender == network_.self.index ? Direction::kOut : Direction::kIn;
        }
        return location.destination == network_.self.vtep ? Direction::kIn : Direction::kOut;
    }

    // An outbound SA of an epoch that still lives, between the members as they are now.
    [[nodiscard]] bool usable(const SaLocation& location) const {
        const auto known = history_.at(location);
        if (!known || known->identity.sender_membership != network_.self.membership) {
            return false;
        }
        const keymgr::SaIdentity& identity = known->identity;
        const bool live = std::any_of(network_.epochs.begin(), network_.epochs.end(),
                                      [&](const EpochView& epoch) { return epoch.number == identity.epoch; });
        return live && std::any_of(network_.peers.begin(), network_.peers.end(), [&](const Peer& peer) {
                   return peer.member.node == identity.receiver &&
                          peer.member.membership == identity.receiver_membership;
               });
    }

    const Network& network_;
    std::span<const WantedSa> wanted_;
    const SaTable& observed_;
    const InstallHistory& history_;
    StatePlan plan_;
    std::set<SaLocation, KernelOrder> claimed_;
    std::map<base::IpAddress, Sending> sending_;
};

}  // namespace

PolicyPlan diff_policies(const Network& network, std::span<const Policy> observed) {
    PolicyPlan plan;
    std::vector<const Policy*> ours;
    for (const Policy& policy : observed) {
        if (owner(policy) == network.index) {
            ours.push_back(&policy);
        }
    }
    const auto wanted = desired_policies(network);
    for (const Policy& policy : wanted) {
        const auto found =
            std::find_if(ours.begin(), ours.end(), [&](const Policy* other) { return same_place(policy, *other); });
        if (found == ours.end()) {
            plan.steps.emplace_back(AddPolicy{policy});
        } else if (same_policy(policy, **found)) {
            ++plan.kept;
        } else {
            plan.steps.emplace_back(UpdatePolicy{policy});
        }
    }
    for (const Policy* policy : ours) {
        const bool is_wanted =
            std::any_of(wanted.begin(), wanted.end(), [&](const Policy& other) { return same_place(*policy, other); });
        if (!is_wanted) {
            plan.steps.emplace_back(deletion_of(*policy));
        }
    }
    return plan;
}

StatePlan diff_states(const Network& network, std::span<const WantedSa> wanted, const SaTable& observed,
                      const InstallHistory& history) {
    return StateDiff(network, wanted, observed, history).run();
}

}  // namespace warren::xfrm
