#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "certs/identity.h"

namespace warren::certs {

// What a leaf certificate of ours says. Reading it proves nothing: Roots::verify() does, or the TLS handshake did.
struct Leaf {
    Identity identity;
    base::Time not_before;
    base::Time not_after;
    std::string serial;      // hex, lower case
    std::string issuer;      // common name of the authority that issued it
    std::string issuer_key;  // key id of that authority, hex: tells authorities of one name apart

    auto operator<=>(const Leaf&) const = default;
};

// Reads the first certificate of a PEM text (after it may come up to three that lead to a root), and takes it only when
// it is exactly as Authority::issue() makes them: not a CA; subject of one O (cluster id), one OU (role) and one CN
// (node id); exactly one URI name, which says the same cluster and node; a manager's has the DNS name of its cluster's
// managers, others have none. `what` names the text in the error.
[[nodiscard]] base::Result<Leaf> parse_leaf(std::string_view what, std::string_view pem);

// kPrecondition when `now` is outside the certificate's validity; the error says both times and what to do.
[[nodiscard]] base::Status check_validity(const Leaf& leaf, base::Time now);

}  // namespace warren::certs
