#pragma once

#include <map>

#include "base/token_bucket.h"
#include "manager/session_hub.h"

namespace warren::manager {

// Hands on what the members of a network ask each other, and the answers. It keeps nothing: an answer that nobody
// asked for is for its receiver to drop.
//
// Owner: the core. Thread: the manager's.
class PeerRelay {
  public:
    PeerRelay(const Cluster& cluster, SessionHub& hub) : cluster_(&cluster), hub_(&hub) {}

    // A question that can't be handed on is answered here, with an error. Each node may say so much and no more.
    void question(const base::NodeId& asker, const v1::PeerQuestion& question, base::Time now);
    void answer(const base::NodeId& answerer, const v1::PeerAnswer& answer, base::Time now);

  private:
    const Cluster* cluster_;
    SessionHub* hub_;
    std::map<base::NodeId, base::TokenBucket> said_;

    [[nodiscard]] base::Status check(const base::NodeId& asker, const base::NodeId& asked,
                                     const base::NetworkId& network) const;
};

}  // namespace warren::manager
