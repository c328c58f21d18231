#include "certs/key.h"

#include <openssl/ec.h>
#include <openssl/err.h>

#include "certs/handle.h"

namespace warren::certs {

namespace {

constexpr std::size_t kMaxRequest = 8U << 10U;
constexpr std::size_t kMaxKey = 16U << 10U;  // RSA of 16384 bits takes 12 KiB
constexpr int kFewestRsaBits = 3072;

// Nothing from OpenSSL's queue goes into this error: it is about a secret.
tl::unexpected<base::Error> bad_key(std::string_view what) {
    ERR_clear_error();
    return base::fail(base::Code::kInvalid, "{}: must be a whole, unencrypted private key in PKCS#8 form", what);
}

base::Status check_key(std::string_view what, const EVP_PKEY* key, KeyRule rule) {
    if (rule == KeyRule::kNode) {
        return check_p256(what, key);
    }
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        if (EVP_PKEY_get_bits(key) < kFewestRsaBits) {
            return base::fail(base::Code::kInvalid, "{}: RSA of {} bits: must be {} or more", what,
                              EVP_PKEY_get_bits(key), kFewestRsaBits);
        }
        return {};
    }
    return check_curve(what, key, {SN_X9_62_prime256v1, SN_secp384r1});
}

}  // namespace

PrivateKey::PrivateKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PrivateKey::PrivateKey(PrivateKey&&) noexcept = default;
PrivateKey& PrivateKey::operator=(PrivateKey&&) noexcept = default;
PrivateKey::~PrivateKey() = default;

base::Result<PrivateKey> PrivateKey::generate() {
    PKey key(EVP_EC_gen(SN_X9_62_prime256v1));
    if (!key) {
        return openssl_failure("make a key pair");
    }
    return PrivateKey(std::make_unique<Impl>(Impl{std::move(key)}));
}

base::Result<PrivateKey> PrivateKey::from_pem(std::string_view what, std::string_view pem, KeyRule rule) {
    if (pem.size() > kMaxKey) {
        return bad_key(what);
    }
    WARREN_TRY_ASSIGN(const Bio bio, reading_bio(pem));
    PKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, &no_password, nullptr));
    if (!key) {
        return bad_key(what);
    }
    WARREN_TRY(check_key(what, key.get(), rule));
    return PrivateKey(std::make_unique<Impl>(Impl{std::move(key)}));
}

base::Result<PrivateKey> PrivateKey::from_der(std::string_view what, std::span<const std::uint8_t> der, KeyRule rule) {
    if (der.empty() || der.size() > kMaxKey) {
        return bad_key(what);
    }
    const unsigned char* at = der.data();
    PKey key(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der.size())));
    if (!key || at != der.data() + der.size()) {
        return bad_key(what);
    }
    WARREN_TRY(check_key(what, key.get(), rule));
    return PrivateKey(std::make_unique<Impl>(Impl{std::move(key)}));
}

base::Result<base::SecretBytes> PrivateKey::pem() const {
    WARREN_TRY_ASSIGN(const Bio bio, memory_bio());
    if (PEM_write_bio_PKCS8PrivateKey(bio.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return openssl_failure("encode private key");
    }
    return base::SecretBytes(content(bio));
}

base::Result<base::SecretBytes> PrivateKey::der() const {
    WARREN_TRY_ASSIGN(const Bio bio, memory_bio());
    if (i2d_PKCS8PrivateKey_bio(bio.get(), impl_->key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
        return openssl_failure("encode private key");
    }
    return base::SecretBytes(content(bio));
}

base::Result<std::string> make_request(const PrivateKey& key) {
    const Request request(X509_REQ_new());
    EVP_PKEY* pair = key.impl().key.get();
    if (!request || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
        X509_REQ_set_pubkey(request.get(), pair) != 1 || X509_REQ_sign(request.get(), pair, EVP_sha256()) <= 0) {
        return openssl_failure("make a certificate request");
    }
    WARREN_TRY_ASSIGN(const Bio bio, memory_bio());
    if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
        return openssl_failure("encode certificate request");
    }
    const auto bytes = content(bio);
    return std::string(bytes.begin(), bytes.end());
}

base::Result<PKey> requested_key(std::string_view request_pem) {
    constexpr std::string_view kWhat = "certificate request";
    if (request_pem.size() > kMaxRequest) {
        return base::fail(base::Code::kInvalid, "{}: {} bytes, must be at most {}", kWhat, request_pem.size(),
                          kMaxRequest);
    }
    WARREN_TRY_ASSIGN(const Bio bio, reading_bio(request_pem));
    const Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, &no_password, nullptr));
    PKey key(request ? X509_REQ_get_pubkey(request.get()) : nullptr);
    if (!key) {
        ERR_clear_error();
        return base::fail(base::Code::kInvalid, "{}: must be PKCS#10 in PEM form", kWhat);
    }
    WARREN_TRY(check_p256("key of the certificate request", key.get()));
    if (X509_REQ_verify(request.get(), key.get()) != 1) {
        ERR_clear_error();
        return base::fail(base::Code::kDenied, "{}: its signature is not of the key that it asks a certificate for",
                          kWhat);
    }
    return key;
}

}  // namespace warren::certs
