#include "manager/tokens.h"

#include <algorithm>
#include <utility>

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

// Enough to tell the owner of an old invitation what became of it.
constexpr int kReplacedKept = 16;
constexpr std::size_t kDigestSize = 16;

std::string digest(const certs::TokenSecret& secret) {
    const auto whole = certs::digest(secret);
    return {whole.begin(), whole.begin() + kDigestSize};
}

base::Status check_limits(const OpenToken& token, base::Time now) {
    const auto& record = *token.record;
    if (record.expires() != 0 && now >= time_of(record.expires())) {
        return fail(Code::kDenied,
                    "the join token expired on {}: make a new one on a manager with warren token rotate {}",
                    base::format_utc(time_of(record.expires())), certs::name(token.role));
    }
    if (record.uses() != 0 && record.used() >= record.uses()) {
        return fail(Code::kDenied,
                    "the join token is used up, it was for {} {}: make a new one on a manager with warren token "
                    "rotate {}",
                    record.uses(), record.uses() == 1 ? "node" : "nodes", certs::name(token.role));
    }
    return {};
}

base::Result<certs::Role> refuse_stranger(const OpenTokens& tokens, const certs::TokenSecret& shown) {
    const auto wanted = digest(shown);
    for (const auto& token : tokens) {
        for (const auto& old : token.record->replaced()) {
            if (old.digest() == wanted) {
                return fail(Code::kDenied,
                            "the join token was replaced on {}: get the present one on a manager with warren token "
                            "show {}",
                            base::format_utc(time_of(old.replaced())), certs::name(token.role));
            }
        }
    }
    return fail(Code::kDenied,
                "the join token is not one of this cluster's: get the present one on a manager with warren "
                "token show worker");
}

}  // namespace

const v1::TokenRecord& token_of(const v1::ClusterRecord& cluster, certs::Role role) {
    return role == certs::Role::kManager ? cluster.manager_token() : cluster.worker_token();
}

v1::TokenRecord& token_of(v1::ClusterRecord& cluster, certs::Role role) {
    return role == certs::Role::kManager ? *cluster.mutable_manager_token() : *cluster.mutable_worker_token();
}

base::Result<OpenTokens> open_tokens(const Vault& vault, const v1::ClusterRecord& cluster) {
    const auto id = id_of<base::ClusterId>(cluster.id());
    const auto& worker = token_of(cluster, certs::Role::kWorker);
    const auto& manager = token_of(cluster, certs::Role::kManager);
    WARREN_TRY_ASSIGN(auto of_worker, vault.open_token(id, certs::Role::kWorker, worker.sealed_secret()));
    WARREN_TRY_ASSIGN(auto of_manager, vault.open_token(id, certs::Role::kManager, manager.sealed_secret()));
    return OpenTokens{
        OpenToken{.role = certs::Role::kWorker, .record = &worker, .secret = std::move(of_worker)},
        OpenToken{.role = certs::Role::kManager, .record = &manager, .secret = std::move(of_manager)},
    };
}

base::Result<certs::Role> role_of(const OpenTokens& tokens, const certs::TokenSecret& shown, base::Time now) {
    const OpenToken* match = nullptr;
    for (const auto& token : tokens) {  // all of them, whichever matches
        if (token.secret == shown) {
            match = &token;
        }
    }
    if (match == nullptr) {
        return refuse_stranger(tokens, shown);
    }
    WARREN_TRY(check_limits(*match, now));
    return match->role;
}

base::Status replace_token(v1::TokenRecord& token, std::string sealed, const certs::TokenSecret& old,
                           const TokenLimits& limits, base::Time now) {
    base::Duration lifetime{};
    if (!limits.expires.empty()) {
        WARREN_TRY_ASSIGN(lifetime, base::parse_duration("--expires", limits.expires));
    }
    auto& replaced = *token.mutable_replaced();
    auto& last = *replaced.Add();
    last.set_digest(digest(old));
    last.set_replaced(unix_ms(now));
    if (replaced.size() > kReplacedKept) {
        replaced.DeleteSubrange(0, replaced.size() - kReplacedKept);
    }
    token.set_sealed_secret(std::move(sealed));
    token.set_created(unix_ms(now));
    token.set_expires(lifetime == base::Duration::zero() ? 0 : unix_ms(now + lifetime));
    token.set_uses(limits.uses);
    token.set_used(0);
    return {};
}

void spend_token(const Cluster& cluster, certs::Role role, store::Transaction& change) {
    const std::string key(key::kCluster);
    change.compares.emplace_back(store::ModifiedAt{key, cluster.cluster().revision});
    auto record = cluster.cluster().record;
    auto& token = token_of(record, role);
    if (token.uses() != 0) {
        token.set_used(token.used() + 1);
        change.puts.push_back({.key = key, .value = record.SerializeAsString()});
    }
}

}  // namespace warren::manager
