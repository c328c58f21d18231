#pragma once

#include <string>

#include "keymgr/rotation.h"
#include "manager/cluster.h"

// Rotations in words, for the log of events. Pure.
namespace warren::manager {

// Why a rotation is asked for, and by whom.
struct RotationRequest {
    keymgr::Reason reason{};
    base::Epoch about{};  // kLimit, kSaLost: the epoch of the SA in question
    base::NodeId node{};  // whose SA that is, or who left
    std::string by{};     // kCommand: who gave it
};

// Puts the event of a request into the transaction that notes it. `target` is the epoch that will serve it.
void tell_request(const Cluster& cluster, store::Transaction& change, const base::NetworkId& network,
                  const RotationRequest& request, base::Epoch target, base::Time now);

// Puts the events of a step into the transaction that makes it.
void tell_step(const Cluster& cluster, store::Transaction& change, const NetworkState& network,
               const keymgr::Decision& decision, base::Time now);

}  // namespace warren::manager
