#include "certs/external_authority.h"

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "certs/authority.h"
#include "certs/handle.h"
#include "certs/roots.h"

namespace warren::certs {

namespace {

using base::Code;
using base::fail;

constexpr std::size_t kMaxCertificates = 4;

bool self_signed(X509* certificate) {
    return (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
}

base::Status check_authority(std::string_view what, X509* certificate, base::Time now) {
    const auto name = common_name(X509_get_subject_name(certificate));
    const bool may_sign = X509_check_ca(certificate) == 1 && (X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) != 0;
    if (!may_sign) {
        return fail(Code::kInvalid, "{}: certificate '{}': must be one of an authority (CA:TRUE, certificate sign)",
                    what, name);
    }
    if (X509_get0_subject_key_id(certificate) == nullptr) {
        return fail(Code::kInvalid, "{}: certificate '{}': must have a subject key identifier", what, name);
    }
    WARREN_TRY_ASSIGN(const base::Time from, to_time(X509_get0_notBefore(certificate)));
    WARREN_TRY_ASSIGN(const base::Time until, to_time(X509_get0_notAfter(certificate)));
    if (now < from || now > until) {
        return fail(Code::kInvalid, "{}: certificate '{}': valid from {} to {}, and it is {}", what, name,
                    base::format_utc(from), base::format_utc(until), base::format_utc(now));
    }
    return {};
}

// Puts the certificates in order: that of the key first, then each one's issuer, up to a self-signed one.
base::Status order(std::string_view what, std::vector<Certificate>& certificates, const EVP_PKEY* key) {
    auto at = std::find_if(certificates.begin(), certificates.end(), [key](const Certificate& certificate) {
        return EVP_PKEY_eq(X509_get0_pubkey(certificate.get()), key) == 1;
    });
    if (at == certificates.end()) {
        return fail(Code::kInvalid, "{}: none of its certificates is for its private key", what);
    }
    std::iter_swap(certificates.begin(), at);
    for (std::size_t length = 1;; ++length) {
        X509* last = certificates[length - 1].get();
        if (self_signed(last)) {
            if (!issued_by(last, last)) {
                return fail(Code::kInvalid, "{}: certificate '{}': its signature is wrong: it was damaged or altered",
                            what, common_name(X509_get_subject_name(last)));
            }
            certificates.resize(length);
            return {};
        }
        const auto rest = certificates.begin() + static_cast<std::ptrdiff_t>(length);
        at = std::find_if(rest, certificates.end(),
                          [last](const Certificate& issuer) { return issued_by(last, issuer.get()); });
        if (at == certificates.end()) {
            return fail(
                Code::kInvalid,
                "{}: certificate '{}': must be self-signed, or what leads from it to its root must be in the file",
                what, common_name(X509_get_subject_name(last)));
        }
        std::iter_swap(rest, at);
    }
}

// The proof of it all: who trusts the roots believes a leaf that it signs. Fuzzing finds altered encodings that pass
// each check by itself, and not this one.
base::Status try_out(std::string_view what, std::string_view pem, const ExternalAuthority& authority, base::Time now) {
    WARREN_TRY_ASSIGN(PrivateKey key, PrivateKey::from_pem(what, pem, KeyRule::kAuthority));
    WARREN_TRY_ASSIGN(const Authority signer, Authority::load(authority.certificate_pem, std::move(key)));
    WARREN_TRY_ASSIGN(const PrivateKey leaf_key, PrivateKey::generate());
    WARREN_TRY_ASSIGN(const auto request, make_request(leaf_key));
    const Identity anybody{.cluster = base::random_id<base::ClusterId>(), .node = base::random_id<base::NodeId>()};
    WARREN_TRY_ASSIGN(const auto leaf, signer.issue(request, anybody, kShortestLeafLifetime, now));
    WARREN_TRY_ASSIGN(const Roots roots, Roots::parse(what, authority.roots_pem));
    if (const auto verified = roots.verify("a certificate of it", leaf, now); !verified) {
        return fail(Code::kInvalid, "{}: damaged or altered: {}", what, verified.error().message());
    }
    return {};
}

}  // namespace

base::Result<ExternalAuthority> parse_external_authority(std::string_view what, std::string_view pem, base::Time now) {
    WARREN_TRY_ASSIGN(auto certificates, find_certificates(what, pem, kMaxCertificates));
    WARREN_TRY_ASSIGN(PrivateKey key, PrivateKey::from_pem(what, pem, KeyRule::kAuthority));
    WARREN_TRY(order(what, certificates, key.impl().key.get()));
    for (const auto& certificate : certificates) {
        WARREN_TRY(check_authority(what, certificate.get(), now));
    }
    ExternalAuthority authority{.certificate_pem = {}, .roots_pem = {}, .key = std::move(key)};
    WARREN_TRY_ASSIGN(authority.certificate_pem, certificates_pem({certificates.data(), 1}));
    WARREN_TRY_ASSIGN(authority.roots_pem, certificates_pem(certificates));
    WARREN_TRY(try_out(what, pem, authority, now));
    return authority;
}

}  // namespace warren::certs
