#include "tests/unit/certs/forge.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "certs/handle.h"

namespace warren::certs {

namespace {

void add_subject(X509_NAME* name, const Values& subject) {
    for (const auto& [nid, text] : subject) {
        EXPECT_EQ(
            X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                       static_cast<int>(text.size()), -1, 0),
            1);
    }
}

Extension make_extension(int nid, const std::string& text) {
    return Extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, text.c_str()));
}

std::string text_of(const Bio& bio) {
    const auto bytes = content(bio);
    return {bytes.begin(), bytes.end()};
}

std::string request_pem(const Request& request) {
    const Bio bio = must(memory_bio());
    EXPECT_EQ(PEM_write_bio_X509_REQ(bio.get(), request.get()), 1);
    return text_of(bio);
}

std::string spki(const EVP_PKEY* key) {
    const Bio bio = must(memory_bio());
    EXPECT_EQ(i2d_PUBKEY_bio(bio.get(), key), 1);
    return text_of(bio);
}

PKey new_key(const std::string& kind) {
    if (kind == "RSA") {
        return PKey(EVP_RSA_gen(2048));
    }
    if (kind == "P-256 spelt out") {
        PKey key(EVP_EC_gen("P-256"));
        EXPECT_EQ(
            EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT), 1);
        return key;
    }
    return PKey(EVP_EC_gen(kind.c_str()));
}

}  // namespace

Forgery like_issued(const Identity& identity) {
    return {.subject = {{NID_organizationName, identity.cluster.text()},
                        {NID_organizationalUnitName, std::string(name(identity.role))},
                        {NID_commonName, identity.node.text()}},
            .extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                           {NID_key_usage, "critical,digitalSignature"},
                           {NID_ext_key_usage, "serverAuth,clientAuth"},
                           {NID_subject_alt_name, "URI:" + spiffe_id(identity)}}};
}

std::string forge_leaf(const TestCluster& cluster, const Forgery& forgery) {
    const Certificate leaf(X509_new());
    const PKey key = new_key("P-256");
    const std::vector<Certificate> roots = must(read_certificates("root", cluster.authority.root_pem(), 1));
    EXPECT_EQ(X509_set_version(leaf.get(), X509_VERSION_3), 1);
    EXPECT_EQ(X509_set_pubkey(leaf.get(), key.get()), 1);
    must(set_time(X509_getm_notBefore(leaf.get()), forgery.not_before));
    must(set_time(X509_getm_notAfter(leaf.get()), forgery.not_after));
    add_subject(X509_get_subject_name(leaf.get()), forgery.subject);
    EXPECT_EQ(X509_set_issuer_name(leaf.get(), X509_get_subject_name(roots.front().get())), 1);
    for (const auto& [nid, text] : forgery.extensions) {
        EXPECT_EQ(X509_add_ext(leaf.get(), make_extension(nid, text).get(), -1), 1) << text;
    }
    EXPECT_GT(X509_sign(leaf.get(), cluster.authority.key().impl().key.get(), EVP_sha256()), 0);
    const Bio bio = must(memory_bio());
    EXPECT_EQ(PEM_write_bio_X509(bio.get(), leaf.get()), 1);
    return text_of(bio);
}

std::string forge_request(const std::string& kind, const Values& subject, const std::string& names) {
    const PKey key = new_key(kind);
    const Request request(X509_REQ_new());
    add_subject(X509_REQ_get_subject_name(request.get()), subject);
    EXPECT_EQ(X509_REQ_set_pubkey(request.get(), key.get()), 1);
    if (!names.empty()) {
        STACK_OF(X509_EXTENSION)* extensions = sk_X509_EXTENSION_new_null();
        sk_X509_EXTENSION_push(extensions, make_extension(NID_subject_alt_name, names).release());
        sk_X509_EXTENSION_push(extensions, make_extension(NID_basic_constraints, "critical,CA:TRUE").release());
        EXPECT_EQ(X509_REQ_add_extensions(request.get(), extensions), 1);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    }
    EXPECT_GT(X509_REQ_sign(request.get(), key.get(), EVP_sha256()), 0);
    return request_pem(request);
}

// The signature stays the thief's own: X509_REQ_set_pubkey() leaves it alone.
std::string stolen_key_request(const PrivateKey& thief, const PrivateKey& victim) {
    const std::string own = must(make_request(thief));
    const Bio bio = must(reading_bio(own));
    const Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
    EXPECT_EQ(X509_REQ_set_pubkey(request.get(), victim.impl().key.get()), 1);
    return request_pem(request);
}

std::string public_key(const std::string& certificate_pem) {
    const auto certificates = must(read_certificates("certificate", certificate_pem, 1));
    return spki(X509_get0_pubkey(certificates.front().get()));
}

std::string public_key(const PrivateKey& key) {
    return spki(key.impl().key.get());
}

std::string requested_public_key(const std::string& pem) {
    return spki(must(requested_key(pem)).get());
}

}  // namespace warren::certs
