#pragma once

#include <optional>
#include <string>

#include "base/ids.h"
#include "base/ip.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "manager/cluster.h"
#include "manager/network_options.h"
#include "overlay/mtu.h"
#include "proto/session.pb.h"
#include "store/store.h"

// The MTU of a network follows what the underlays of its members carry: at once when it is less, after a while when it
// is more again, and never above what was asked for. Pure; MtuFollower acts.
namespace warren::manager {

// A node, and the part of its underlay that carries the least.
struct Narrow {
    base::NodeId node;
    std::string name;
    base::Mtu underlay;
    std::optional<base::IpAddress> peer{};  // it is the route to this one; nullopt: the device

    // "the underlay of node 'b' carries packets of 1400 to 192.0.2.3"
    [[nodiscard]] std::string text() const;
};

struct Carry {
    std::optional<base::Mtu> least;   // packets of containers; nullopt: of no node it is known
    base::Mtu most;                   // the same on the node that carries the most
    std::optional<Narrow> narrowest;  // whose `least` is
    std::optional<Narrow> unfit;      // one that carries no network at all: nothing is made smaller for it
};
// What the members of a network carry to each other, in these packets.
[[nodiscard]] Carry members_carry(const Cluster& cluster, const NetworkState& network, overlay::Protection protection);
// What the devices of all nodes do. Less than `smallest` is too little for a network.
[[nodiscard]] Carry nodes_carry(const Cluster& cluster, overlay::Protection protection, base::Mtu smallest);
// That of this network: IPv6 asks for more.
[[nodiscard]] base::Mtu smallest_mtu(const v1::NetworkRecord& network);
// What --opt mtu= asks for is not less.
[[nodiscard]] base::Status check_asked_mtu(const v1::NetworkRecord& network, const NetworkOptions& options);

// What its packets are wrapped in now: while some epoch still has ESP in UDP, that is it.
[[nodiscard]] overlay::Protection live_protection(const NetworkState& network);

// The MTU that the network should have; nullopt: of no member it is known what it carries.
[[nodiscard]] std::optional<base::Mtu> fitting_mtu(const Cluster& cluster, const NetworkState& network);

// Who makes the MTU less than what was asked for or than what others carry; nullopt: nobody does.
[[nodiscard]] std::optional<Narrow> narrowed_by(const Cluster& cluster, const NetworkState& network);
void write_narrowest(const Cluster& cluster, const NetworkState& network, v1::NetworkDelta& delta);
// Why it is what it is, in words.
[[nodiscard]] std::string mtu_choice(const Cluster& cluster, const NetworkState& network);

// When a network's MTU changes. A value.
class MtuPace {
  public:
    // More has to fit for as long as `patience`; where it goes up and down, for longer.
    explicit MtuPace(base::Duration patience = kPatience) : patience_(patience), wait_(patience) {}

    static constexpr base::Duration kPatience = std::chrono::minutes(1);
    struct Step {
        bool now = false;
        std::optional<base::Time> again{};  // nothing before; nullopt: nothing to be done
    };
    // It is `is` and should be `fitting`.
    [[nodiscard]] Step step(base::Mtu is, base::Mtu fitting, base::Time now);
    void clock_set(base::Duration by);

  private:
    base::Duration patience_;
    std::optional<base::Time> room_since_;  // for more
    base::Duration wait_;                   // for that to last
    std::optional<base::Time> grown_;
    base::TokenBucket shrinks_;

    static constexpr base::Duration kLongestWait = std::chrono::hours(4);
    // A node that says something smaller each time must not fill the log of events.
    static constexpr base::Rate kShrinks{.burst = 5, .refill = std::chrono::seconds(10)};
};

// The changes, as in changes.h. What a node's underlay carries now; empty when the record says so already. With an
// event for each of its networks that it carries no more.
[[nodiscard]] base::Result<store::Transaction> update_underlay(const Cluster& cluster, const base::NodeId& id,
                                                               const v1::UnderlayMtu& underlay, base::Time now);
// The network's MTU becomes what fits; empty when it is.
[[nodiscard]] base::Result<store::Transaction> fit_mtu(const Cluster& cluster, const base::NetworkId& id,
                                                       base::Time now);
// A part of a transaction: the event of a change of MTU.
void tell_mtu(const Cluster& cluster, store::Transaction& change, const base::NetworkId& network, base::Mtu before,
              base::Mtu after, const std::optional<Narrow>& narrowest, const std::string& by, base::Time now);

}  // namespace warren::manager
