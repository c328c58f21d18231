#include "manager/certificates.h"

#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "certs/authority.h"
#include "manager/authority_rotation.h"
#include "manager/changes.h"
#include "manager/events.h"
#include "manager/records.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};

// What else a node can do that is not readmitted.
constexpr std::string_view kWithToken =
    "to let it in again: warren node rm NODE and warren token show worker on a manager, then warren cluster leave "
    "--force and the join command on the node";

// A certificate that is still good needs no back door.
base::Status check_need(const certs::Leaf& leaf, const certs::Roots& roots, const std::string& chain, base::Time now) {
    if (roots.verify("certificate", chain, now)) {
        return fail(Code::kPrecondition,
                    "the certificate is valid until {} by this manager's clock, which says {}: open a session with it, "
                    "and compare the clocks of both hosts",
                    base::format_utc(leaf.not_after), base::format_utc(now));
    }
    if (now < leaf.not_before) {
        return fail(Code::kDenied, "the certificate is not valid before {}, and this manager's clock says {}",
                    base::format_utc(leaf.not_before), base::format_utc(now));
    }
    return {};
}

}  // namespace

base::Result<Issued> Certificates::issue(std::string_view request_pem, const certs::Identity& identity, base::Time now,
                                         std::optional<base::Duration> lifetime) const {
    const auto& record = cluster().cluster().record;
    const auto valid_for = lifetime.value_or(base::Duration(record.settings().leaf_lifetime_ms()));
    WARREN_TRY_ASSIGN(auto key, vault_->open_authority(cluster().id(), record.sealed_ca_key()));
    WARREN_TRY_ASSIGN(const auto authority, certs::Authority::load(record.ca_certificate_pem(), std::move(key)));
    WARREN_TRY_ASSIGN(auto pem, authority.issue(request_pem, identity, valid_for, now, shortest_));
    Issued issued{.chain_pem = std::move(pem) + record.chain_pem(), .leaf = {}};
    WARREN_TRY_ASSIGN(issued.leaf, certs::parse_leaf("new certificate", issued.chain_pem));
    return issued;
}

base::Result<Issued> Certificates::issue_to(const base::NodeId& id, std::string_view request_pem, Way how,
                                            base::Time now) {
    const auto* node = cluster().node(id);
    if (node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster", id);
    }
    // The role is the record's: what the node has shown counts for nothing here.
    WARREN_TRY_ASSIGN(const auto role, certs::parse_role("role", node->record.role()));
    WARREN_TRY_ASSIGN(auto issued, issue(request_pem, {.cluster = cluster().id(), .node = id, .role = role}, now));
    WARREN_TRY(ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(auto change, change_node(state, id, [&](v1::NodeRecord& record) {
                              record.set_certificate_issued(issued.leaf.serial);
                          }));
        if (how == Way::kReadmission) {
            tell(state, change,
                 {.kind = EventKind::kNodeReadmitted,
                  .node = id,
                  .text = fmt::format("readmitted, its new certificate is valid until {}",
                                      base::format_utc(issued.leaf.not_after))},
                 now);
        }
        return change;
    }));
    return issued;
}

v1::CertificateReply Certificates::renew(const base::NodeId& node, const v1::CertificateRequest& request,
                                         base::Time now) {
    v1::CertificateReply reply;
    const auto issued = issue_to(node, request.csr_pem(), Way::kSession, now);
    if (!issued) {
        kLog.warn("node {}: no new certificate: {}", cluster().node_name(node), issued.error().message());
        reply.set_error_code(static_cast<std::uint32_t>(issued.error().code()) + 1);
        reply.set_error(issued.error().message());
        return reply;
    }
    base::fault_point(base::FaultPoint::kRenewalIssued);
    reply.set_certificate_pem(issued->chain_pem);
    reply.set_roots_pem(cluster().cluster().record.roots_pem());
    kLog.info("node {}: certificate {} issued, valid until {}", cluster().node_name(node), issued->leaf.serial,
              base::format_utc(issued->leaf.not_after));
    return reply;
}

void Certificates::note_use(const base::NodeId& node, const v1::CertificateUse& use) {
    constexpr std::size_t kLongestField = 64;
    if (use.serial().empty() || use.serial().size() > kLongestField || use.issuer().size() > kLongestField ||
        use.roots_hash().size() > kLongestField) {
        return;
    }
    const auto noted = ledger_->commit([&](const Cluster& state) {
        return change_node(state, node, [&](v1::NodeRecord& record) {
            record.set_certificate_serial(use.serial());
            record.set_certificate_expires(use.not_after_unix_ms());
            record.set_certificate_issuer(use.issuer());
            record.set_roots_hash(use.roots_hash());
        });
    });
    if (!noted) {
        kLog.warn("node {}: {}", cluster().node_name(node), noted.error().message());
        return;
    }
    base::fault_point(base::FaultPoint::kRenewalConfirmed);
}

v1::GetChallengeReply Certificates::challenge(base::Time now) const {
    v1::GetChallengeReply reply;
    reply.set_challenge(challenges_.make(now));
    return reply;
}

// The roots that are trusted, and those that were within the limit.
base::Result<certs::Roots> Certificates::vouching(base::Time now) const {
    return certs::Roots::parse("the cluster's roots", roots_for_return(cluster().cluster().record, now));
}

base::Result<certs::Leaf> Certificates::check_readmission(const v1::ReadmitRequest& request, base::Time now) const {
    WARREN_TRY(challenges_.check(request.challenge(), now));
    const auto& record = cluster().cluster().record;
    const auto& chain = request.certificate_pem();
    WARREN_TRY_ASSIGN(const auto once, vouching(now));
    WARREN_TRY_ASSIGN(auto leaf, once.verify_at_any_time("certificate", chain));
    WARREN_TRY_ASSIGN(const auto roots, certs::Roots::parse("the cluster's roots", record.roots_pem()));
    WARREN_TRY(certs::check_possession(chain,
                                       {.cluster = cluster().id(),
                                        .manager = self_,
                                        .challenge = request.challenge(),
                                        .request_pem = request.csr_pem()},
                                       request.signature()));
    const auto* node = cluster().node(leaf.identity.node);
    if (leaf.identity.cluster != cluster().id() || node == nullptr) {
        return fail(Code::kDenied, "node {} was removed from the cluster: {}", leaf.identity.node, kWithToken);
    }
    const auto& known = node->record;
    if (leaf.serial != known.certificate_serial() && leaf.serial != known.certificate_issued()) {
        return fail(Code::kDenied, "certificate {} is not the last one of node {}: {}", leaf.serial, known.name(),
                    kWithToken);
    }
    WARREN_TRY(check_need(leaf, roots, chain, now));
    const base::Duration limit(record.settings().readmission_limit_ms());
    if (now > leaf.not_after + limit) {
        return fail(Code::kDenied, "the certificate of node {} was valid until {}, more than {} ago: {}", known.name(),
                    base::format_utc(leaf.not_after), base::format_age(limit), kWithToken);
    }
    return leaf;
}

base::Result<v1::ReadmitReply> Certificates::readmit(const v1::ReadmitRequest& request, base::Time now) {
    WARREN_TRY_ASSIGN(const auto leaf, check_readmission(request, now));
    WARREN_TRY_ASSIGN(const auto issued, issue_to(leaf.identity.node, request.csr_pem(), Way::kReadmission, now));
    base::fault_point(base::FaultPoint::kReadmissionIssued);
    v1::ReadmitReply reply;
    reply.set_certificate_pem(issued.chain_pem);
    reply.set_roots_pem(cluster().cluster().record.roots_pem());
    kLog.info("node {}: readmitted, its certificate was valid until {}; certificate {} issued",
              cluster().node_name(leaf.identity.node), base::format_utc(leaf.not_after), issued.leaf.serial);
    return reply;
}

base::Result<v1::ReadmitReply> Certificates::renew_own(const std::string& request_pem, base::Time now) {
    WARREN_TRY_ASSIGN(const auto issued, issue_to(self_, request_pem, Way::kSession, now));
    base::fault_point(base::FaultPoint::kReadmissionIssued);
    v1::ReadmitReply reply;
    reply.set_certificate_pem(issued.chain_pem);
    reply.set_roots_pem(cluster().cluster().record.roots_pem());
    kLog.info("this manager's own certificate {} issued, valid until {}", issued.leaf.serial,
              base::format_utc(issued.leaf.not_after));
    return reply;
}

}  // namespace warren::manager
