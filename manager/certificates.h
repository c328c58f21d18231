#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "certs/identity.h"
#include "certs/leaf.h"
#include "certs/possession.h"
#include "manager/ledger.h"
#include "manager/vault.h"
#include "proto/bootstrap.pb.h"
#include "proto/session.pb.h"

namespace warren::manager {

// A certificate for one key, and what leads from it to a root.
struct Issued {
    std::string chain_pem;
    certs::Leaf leaf;
};

// Issues the certificates of nodes: the first, for who shows a token; the next ones, for who has a session; and one for
// who was off until its certificate expired and proves that it still has the key.
//
// Owner: the manager's core. Thread: the manager's. What it issues is in the node's record before the node gets it, so
// of each node the last certificates are known: the one in use, and one that may be on its way. Only these readmit: a
// key from an old backup does not.
class Certificates {
  public:
    // Only tests have a `shortest` lifetime other than the rule's.
    Certificates(Ledger& ledger, const Vault& vault, base::NodeId self, base::Duration shortest)
        : ledger_(&ledger), vault_(&vault), self_(self), shortest_(shortest) {}

    // For the key of a request; nothing is recorded. Without a lifetime: the cluster's.
    [[nodiscard]] base::Result<Issued> issue(std::string_view request_pem, const certs::Identity& identity,
                                             base::Time now, std::optional<base::Duration> lifetime = {}) const;

    // The answer to a node's request over its session.
    [[nodiscard]] v1::CertificateReply renew(const base::NodeId& node, const v1::CertificateRequest& request,
                                             base::Time now);
    // What a node says that it shows and trusts from now on.
    void note_use(const base::NodeId& node, const v1::CertificateUse& use);

    // The way back in. kDenied says why not, and what else there is.
    [[nodiscard]] v1::GetChallengeReply challenge(base::Time now) const;
    [[nodiscard]] base::Result<v1::ReadmitReply> readmit(const v1::ReadmitRequest& request, base::Time now);

    // A certificate for the node that this manager runs on. It needs no proof: who runs here has the authority's key.
    [[nodiscard]] base::Result<v1::ReadmitReply> renew_own(const std::string& request_pem, base::Time now);

  private:
    enum class Way : std::uint8_t { kSession, kReadmission };

    Ledger* ledger_;
    const Vault* vault_;
    base::NodeId self_;
    base::Duration shortest_;
    certs::Challenges challenges_;

    [[nodiscard]] const Cluster& cluster() const { return ledger_->cluster(); }
    [[nodiscard]] base::Result<Issued> issue_to(const base::NodeId& node, std::string_view request_pem, Way how,
                                                base::Time now);
    [[nodiscard]] base::Result<certs::Leaf> check_readmission(const v1::ReadmitRequest& request, base::Time now) const;
    [[nodiscard]] base::Result<certs::Roots> vouching(base::Time now) const;
};

}  // namespace warren::manager
