#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "certs/identity.h"
#include "certs/token.h"
#include "manager/cluster.h"
#include "manager/vault.h"
#include "proto/state.pb.h"
#include "store/store.h"

// The join tokens of a cluster: one for workers, one for managers. A token stops letting nodes in when it is replaced,
// when it expires, or when it has let in as many as it may. Pure but for the vault's seals.
namespace warren::manager {

[[nodiscard]] const v1::TokenRecord& token_of(const v1::ClusterRecord& cluster, certs::Role role);
[[nodiscard]] v1::TokenRecord& token_of(v1::ClusterRecord& cluster, certs::Role role);

// A role's token as it is stored, with its secret.
struct OpenToken {
    certs::Role role;
    const v1::TokenRecord* record;
    certs::TokenSecret secret;
};
using OpenTokens = std::array<OpenToken, 2>;
[[nodiscard]] base::Result<OpenTokens> open_tokens(const Vault& vault, const v1::ClusterRecord& cluster);

// The role of who shows `shown`. kDenied says why not: expired, used up, replaced and when, or never this cluster's;
// only who holds the secret learns any but the last.
[[nodiscard]] base::Result<certs::Role> role_of(const OpenTokens& tokens, const certs::TokenSecret& shown,
                                                base::Time now);

// What a token may do: `expires` as typed after --expires, empty or 0 for never; `uses` 0 for any number.
struct TokenLimits {
    std::string expires;
    std::uint32_t uses = 0;
};
// Makes `token` hold `sealed`, with these limits, in place of `old`, whose digest it keeps.
[[nodiscard]] base::Status replace_token(v1::TokenRecord& token, std::string sealed, const certs::TokenSecret& old,
                                         const TokenLimits& limits, base::Time now);

// Adds to the change that lets a node in with the token of `role`: it succeeds only if no token was replaced or used
// since `cluster` was read, and counts the use of one that is limited.
void spend_token(const Cluster& cluster, certs::Role role, store::Transaction& change);

}  // namespace warren::manager
