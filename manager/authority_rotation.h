#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "manager/ledger.h"
#include "manager/session_hub.h"
#include "manager/vault.h"
#include "proto/control.pb.h"
#include "proto/session.pb.h"
#include "proto/state.pb.h"

namespace warren::manager {

// Whom nodes trust and who issues, as it is told to each session.
[[nodiscard]] v1::Trust trust_of(const v1::ClusterRecord& cluster);

// The roots that are trusted and those that were not longer ago than a node may be away, PEM: what a node may come back
// with.
[[nodiscard]] std::string roots_for_return(const v1::ClusterRecord& cluster, base::Time now);

// What has become of a CA, by its key id. Who has a certificate of one that is dropped is refused by TLS.
enum class AuthorityState : std::uint8_t { kIssuing, kTrusted, kDropped };
[[nodiscard]] AuthorityState state_of_authority(const v1::ClusterRecord& cluster, const std::string& key_id);
[[nodiscard]] std::string_view name(AuthorityState state);

// The key id of the CA that issues.
[[nodiscard]] std::string issuing_key(const v1::ClusterRecord& cluster);

// How far the nodes are in moving to the CA that issues. A node has moved when it uses a certificate of it and trusts
// exactly the roots that are to be trusted now. Who has not is waited for up to the straggler limit; who has a session
// and does not manage to renew, as long again. Only the manager's own node is waited for without end.
enum class Presence : std::uint8_t { kAway, kConnected, kOwn };
struct Standing {
    std::size_t nodes = 0;
    std::size_t moved = 0;
    std::vector<base::NodeId> waiting;
    std::vector<base::NodeId> left;
};
[[nodiscard]] Standing standing(const Cluster& cluster, const std::function<Presence(const base::NodeId&)>& presence,
                                base::Time now);

// Moves the cluster from one certificate authority to another:
//   1. One transaction: the new CA issues, its root is trusted beside the old one, and it is cross-signed by the old
//   CA,
//      so that who trusts the old root only accepts new certificates, too.
//   2. Every session is told; each node takes the roots, renews, and says what it uses. The store knows who has moved.
//   3. One transaction, when nobody is waited for: the old root is out of those that are trusted, and kept as a former
//   one,
//      by which nodes that were off are readmitted.
// Everything is in the store: whoever dies at any point, the next start goes on.
//
// Owner: the manager's core. Thread: the manager's.
class AuthorityRotation {
  public:
    AuthorityRotation(Ledger& ledger, SessionHub& hub, const Vault& vault, base::NodeId self);

    // kInvalid: the CA that was given is no good, and why. kConflict: one was given and a rotation is under way.
    [[nodiscard]] base::Result<v1::CaShowReply> rotate(const v1::CaRotateRequest& request, base::Time now);
    [[nodiscard]] v1::CaShowReply show(base::Time now) const;
    // Tells what changed, and ends a rotation that nobody is waited for in. After every change.
    void run(base::Time now);

  private:
    Ledger* ledger_;
    SessionHub* hub_;
    const Vault* vault_;
    base::NodeId self_;
    store::StoreRevision told_;  // the revision of the cluster's record whose trust the sessions know
    v1::Trust trust_;
    std::size_t moved_ = 0;

    [[nodiscard]] const Cluster& cluster() const { return ledger_->cluster(); }
    [[nodiscard]] Presence presence(const base::NodeId& node) const;
    [[nodiscard]] Standing standing_now(const Cluster& state, base::Time now) const;
    void tell();
    void finish(base::Time now);
};

}  // namespace warren::manager
