#include "agent/identity_keeper.h"

#include <asio/post.hpp>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/random.h"
#include "certs/renewal.h"
#include "proto/wire.h"

namespace warren::agent {

namespace {

using base::Code;

constexpr base::Log kLog{"agent"};
constexpr base::Duration kPatience = std::chrono::seconds(20);
// A manager that is there and turns down a certificate that has not expired may have dropped its root meanwhile: TLS
// does not say. After so many failures in a row it is asked.
constexpr int kDoubtfulFailures = 5;

std::string raw_hash(const certs::Sha256& hash) {
    return {hash.begin(), hash.end()};
}

}  // namespace

void IdentityKeeper::enter(certs::NodeIdentity& identity, std::string manager) {
    identity_ = &identity;
    manager_ = std::move(manager);
}

void IdentityKeeper::leave() {
    readmission_.reset();
    for (const auto& waiting : std::exchange(waiting_, {})) {
        waiting.respond(tl::unexpected<base::Error>(base::Error(Code::kAborted, "this node has left its cluster")));
    }
    identity_ = nullptr;
    connected_ = false;
    issuer_.clear();
    wanted_ = false;
    asked_.reset();
    failure_.reset();
}

void IdentityKeeper::session_began() {
    connected_ = true;
    if (failure_) {
        failure_->again = links_.now();
    }
    tick();
}

void IdentityKeeper::session_ended() {
    connected_ = false;
    if (std::exchange(asked_, std::nullopt)) {
        failed(base::Error(Code::kUnavailable, "the session with the manager ended before it answered"));
    }
}

bool IdentityKeeper::due(base::Time now) const {
    if (failure_ && now < failure_->again) {
        return false;
    }
    const auto& leaf = identity_->leaf();
    return now >= certs::renewal_time(leaf) || (!issuer_.empty() && leaf.issuer_key != issuer_);
}

void IdentityKeeper::tick() {
    const auto now = links_.now();
    for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
        if (waiting->deadline > now) {
            ++waiting;
            continue;
        }
        waiting->respond(base::fail(Code::kUnavailable, "the manager did not answer in time; see warren cert show"));
        waiting = waiting_.erase(waiting);
    }
    if (identity_ == nullptr || !connected_) {
        return;
    }
    if (asked_ && now - asked_at_ > kPatience) {
        asked_.reset();
        failed(base::Error(Code::kUnavailable, "the manager did not answer"));
    }
    if (!asked_ && (wanted_ || due(now))) {
        ask(now);
    }
}

void IdentityKeeper::ask(base::Time now) {
    asked_at_ = now;
    wanted_ = false;
    if (auto sent = send_request(); !sent) {
        asked_.reset();
        failed(sent.error());
        return;
    }
    base::fault_point(base::FaultPoint::kRenewalAsked);
}

base::Status IdentityKeeper::send_request() {
    WARREN_TRY_ASSIGN(asked_, certs::PrivateKey::generate());
    v1::FromAgent message;
    WARREN_TRY_ASSIGN(*message.mutable_certificate_request()->mutable_csr_pem(), certs::make_request(*asked_));
    links_.send(std::move(message));
    return {};
}

void IdentityKeeper::take_certificate(const v1::CertificateReply& reply) {
    auto key = std::exchange(asked_, std::nullopt);
    if (!key) {
        return;  // of a request that was given up
    }
    base::fault_point(base::FaultPoint::kRenewalReceived);
    if (reply.error_code() != 0) {
        failed(base::Error(static_cast<Code>(reply.error_code() - 1), reply.error()));
        return;
    }
    auto replaced =
        replace({.key = *std::move(key), .chain_pem = reply.certificate_pem(), .roots_pem = reply.roots_pem()});
    if (!replaced) {
        failed(replaced.error());
        return;
    }
    confirm();
    answer_waiting({});
}

base::Status IdentityKeeper::replace(NewCertificate certificate) {
    WARREN_TRY_ASSIGN(auto identity, adopt(std::move(certificate), *identity_, links_.directory(), links_.now()));
    *identity_ = std::move(identity);
    ++generation_;
    failure_.reset();
    if (auto told = tell_changed(); !told) {
        // It is in use all the same, and the one before is still good after a restart.
        kLog.error("the new certificate is not kept: {}", told.error().message());
    }
    kLog.info("new certificate {} in use, valid until {}", identity_->leaf().serial,
              base::format_utc(identity_->leaf().not_after));
    return {};
}

base::Status IdentityKeeper::tell_changed() const {
    return links_.changed ? links_.changed() : base::Status();
}

void IdentityKeeper::take_trust(const v1::Trust& trust) {
    issuer_ = trust.issuer();
    auto roots = certs::Roots::parse("the manager's roots", trust.roots_pem());
    if (!roots) {
        kLog.error("{}", roots.error().message());
        return;
    }
    // Roots that do not vouch for the present certificate come again with the next one.
    if (roots->hash() != identity_->roots().hash() && identity_->trust(*std::move(roots))) {
        ++generation_;
        auto saved = certs::save_identity(links_.directory(), *identity_);
        if (saved) {
            saved = tell_changed();
        }
        if (!saved) {
            failed(saved.error());
            return;
        }
        kLog.info("the cluster's roots changed: {} trusted now", identity_->roots().certificates().size());
        confirm();
    }
    tick();
}

void IdentityKeeper::confirm() {
    if (connected_) {
        v1::FromAgent message;
        *message.mutable_certificate_use() = use();
        links_.send(std::move(message));
    }
}

v1::CertificateUse IdentityKeeper::use() const {
    const auto& leaf = identity_->leaf();
    v1::CertificateUse use;
    use.set_serial(leaf.serial);
    use.set_not_after_unix_ms(proto::unix_ms(leaf.not_after));
    use.set_issuer(leaf.issuer_key);
    use.set_roots_hash(raw_hash(identity_->roots().hash()));
    return use;
}

void IdentityKeeper::failed(const base::Error& why) {
    const auto now = links_.now();
    if (!failure_) {
        failure_ = Failure{.count = 0, .why = {}, .since = now, .again = now};
    }
    if (failure_->why != why.message()) {
        kLog.warn("the certificate is not renewed: {}", why.message());
    }
    failure_->why = why.message();
    failure_->again = now + certs::renewal_backoff(++failure_->count, identity_->leaf(), now, base::random_u64());
    answer_waiting(tl::unexpected<base::Error>(why));
}

void IdentityKeeper::answer_waiting(const base::Status& outcome) {
    for (const auto& waiting : std::exchange(waiting_, {})) {
        waiting.respond(outcome ? base::Result<v1::CertShowReply>(show())
                                : base::Result<v1::CertShowReply>(tl::unexpected<base::Error>(outcome.error())));
    }
}

bool IdentityKeeper::expired() const {
    return links_.now() > identity_->leaf().not_after;
}

bool IdentityKeeper::readmit_first(int failures, std::function<void(base::Status)> then) {
    const bool own = identity_->identity().role == certs::Role::kManager && links_.renew_own;
    const bool doubtful = !own && failures > 0 && failures % kDoubtfulFailures == 0;
    if (!expired() && !doubtful) {
        return false;
    }
    const auto done = [this, then = std::move(then)](base::Result<NewCertificate> got) {
        readmission_.reset();
        if (!got) {
            then(base::fail_with(std::move(got)));
            return;
        }
        base::fault_point(base::FaultPoint::kReadmissionReceived);
        then(replace(*std::move(got)));
    };
    if (own) {
        asio::post(*links_.loop, [this, done] { done(ask_own_manager()); });
    } else {
        readmission_ = std::make_unique<Readmission>(*links_.loop, manager_, *identity_, done);
    }
    return true;
}

base::Result<NewCertificate> IdentityKeeper::ask_own_manager() const {
    WARREN_TRY_ASSIGN(auto key, certs::PrivateKey::generate());
    WARREN_TRY_ASSIGN(const auto request, certs::make_request(key));
    WARREN_TRY_ASSIGN(const auto reply, links_.renew_own(request));
    return NewCertificate{.key = std::move(key), .chain_pem = reply.certificate_pem(), .roots_pem = reply.roots_pem()};
}

void IdentityKeeper::stop() {
    readmission_.reset();
}

v1::CertShowReply IdentityKeeper::show() const {
    const auto& leaf = identity_->leaf();
    v1::CertShowReply reply;
    reply.set_cluster_id(leaf.identity.cluster.text());
    reply.set_node_id(leaf.identity.node.text());
    reply.set_role(std::string(certs::name(leaf.identity.role)));
    reply.set_uri(certs::spiffe_id(leaf.identity));
    reply.set_serial(leaf.serial);
    reply.set_issuer(leaf.issuer);
    reply.set_issuer_key_id(leaf.issuer_key);
    reply.set_issued_unix_ms(proto::unix_ms(certs::issue_time(leaf)));
    reply.set_not_before_unix_ms(proto::unix_ms(leaf.not_before));
    reply.set_not_after_unix_ms(proto::unix_ms(leaf.not_after));
    reply.set_next_renewal_unix_ms(proto::unix_ms(failure_ ? failure_->again : certs::renewal_time(leaf)));
    if (failure_) {
        reply.set_problem(failure_->why);
        reply.set_failing_since_unix_ms(proto::unix_ms(failure_->since));
    }
    reply.set_file(certs::node_file_path(links_.directory()).native());
    return reply;
}

void IdentityKeeper::renew(Respond respond) {
    waiting_.push_back({.respond = std::move(respond), .deadline = links_.now() + kPatience});
    wanted_ = !asked_;  // the answer to a request that is under way will do
    tick();
}

std::optional<std::string> IdentityKeeper::problem() const {
    if (identity_ == nullptr || links_.now() < certs::renewal_overdue(identity_->leaf())) {
        return std::nullopt;
    }
    const auto& leaf = identity_->leaf();
    const auto why = failure_ ? failure_->why : std::string("no session with the manager");
    if (expired()) {
        return fmt::format(
            "the certificate of this node expired on {}: {}; networks go on as they are, but there is no "
            "new session until it is renewed",
            base::format_utc(leaf.not_after), why);
    }
    return fmt::format("the certificate of this node should have been renewed on {}, and expires on {}: {}",
                       base::format_utc(certs::renewal_time(leaf)), base::format_utc(leaf.not_after), why);
}

}  // namespace warren::agent
