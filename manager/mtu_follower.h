#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "manager/due.h"
#include "manager/ledger.h"
#include "manager/network_mtu.h"

namespace warren::manager {

// Keeps the MTU of every network to what its members' underlays carry.
//
// Owner: the manager's core. Thread: the manager's. Keeps nothing that is not in the store but how long something has
// lasted. Failure: a change that can't be written is tried again.
class MtuFollower {
  public:
    MtuFollower(Ledger& ledger, base::Duration patience) : ledger_(&ledger), patience_(patience) {}

    // Something of this network changed.
    void mark(const base::NetworkId& network) { due_[network] = base::Time{}; }
    // The clock was set by so much.
    void clock_set(base::Duration by);
    // Makes what is due. The time of the next one.
    [[nodiscard]] std::optional<base::Time> run(base::Time now);

  private:
    Ledger* ledger_;
    base::Duration patience_;
    Due due_;
    std::map<base::NetworkId, MtuPace> paces_;
    std::optional<std::uint64_t> seen_;              // Cluster::node_changes()
    std::map<base::NodeId, std::string> underlays_;  // as of then

    void mark_changed_nodes();
    void follow(const base::NetworkId& network, base::Time now);
};

}  // namespace warren::manager
