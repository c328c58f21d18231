#include "keymgr/hkdf.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>

#include "base/free.h"

namespace warren::keymgr {

namespace {

using Kdf = base::Handle<EVP_KDF, &EVP_KDF_free>;
using KdfContext = base::Handle<EVP_KDF_CTX, &EVP_KDF_CTX_free>;  // clears its copy of the secret

OSSL_PARAM octets(const char* key, std::span<const std::uint8_t> bytes) {
    // OSSL_PARAM has no const data; the library only reads it.
    return OSSL_PARAM_construct_octet_string(key, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

}  // namespace

base::Status hkdf_sha256(std::span<const std::uint8_t> secret, std::span<const std::uint8_t> salt,
                         std::span<const std::uint8_t> info, std::span<std::uint8_t> out) {
    // Looking an algorithm up takes longer than running it. Initialised once, by whichever thread comes first.
    static const Kdf hkdf{EVP_KDF_fetch(nullptr, "HKDF", nullptr)};
    if (!hkdf) {
        return base::fail(base::Code::kInternal, "libcrypto has no HKDF");
    }
    const KdfContext context{EVP_KDF_CTX_new(hkdf.get())};
    if (!context) {
        return base::fail(base::Code::kInternal, "libcrypto: out of memory");
    }
    std::array<char, 7> digest{"SHA256"};
    const std::array params{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
                            octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
                            octets(OSSL_KDF_PARAM_INFO, info), OSSL_PARAM_construct_end()};
    if (EVP_KDF_derive(context.get(), out.data(), out.size(), params.data()) != 1) {
        const char* reason = ERR_reason_error_string(ERR_get_error());
        ERR_clear_error();
        return base::fail(base::Code::kInternal, "libcrypto: HKDF-SHA256: {}", reason ? reason : "failed");
    }
    return {};
}

}  // namespace warren::keymgr
