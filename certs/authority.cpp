#include "certs/authority.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "certs/handle.h"

namespace warren::certs {

namespace {

// A name attribute or an extension, by OpenSSL's number.
struct Value {
    int nid;
    std::string text;
};

base::Status set_serial(X509* certificate) {
    std::array<std::uint8_t, 16> bytes{};
    base::random_bytes(bytes);
    const BigNumber number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
    if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
        return openssl_failure("serial number");
    }
    return {};
}

base::Status set_subject(X509* certificate, const std::vector<Value>& attributes) {
    X509_NAME* subject = X509_get_subject_name(certificate);
    for (const Value& attribute : attributes) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(attribute.text.data());
        if (X509_NAME_add_entry_by_NID(subject, attribute.nid, MBSTRING_UTF8, bytes,
                                       static_cast<int>(attribute.text.size()), -1, 0) != 1) {
            return openssl_failure("subject");
        }
    }
    return {};
}

// Adds extensions in OpenSSL's configuration syntax. None of the values holds a character that we did not choose.
base::Status add_extensions(X509* certificate, X509* issuer, const std::vector<Value>& extensions) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    for (const Value& value : extensions) {
        const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, value.nid, value.text.c_str()));
        if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
            return openssl_failure(fmt::format("extension {}", OBJ_nid2sn(value.nid)));
        }
    }
    return {};
}

struct Validity {
    base::Time from;
    base::Time until;
};

base::Result<Certificate> blank(EVP_PKEY* key, const Validity& validity, const std::vector<Value>& subject) {
    Certificate certificate(X509_new());
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        X509_set_pubkey(certificate.get(), key) != 1) {
        return openssl_failure("make a certificate");
    }
    WARREN_TRY(set_serial(certificate.get()));
    WARREN_TRY(set_time(X509_getm_notBefore(certificate.get()), validity.from));
    WARREN_TRY(set_time(X509_getm_notAfter(certificate.get()), validity.until));
    WARREN_TRY(set_subject(certificate.get(), subject));
    return certificate;
}

base::Result<std::string> sign(Certificate certificate, EVP_PKEY* key) {
    if (X509_sign(certificate.get(), key, EVP_sha256()) <= 0) {
        return openssl_failure("sign a certificate");
    }
    return certificates_pem(std::span(&certificate, 1));
}

std::string leaf_names(const Identity& identity) {
    std::string names = "URI:" + spiffe_id(identity);
    if (identity.role == Role::kManager) {
        names += ",DNS:" + manager_dns_name(identity.cluster);
    }
    return names;
}

}  // namespace

base::Status check_leaf_lifetime(std::string_view what, base::Duration lifetime, base::Duration shortest) {
    if (lifetime < shortest || lifetime > kLongestLeafLifetime) {
        return base::fail(base::Code::kInvalid, "{} '{}': must be from {} to 3650d", what, base::format_age(lifetime),
                          base::format_age(shortest));
    }
    return {};
}

base::Result<Authority> Authority::make(const base::ClusterId& cluster, std::string_view cluster_name, base::Time now) {
    WARREN_TRY(base::check_name("cluster name", cluster_name));
    WARREN_TRY_ASSIGN(PrivateKey key, PrivateKey::generate());
    EVP_PKEY* pair = key.impl().key.get();
    WARREN_TRY_ASSIGN(Certificate root,
                      blank(pair, Validity{.from = now - kBackdate, .until = now + kRootLifetime},
                            {{NID_organizationName, cluster.text()}, {NID_commonName, std::string(cluster_name)}}));
    if (X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) != 1) {
        return openssl_failure("issuer");
    }
    // The authority key id comes last: it is read from the subject key id of the same certificate.
    // pathlen 1 leaves room for one cross-signed successor between this root and a leaf.
    WARREN_TRY(add_extensions(root.get(), root.get(),
                              {{NID_basic_constraints, "critical,CA:TRUE,pathlen:1"},
                               {NID_key_usage, "critical,keyCertSign,cRLSign"},
                               {NID_subject_key_identifier, "hash"},
                               {NID_authority_key_identifier, "keyid:always"}}));
    WARREN_TRY_ASSIGN(std::string pem, sign(std::move(root), pair));
    return Authority(std::move(pem), std::move(key));
}

base::Result<Authority> Authority::load(std::string_view root_pem, PrivateKey key) {
    constexpr std::string_view kWhat = "root certificate";
    WARREN_TRY_ASSIGN(const std::vector<Certificate> certificates, read_certificates(kWhat, root_pem, 1));
    if (X509_check_ca(certificates.front().get()) != 1) {
        return base::fail(base::Code::kInvalid, "{}: must be the certificate of an authority (CA:TRUE)", kWhat);
    }
    if (EVP_PKEY_eq(X509_get0_pubkey(certificates.front().get()), key.impl().key.get()) != 1) {
        return base::fail(base::Code::kInvalid, "{}: its key is another one than the private key given", kWhat);
    }
    return Authority(std::string(root_pem), std::move(key));
}

base::Result<std::string> Authority::issue(std::string_view request_pem, const Identity& identity,
                                           base::Duration lifetime, base::Time now, base::Duration shortest) const {
    WARREN_TRY(check_leaf_lifetime("certificate lifetime", lifetime, shortest));
    WARREN_TRY_ASSIGN(const PKey requested, requested_key(request_pem));
    WARREN_TRY_ASSIGN(const std::vector<Certificate> roots, read_certificates("root certificate", root_pem_, 1));
    X509* root = roots.front().get();
    WARREN_TRY_ASSIGN(const base::Time root_end, to_time(X509_get0_notAfter(root)));
    if (root_end <= now) {
        return base::fail(base::Code::kPrecondition, "the cluster's root certificate was valid until {}",
                          base::format_utc(root_end));
    }
    const Validity validity{.from = now - kBackdate, .until = std::min(now + lifetime, root_end)};
    WARREN_TRY_ASSIGN(Certificate leaf, blank(requested.get(), validity,
                                              {{NID_organizationName, identity.cluster.text()},
                                               {NID_organizationalUnitName, std::string(name(identity.role))},
                                               {NID_commonName, identity.node.text()}}));
    if (X509_set_issuer_name(leaf.get(), X509_get_subject_name(root)) != 1) {
        return openssl_failure("issuer");
    }
    WARREN_TRY(add_extensions(leaf.get(), root,
                              {{NID_basic_constraints, "critical,CA:FALSE"},
                               {NID_key_usage, "critical,digitalSignature"},
                               {NID_ext_key_usage, "serverAuth,clientAuth"},
                               {NID_subject_alt_name, leaf_names(identity)},
                               {NID_subject_key_identifier, "hash"},
                               {NID_authority_key_identifier, "keyid:always"}}));
    return sign(std::move(leaf), key_.impl().key.get());
}

base::Result<std::string> Authority::cross_sign(std::string_view successor_pem, base::Time now) const {
    WARREN_TRY_ASSIGN(const std::vector<Certificate> roots, read_certificates("root certificate", root_pem_, 1));
    WARREN_TRY_ASSIGN(const std::vector<Certificate> next, read_certificates("next root", successor_pem, 1));
    X509* root = roots.front().get();
    X509* successor = next.front().get();
    WARREN_TRY_ASSIGN(const base::Time own_end, to_time(X509_get0_notAfter(root)));
    WARREN_TRY_ASSIGN(const base::Time its_end, to_time(X509_get0_notAfter(successor)));
    const Validity validity{.from = now - kBackdate, .until = std::min(own_end, its_end)};
    WARREN_TRY_ASSIGN(Certificate cross, blank(X509_get0_pubkey(successor), validity, {}));
    if (X509_set_subject_name(cross.get(), X509_get_subject_name(successor)) != 1 ||
        X509_set_issuer_name(cross.get(), X509_get_subject_name(root)) != 1) {
        return openssl_failure("cross-signed certificate");
    }
    WARREN_TRY(add_extensions(cross.get(), root,
                              {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                               {NID_key_usage, "critical,keyCertSign,cRLSign"},
                               {NID_authority_key_identifier, "keyid:always"}}));
    // The successor's own key id, however it was computed: its leaves name it.
    const ASN1_OCTET_STRING* key_id = X509_get0_subject_key_id(successor);
    if (key_id == nullptr || X509_add1_ext_i2d(cross.get(), NID_subject_key_identifier,
                                               const_cast<ASN1_OCTET_STRING*>(key_id), 0, X509V3_ADD_DEFAULT) != 1) {
        return openssl_failure("cross-signed certificate: subject key identifier");
    }
    return sign(std::move(cross), key_.impl().key.get());
}

}  // namespace warren::certs
