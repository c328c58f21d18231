#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "certs/roots.h"

namespace warren::certs {

// What a joiner shows to prove that it was invited. One for workers and one for managers: which of them matches decides
// the role. Compare with ==, which takes the same time for every pair.
using TokenSecret = base::Secret<16>;
[[nodiscard]] TokenSecret random_token_secret();
// SHA-256 of the secret: what may be kept of one that is no longer valid.
[[nodiscard]] Sha256 digest(const TokenSecret& secret);

// WRN1-<SHA-256 of the root bundle>-<secret>, both in base32 (RFC 4648, lower case, no padding): 84 characters.
struct JoinToken {
    Sha256 roots_hash{};
    TokenSecret secret;

    // Whoever has the text can join: show it only where it was asked for.
    [[nodiscard]] std::string text() const;
    // kDenied when the roots are not the ones that the token pins.
    [[nodiscard]] base::Status check(const Roots& roots) const;
};

// `what` names the field in the error, which says which part of the token is wrong and never shows any of it.
[[nodiscard]] base::Result<JoinToken> parse_join_token(std::string_view what, std::string_view text);

}  // namespace warren::certs
