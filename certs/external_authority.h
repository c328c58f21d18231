#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "certs/key.h"

namespace warren::certs {

// A certificate authority of the operator's own: a root, or an intermediate with what leads from it to its root.
struct ExternalAuthority {
    std::string certificate_pem;  // that signs leaves
    std::string roots_pem;        // what nodes are to trust: it, and what leads from it to the root, which comes last
    PrivateKey key;
};

// Reads a file's text: an unencrypted private key and certificates, all in PEM form, in any order and with whatever
// other tools write between. The key's certificate must be one of an authority that is valid now and may sign leaves
// (CA:TRUE, keyCertSign), name its key (subject key identifier), and be self-signed or lead to a self-signed one in the
// same file. The key: ECDSA on P-256 or P-384, or RSA of at least 3072 bits. kInvalid says which of these fails.
[[nodiscard]] base::Result<ExternalAuthority> parse_external_authority(std::string_view what, std::string_view pem,
                                                                       base::Time now);

}  // namespace warren::certs
