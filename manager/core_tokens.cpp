#include <algorithm>

#include "manager/core.h"
#include "manager/tokens.h"

// The join tokens' part of manager::Core.
namespace warren::manager {

namespace {

using base::Code;
using base::fail;

base::Result<certs::Role> token_role(const std::string& text) {
    WARREN_TRY_ASSIGN(const auto role, certs::parse_role("role", text));
    if (role == certs::Role::kOperator) {
        return fail(Code::kInvalid, "role 'operator': join tokens are for worker and manager");
    }
    return role;
}

}  // namespace

base::Result<certs::Role> Core::role_of_token(const Cluster& state, const std::string& shown, base::Time now) const {
    if (shown.size() != certs::TokenSecret::size()) {
        return fail(Code::kDenied, "join request: malformed token");
    }
    certs::TokenSecret secret;
    std::copy(shown.begin(), shown.end(), secret.reveal_mutable().begin());
    WARREN_TRY_ASSIGN(const auto tokens, open_tokens(vault_, state.cluster().record));
    WARREN_TRY_ASSIGN(const auto role, role_of(tokens, secret, now));
    if (role == certs::Role::kManager) {
        // One store, one manager: several need a store that they share.
        return fail(
            Code::kPrecondition,
            "this cluster's store is SQLite, which serves one manager: join as a worker (warren token show worker)");
    }
    return role;
}

base::Result<v1::TokenShowReply> Core::token_show(const v1::TokenShowRequest& request) {
    WARREN_TRY_ASSIGN(const auto role, token_role(request.role()));
    return shown_token(role);
}

base::Result<v1::TokenShowReply> Core::token_rotate(const v1::TokenRotateRequest& request) {
    WARREN_TRY_ASSIGN(const auto role, token_role(request.role()));
    const auto now = options_.now();
    WARREN_TRY_ASSIGN(auto sealed, vault_.seal_token(cluster().id(), role, certs::random_token_secret()));
    const auto replace = [&](const Cluster& state) -> base::Result<store::Transaction> {
        auto record = state.cluster().record;
        auto& token = token_of(record, role);
        WARREN_TRY_ASSIGN(const auto old, vault_.open_token(state.id(), role, token.sealed_secret()));
        WARREN_TRY(replace_token(token, sealed, old, {.expires = request.expires(), .uses = request.uses()}, now));
        store::Transaction change;
        const std::string key(key::kCluster);
        change.compares.emplace_back(store::ModifiedAt{key, state.cluster().revision});
        change.puts.push_back({.key = key, .value = record.SerializeAsString()});
        tell(state, change,
             {.kind = EventKind::kTokenRotated,
              .text = fmt::format("the join token for the role {} was replaced", certs::name(role)),
              .by = caller_},
             now);
        return change;
    };
    WARREN_TRY(ledger_->commit(replace));
    return shown_token(role);
}

base::Result<v1::TokenShowReply> Core::shown_token(certs::Role role) const {
    const auto& record = cluster().cluster().record;
    const auto& stored = token_of(record, role);
    WARREN_TRY_ASSIGN(const auto roots, certs::Roots::parse("the CA's roots", record.ca_roots_pem()));
    WARREN_TRY_ASSIGN(auto secret, vault_.open_token(cluster().id(), role, stored.sealed_secret()));
    const certs::JoinToken token{.root_pin = roots.pin(), .secret = std::move(secret)};
    v1::TokenShowReply reply;
    reply.set_role(std::string(certs::name(role)));
    reply.set_token(token.text());
    reply.set_created_unix_ms(stored.created());
    reply.set_expires_unix_ms(stored.expires());
    reply.set_uses(stored.uses());
    reply.set_uses_left(stored.uses() - std::min(stored.used(), stored.uses()));
    const auto* self = cluster().node(options_.self);
    if (self != nullptr) {
        const base::SocketAddress address{.ip = ip_of(self->record.advertise_address()).value_or(base::IpAddress{}),
                                          .port = static_cast<std::uint16_t>(self->record.port())};
        reply.set_join_command(fmt::format("warren cluster join --token {} {}", reply.token(), address));
    }
    return reply;
}

}  // namespace warren::manager
