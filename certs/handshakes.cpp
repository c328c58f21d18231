#include "certs/handshakes.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <atomic>

#include "base/log.h"
#include "certs/handle.h"
#include "certs/limited_lines.h"

namespace warren::certs {

namespace {

constexpr base::Log kLog{"certs"};

std::atomic<std::uint64_t> failed{0};
std::atomic<std::uint64_t> silent{0};

// Called at the beginning of SSL_free(), when the connection can still be asked how far it got. gRPC has no place for
// this: it tells nobody of a handshake that fails, and its log does not say which end it was. Where the handshake was
// done the state stays TLS_ST_OK, whatever happened later.
void end_of_connection(void* parent, void* /*data*/, CRYPTO_EX_DATA* /*all*/, int /*index*/, long /*argl*/,
                       void* /*argp*/) {
    const auto* connection = static_cast<const SSL*>(parent);
    if (connection == nullptr || SSL_is_server(connection) == 0 || SSL_get_state(connection) == TLS_ST_OK) {
        return;
    }
    BIO* const input = SSL_get_rbio(connection);
    if (input != nullptr && BIO_number_read(input) > 0) {
        ++failed;
        // gRPC says of every certificate that it "failed", and not why.
        if (const auto verdict = SSL_get_verify_result(connection); verdict != X509_V_OK) {
            static LimitedLines lines;
            lines.say(kLog,
                      fmt::format("handshake refused: client certificate: {}", X509_verify_cert_error_string(verdict)));
        }
        return;
    }
    ++silent;
    static LimitedLines lines;
    lines.say(kLog, "a connection to this manager's port ended without a word");
}

}  // namespace

LostHandshakes lost_handshakes() {
    return {.failed = failed, .silent = silent};
}

base::Status watch_handshakes() {
    if (SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, &end_of_connection) < 0) {
        return openssl_failure("TLS: watch connections");
    }
    return {};
}

void note_failed_handshake() {
    ++failed;
}

}  // namespace warren::certs
