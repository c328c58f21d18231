#include "certs/tls_policy.h"

#include <openssl/conf.h>
#include <openssl/ssl.h>

#include "certs/handle.h"
#include "certs/handshakes.h"

namespace warren::certs {

namespace {

using SslContext = base::Handle<SSL_CTX, &SSL_CTX_free>;
using Configuration = base::Handle<CONF, &NCONF_free>;

constexpr std::string_view kPolicy =
    "warren = warren_modules\n"
    "[warren_modules]\n"
    "ssl_conf = warren_ssl\n"
    "[warren_ssl]\n"
    "system_default = warren_tls\n"
    "[warren_tls]\n"
    "Protocol = -ALL,TLSv1.3\n"
    "NumTickets = 0\n";

base::Status check_policy() {
    const SslContext context(SSL_CTX_new(TLS_method()));
    if (!context) {
        return openssl_failure("TLS policy");
    }
    constexpr std::uint64_t kOlder = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2;
    if ((SSL_CTX_get_options(context.get()) & kOlder) != kOlder || SSL_CTX_get_num_tickets(context.get()) != 0) {
        return base::fail(base::Code::kInternal, "TLS policy: this OpenSSL does not keep to TLS 1.3 as configured");
    }
    return {};
}

base::Status load_policy() {
    WARREN_TRY(watch_handshakes());
    // The system's configuration first: loaded later it would replace ours.
    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, nullptr) != 1) {
        return openssl_failure("TLS policy: load the system's OpenSSL configuration");
    }
    WARREN_TRY_ASSIGN(const Bio text, reading_bio(kPolicy));
    const Configuration configuration(NCONF_new(nullptr));
    long error_line = -1;
    if (!configuration || NCONF_load_bio(configuration.get(), text.get(), &error_line) <= 0 ||
        CONF_modules_load(configuration.get(), "warren", 0) <= 0) {
        return openssl_failure("TLS policy");
    }
    return check_policy();
}

}  // namespace

base::Status require_tls13() {
    static const base::Status loaded = load_policy();
    return loaded;
}

}  // namespace warren::certs
