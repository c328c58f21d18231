#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/log.h"
#include "base/reference.h"
#include "base/text.h"
#include "manager/core.h"
#include "manager/events.h"
#include "manager/numbers.h"

// Operators: the part of manager::Core that issues and revokes the certificates of people who work from elsewhere.
namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};

bool is_valid(const v1::OperatorRecord& record, base::Time now) {
    return record.revoked() == 0 && now < time_of(record.expires());
}

AuthorityState ca_of(const Cluster& state, const v1::OperatorRecord& record) {
    return state_of_authority(state.cluster().record, record.issuer());
}

v1::OperatorCertificate present(const Cluster& state, const v1::OperatorRecord& record, base::Time now) {
    const auto ca = ca_of(state, record);
    v1::OperatorCertificate shown;
    shown.set_id(id_of<base::NodeId>(record.id()).text());
    shown.set_name(record.name());
    shown.set_role(std::string(certs::name(certs::Role::kOperator)));
    shown.set_state(record.revoked() != 0            ? "revoked"
                    : !is_valid(record, now)         ? "expired"
                    : ca == AuthorityState::kDropped ? "outdated"
                                                     : "valid");
    shown.set_issued_unix_ms(record.issued());
    shown.set_expires_unix_ms(record.expires());
    shown.set_revoked_unix_ms(record.revoked());
    shown.set_ca(std::string(name(ca)));
    return shown;
}

base::Status check_name_is_free(const Cluster& state, const std::string& name, base::Time now) {
    for (const auto& [id, stored] : state.operators()) {
        // One of a CA that goes, or is gone, is no reason: it is what the new one replaces.
        if (stored.record.name() == name && is_valid(stored.record, now) &&
            ca_of(state, stored.record) == AuthorityState::kIssuing) {
            return fail(Code::kConflict,
                        "NAME '{}': has a certificate that is valid until {}: choose another name, or revoke that one "
                        "first with warren cert revoke {}",
                        name, base::format_utc(time_of(stored.record.expires())), name);
        }
    }
    return {};
}

// By name all that are valid, of which there may be two while the cluster moves to another CA; else the one with that
// id, or name, or beginning of an id.
base::Result<std::vector<base::NodeId>> find_operators(const Cluster& state, const std::string& reference,
                                                       base::Time now) {
    std::vector<base::NodeId> named;
    for (const auto& [id, stored] : state.operators()) {
        if (stored.record.name() == reference && is_valid(stored.record, now)) {
            named.push_back(id);
        }
    }
    if (!named.empty()) {
        return named;
    }
    auto found = base::find_reference("certificate", reference, state.operators(),
                                      [](const auto& stored) { return stored.record.name(); });
    if (!found && found.error().code() == Code::kNotFound) {
        return fail(Code::kNotFound, "operator's certificate '{}': not found; see: warren cert ls", reference);
    }
    if (!found) {
        return base::fail_with(std::move(found));
    }
    return std::vector{*found};
}

}  // namespace

base::Status Core::check_operator(const certs::Identity& caller) const {
    const auto found = cluster().operators().find(caller.node);
    if (found == cluster().operators().end()) {
        return fail(Code::kDenied, "{} is not known in this cluster", caller.text());
    }
    const auto& record = found->second.record;
    if (record.revoked() != 0) {
        return fail(Code::kDenied,
                    "the certificate of operator '{}' was revoked on {}: have a new one made on a manager with warren "
                    "cert issue",
                    record.name(), base::format_utc(time_of(record.revoked())));
    }
    // A connection may outlast both.
    if (!is_valid(record, options_.now())) {
        return fail(Code::kDenied,
                    "the certificate of operator '{}' was valid until {}: have a new one made on a manager with warren "
                    "cert issue",
                    record.name(), base::format_utc(time_of(record.expires())));
    }
    if (ca_of(cluster(), record) == AuthorityState::kDropped) {
        return fail(Code::kDenied,
                    "the certificate of operator '{}' is of a CA that the cluster has left: have a new one made on a "
                    "manager with warren cert issue",
                    record.name());
    }
    return {};
}

// Who would be let in were it not for the CA, and has none of the CA that issues. The last one of a name stands for it.
void Core::add_operators(v1::CaShowReply& reply) const {
    const auto now = options_.now();
    std::map<std::string, const v1::OperatorRecord*> outdated;
    std::set<std::string> current;
    for (const auto& [id, stored] : cluster().operators()) {
        const auto& record = stored.record;
        if (!is_valid(record, now)) {
            continue;
        }
        if (ca_of(cluster(), record) == AuthorityState::kIssuing) {
            current.insert(record.name());
            continue;
        }
        auto& last = outdated[record.name()];
        last = last == nullptr || last->issued() < record.issued() ? &record : last;
    }
    for (const auto& [name, record] : outdated) {
        if (!current.contains(name)) {
            *reply.add_operators() = present(cluster(), *record, now);
        }
    }
}

base::Result<v1::CertIssueReply> Core::cert_issue(const v1::CertIssueRequest& request) {
    const auto now = options_.now();
    if (request.role() != certs::name(certs::Role::kOperator)) {
        return fail(Code::kInvalid, "--role '{}': must be operator; nodes get their certificates by joining",
                    request.role());
    }
    WARREN_TRY(base::check_name("NAME", request.name()));
    base::Duration lifetime(cluster().settings().leaf_lifetime_ms());
    if (!request.expires().empty()) {
        WARREN_TRY_ASSIGN(lifetime, base::parse_duration("--expires", request.expires()));
        WARREN_TRY(certs::check_leaf_lifetime("--expires", lifetime));
    }
    const auto id = base::random_id<base::NodeId>();
    WARREN_TRY_ASSIGN(
        auto issued,
        certificates_.issue(request.csr_pem(), {.cluster = cluster().id(), .node = id, .role = certs::Role::kOperator},
                            now, lifetime));
    v1::OperatorRecord record;
    record.set_id(raw(id));
    record.set_name(request.name());
    record.set_issued(unix_ms(now));
    record.set_expires(unix_ms(issued.leaf.not_after));
    record.set_issuer(issued.leaf.issuer_key);
    v1::CertIssueReply reply;
    reply.set_certificate_pem(std::move(issued.chain_pem));
    const auto record_it = [&](const Cluster& state) -> base::Result<store::Transaction> {
        WARREN_TRY(check_name_is_free(state, request.name(), now));
        store::Transaction change;
        take_guard(state, change);
        change.puts.push_back({.key = key::operators(id), .value = record.SerializeAsString()});
        tell(state, change,
             {.kind = EventKind::kCertificateIssued,
              .text = fmt::format("operator {} got a certificate, valid until {}", record.name(),
                                  base::format_utc(time_of(record.expires()))),
              .by = caller_},
             now);
        return change;
    };
    WARREN_TRY(ledger_->commit(record_it));
    reply.set_roots_pem(cluster().cluster().record.roots_pem());
    *reply.mutable_certificate() = present(cluster(), record, now);
    if (const auto* self = cluster().node(options_.self)) {
        reply.set_manager(base::SocketAddress{.ip = ip_of(self->record.advertise_address()).value_or(base::IpAddress{}),
                                              .port = static_cast<std::uint16_t>(self->record.port())}
                              .text());
    }
    kLog.warn("operator {} ({}) got a certificate that is valid until {}", record.name(), id,
              base::format_utc(time_of(record.expires())));
    return reply;
}

base::Result<v1::CertListReply> Core::cert_list(const v1::CertListRequest& /*request*/) {
    v1::CertListReply reply;
    for (const auto& [id, stored] : cluster().operators()) {
        *reply.add_certificates() = present(cluster(), stored.record, options_.now());
    }
    std::sort(reply.mutable_certificates()->begin(), reply.mutable_certificates()->end(),
              [](const auto& a, const auto& b) {
                  return std::pair(a.name(), a.issued_unix_ms()) < std::pair(b.name(), b.issued_unix_ms());
              });
    return reply;
}

base::Result<v1::CertListReply> Core::cert_revoke(const v1::CertRevokeRequest& request) {
    const auto now = options_.now();
    WARREN_TRY_ASSIGN(const auto ids, find_operators(cluster(), request.certificate(), now));
    WARREN_TRY(ledger_->commit([&](const Cluster& state) {
        store::Transaction change;
        for (const auto& id : ids) {
            const auto& stored = state.operators().at(id);
            if (stored.record.revoked() != 0) {
                continue;
            }
            auto record = stored.record;
            record.set_revoked(unix_ms(now));
            change.compares.emplace_back(store::ModifiedAt{key::operators(id), stored.revision});
            change.puts.push_back({.key = key::operators(id), .value = record.SerializeAsString()});
            tell(state, change,
                 {.kind = EventKind::kCertificateRevoked,
                  .text = fmt::format("the certificate of operator {} is refused", record.name()),
                  .by = caller_},
                 now);
        }
        return base::Result<store::Transaction>(std::move(change));
    }));
    v1::CertListReply reply;
    for (const auto& id : ids) {
        const auto& record = cluster().operators().at(id).record;
        kLog.warn("the certificate of operator {} ({}) is revoked", record.name(), id);
        *reply.add_certificates() = present(cluster(), record, now);
    }
    return reply;
}

}  // namespace warren::manager
