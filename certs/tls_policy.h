#pragma once

#include "base/result.h"

namespace warren::certs {

// Makes every TLS context that this process creates from now on speak TLS 1.3 only and hand out no session tickets.
//
// gRPC 1.51 sets TLS 1.2 as the minimum of each context it makes, and its C++ API has no way to say otherwise. OpenSSL
// applies the `system_default` section of its configuration to each new context as protocol options, which that minimum
// does not undo (ssl/ssl_mcnf.c, SSL_CTX_set_min_proto_version(3)). So we load a configuration of our own from memory.
// No tickets: a resumed session would skip the verification of the peer's certificate.
//
// Idempotent, any thread; the first call must not race with the creation of a TLS context elsewhere. Fails when a
// context made afterwards would still take TLS 1.2, so that nothing is ever served or called with less.
// Every factory in grpc_credentials.h calls it and fails with it.
[[nodiscard]] base::Status require_tls13();

}  // namespace warren::certs
