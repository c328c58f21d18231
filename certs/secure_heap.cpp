#include "certs/secure_heap.h"

#include <openssl/crypto.h>

#include "base/log.h"

namespace warren::certs {

namespace {

constexpr base::Log kLog{"certs"};
// A key takes a few hundred bytes, and a handshake has one for some milliseconds: room for ten thousand at a time.
constexpr std::size_t kHeapBytes = 4U << 20U;
constexpr std::size_t kSmallestPiece = 32;

}  // namespace

void use_secure_heap() {
    // 2: it works, but not all of what protects it could be had (no locked memory, say).
    const int got = ::CRYPTO_secure_malloc_init(kHeapBytes, kSmallestPiece);
    if (got == 0) {
        kLog.warn("OpenSSL has no secure heap: private keys are in ordinary memory");
    } else if (got != 1) {
        kLog.warn("OpenSSL's secure heap can't be locked in memory: it may be swapped out");
    }
}

}  // namespace warren::certs
