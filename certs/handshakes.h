#pragma once

#include <cstdint>

#include "base/result.h"

// TLS handshakes with the servers of this process that came to nothing. Its own calls as a client don't count: who
// refuses those tells the caller. Any thread.
namespace warren::certs {

struct LostHandshakes {
    std::uint64_t failed =
        0;  // foreign or outdated certificates, other versions of TLS, no TLS at all, given up half-way
    std::uint64_t silent = 0;  // connections that never said a word
};
[[nodiscard]] LostHandshakes lost_handshakes();

// Counts every connection from now on. Called by require_tls13(), which comes before any server.
[[nodiscard]] base::Status watch_handshakes();

// OpenSSL was content, and the certificate is not one that gets in.
void note_failed_handshake();

}  // namespace warren::certs
