#include <gtest/gtest.h>
#include <openssl/crypto.h>

// Linked into tests that use gRPC, whose threads live on while the process ends. OpenSSL's own end would take from them
// the way to what they hold (the errors of a handshake that failed, say), and LeakSanitizer looks after that: about one
// run in twenty of such a test. So OpenSSL does not tidy up here; the process is over anyway.
namespace warren {
namespace {

const int kKeptOpen = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);

}  // namespace
}  // namespace warren
