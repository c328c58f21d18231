#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "manager/cluster.h"
#include "manager/key_history.h"
#include "proto/session.pb.h"

namespace warren::manager {

// What members have sent in each epoch, as they last told.
//
// Owner: the manager's core. Thread: the manager's. Bounded: the newest kEpochsCounted epochs of a network, its present
// members and those that were members of these. Holds nothing that is worth keeping but for the history, which notes
// the sums.
class KeyTraffic {
  public:
    static constexpr std::uint32_t kEpochsCounted = 8;

    struct Counters {
        std::uint64_t packets = 0;  // to all peers
        std::uint64_t bytes = 0;
        std::uint64_t most_packets = 0;  // of one SA
        std::uint64_t most_bytes = 0;

        bool operator==(const Counters&) const = default;
    };

    // What a node is no member of, and epochs that never were or are long over, count nothing.
    void take(const Cluster& cluster, const base::NodeId& node, const v1::KeyCounters& message);
    void forget(const base::NetworkId& network) { networks_.erase(network); }

    [[nodiscard]] Counters of(const base::NetworkId& network, base::Epoch epoch, base::MembershipId member) const;
    // By all members, former ones too; nullopt: nobody has told anything.
    [[nodiscard]] std::optional<SentInEpoch> sum(const base::NetworkId& network, base::Epoch epoch) const;

  private:
    using ByMember = std::map<base::MembershipId, Counters>;
    std::map<base::NetworkId, std::map<base::Epoch, ByMember>> networks_;

    void take_epoch(const Cluster& cluster, const base::NodeId& node, const v1::EpochCounters& told);
};

}  // namespace warren::manager
