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

// WRN1-<SHA-256 of a root>-<secret>, both in base32 (RFC 4648, lower case, no padding): 84 characters. The root is the
// one that issues, see Roots::pin(): a token stays good while others come and go beside it.
struct JoinToken {
    Sha256 root_pin{};
    TokenSecret secret;

    // Whoever has the text can join: show it only where it was asked for.
    [[nodiscard]] std::string text() const;
    // Of the roots that somebody sent those that the token vouches for. kDenied when there is none.
    [[nodiscard]] base::Result<Roots> trusted(const Roots& roots) const;
};

// `what` names the field in the error, which says which part of the token is wrong and never shows any of it.
[[nodiscard]] base::Result<JoinToken> parse_join_token(std::string_view what, std::string_view text);

}  // namespace warren::certs
