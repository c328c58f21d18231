#include "certs/grpc_credentials.h"

#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpc/support/string_util.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "certs/authority.h"
#include "certs/handshakes.h"
#include "certs/limited_lines.h"
#include "certs/tls_policy.h"

namespace warren::certs {

namespace {

namespace tls = grpc::experimental;

constexpr base::Log kLog{"certs"};
constexpr base::Log kGrpcLog{"grpc"};
constexpr unsigned kLookAtFiles = 1;  // seconds: gRPC counts whole ones

// What the other end must be, beyond a certificate that chains to the roots.
struct PeerRule {
    std::optional<base::ClusterId> cluster;  // none: any that the roots vouch for
    bool must_be_manager = false;
};

base::Status check_peer(const PeerRule& rule, std::string_view pem) {
    WARREN_TRY_ASSIGN(const Leaf leaf, parse_leaf("peer certificate", pem));
    if (rule.cluster && leaf.identity.cluster != *rule.cluster) {
        return base::fail(base::Code::kDenied, "peer certificate: is of cluster {}, must be of {}",
                          leaf.identity.cluster, *rule.cluster);
    }
    if (rule.must_be_manager && leaf.identity.role != Role::kManager) {
        return base::fail(base::Code::kDenied, "peer certificate: is of a {}, must be of a manager",
                          name(leaf.identity.role));
    }
    return {};
}

// Runs after OpenSSL has verified the chain, within the handshake, on gRPC's threads. Replaces gRPC's check of the host
// name: addresses change, a manager's name in its certificate does not (parse_leaf() has compared it with the role).
// gRPC owns it and calls destroy() when the last credentials that use it go.
class PeerVerifier {
  public:
    [[nodiscard]] static std::shared_ptr<tls::CertificateVerifier> make(const PeerRule& rule) {
        auto* verifier = new PeerVerifier(rule);
        return std::make_shared<tls::CertificateVerifier>(
            grpc_tls_certificate_verifier_external_create(&verifier->interface_));
    }

  private:
    explicit PeerVerifier(const PeerRule& rule) : rule_(rule), interface_{this, &verify, &cancel, &destroy} {}

    // Always answers at once (1), so there is never anything to cancel.
    static int verify(void* self, grpc_tls_custom_verification_check_request* request,
                      grpc_tls_on_custom_verification_check_done_cb /*callback*/, void* /*callback_arg*/,
                      grpc_status_code* status, char** details) noexcept {
        const PeerRule& rule = static_cast<const PeerVerifier*>(self)->rule_;
        const char* pem = request->peer_info.peer_cert;
        if (pem == nullptr && !rule.must_be_manager) {
            return 1;  // a client without a certificate
        }
        if (const auto checked = check_peer(rule, pem == nullptr ? "" : pem); !checked) {
            refused(rule, checked.error());
            *status = GRPC_STATUS_UNAUTHENTICATED;
            *details = gpr_strdup(checked.error().message().c_str());
        }
        return 1;
    }
    static void refused(const PeerRule& rule, const base::Error& why) {
        static LimitedLines lines;
        lines.say(kLog, fmt::format("handshake refused: {}", why.message()));
        if (!rule.must_be_manager) {  // this end is the server
            note_failed_handshake();
        }
    }
    static void cancel(void* /*self*/, grpc_tls_custom_verification_check_request* /*request*/) noexcept {}
    static void destroy(void* self) noexcept { delete static_cast<PeerVerifier*>(self); }

    PeerRule rule_;
    grpc_tls_certificate_verifier_external interface_;
};

// gRPC keeps a copy of the key for as long as the credentials live; that copy is not wiped.
base::Result<std::shared_ptr<tls::CertificateProviderInterface>> make_provider(const NodeIdentity& self) {
    WARREN_TRY_ASSIGN(const base::SecretBytes key, self.key().pem());
    std::vector<tls::IdentityKeyCertPair> pairs(1);
    pairs.front().private_key.assign(key.reveal().begin(), key.reveal().end());
    pairs.front().certificate_chain = self.chain_pem();
    auto provider = std::make_shared<tls::StaticDataCertificateProvider>(self.roots().pem(), pairs);
    base::wipe(pairs.front().private_key);
    return provider;
}

std::shared_ptr<grpc::ServerCredentials> serve_with(std::shared_ptr<tls::CertificateProviderInterface> provider,
                                                    const base::ClusterId& cluster) {
    tls::TlsServerCredentialsOptions options(std::move(provider));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
    options.set_certificate_verifier(PeerVerifier::make({.cluster = cluster}));
    return tls::TlsServerCredentials(options);
}

}  // namespace

base::Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const NodeIdentity& self) {
    WARREN_TRY(require_tls13());
    WARREN_TRY_ASSIGN(auto provider, make_provider(self));
    return serve_with(std::move(provider), self.identity().cluster);
}

base::Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const NodeIdentity& self,
                                                                          const std::filesystem::path& directory) {
    WARREN_TRY(require_tls13());
    const std::string node = node_file_path(directory).native();
    auto provider = std::make_shared<tls::FileWatcherCertificateProvider>(
        node, node, roots_file_path(directory).native(), kLookAtFiles);
    return serve_with(std::move(provider), self.identity().cluster);
}

base::Result<std::shared_ptr<grpc::ChannelCredentials>> member_credentials(const NodeIdentity& self) {
    WARREN_TRY(require_tls13());
    WARREN_TRY_ASSIGN(auto provider, make_provider(self));
    tls::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(std::move(provider));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_check_call_host(false);
    options.set_certificate_verifier(PeerVerifier::make({.cluster = self.identity().cluster, .must_be_manager = true}));
    return tls::TlsCredentials(options);
}

base::Result<std::shared_ptr<grpc::ChannelCredentials>> unverified_credentials() {
    WARREN_TRY(require_tls13());
    // gRPC wants a root even where it verifies nothing, and would look for the system's; a small host has none. This
    // one has signed nothing and its key is gone.
    WARREN_TRY_ASSIGN(const Authority nobody, Authority::make(base::ClusterId{}, "nobody", base::Time(kBackdate)));
    tls::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(nobody.root_pem()));
    options.watch_root_certs();
    options.set_verify_server_certs(false);
    options.set_check_call_host(false);
    options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
    return tls::TlsCredentials(options);
}

base::Result<std::shared_ptr<grpc::ChannelCredentials>> joiner_credentials(
    const Roots& roots, const std::optional<base::ClusterId>& cluster) {
    WARREN_TRY(require_tls13());
    tls::TlsChannelCredentialsOptions options;
    options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(roots.pem()));
    options.watch_root_certs();
    options.set_check_call_host(false);
    options.set_certificate_verifier(PeerVerifier::make({.cluster = cluster, .must_be_manager = true}));
    return tls::TlsCredentials(options);
}

base::Result<std::optional<Identity>> peer_identity(const grpc::AuthContext& context) {
    const std::vector<grpc::string_ref> pems = context.FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    if (pems.empty()) {
        return std::nullopt;
    }
    auto leaf = parse_leaf("client certificate", {pems.front().data(), pems.front().size()});
    if (pems.size() != 1 || !leaf) {
        return base::fail(base::Code::kDenied, "{}",
                          leaf ? "client certificate: more than one" : leaf.error().message());
    }
    return leaf->identity;
}

void adopt_grpc_log() {
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    gpr_set_log_function([](gpr_log_func_args* line) {
        static LimitedLines lines;
        const std::string_view text(line->message);
        // Clients name the address that they call, certificates never do: said on every connection, and meaningless.
        if (!text.starts_with("No match found for server name")) {
            lines.say(kGrpcLog, text.starts_with("assertion failed")  // and gRPC ends the process
                                    ? fmt::format("{} ({}:{})", text, line->file, line->line)
                                    : std::string(text));
        }
    });
}

}  // namespace warren::certs
