#include "keymgr/key_schedule.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <concepts>

#include "base/free.h"
#include "base/random.h"

namespace warren::keymgr {
namespace {

using Kdf = base::Handle<EVP_KDF, &EVP_KDF_free>;
using KdfContext = base::Handle<EVP_KDF_CTX, &EVP_KDF_CTX_free>;  // clears its copy of the secret

struct CipherFacts {
    Cipher cipher;
    std::string_view name;
    std::size_t key_length;
};
constexpr std::array<CipherFacts, 3> kCiphers{{
    {Cipher::kAes128Gcm, "aes-128-gcm", 16},
    {Cipher::kAes256Gcm, "aes-256-gcm", 32},
    {Cipher::kChaCha20Poly1305, "chacha20-poly1305", 32},
}};
constexpr std::size_t kSaltLength = 4;  // RFC 4106 section 8.1, RFC 7634 section 2

constexpr const CipherFacts& facts(Cipher cipher) {
    return kCiphers[static_cast<std::size_t>(cipher) - 1];
}
static_assert(std::ranges::all_of(kCiphers, [](const CipherFacts& f) { return facts(f.cipher).name == f.name; }));

constexpr std::string_view kLabel = "warren esp 1";
constexpr std::size_t kInfoLength = kLabel.size() + 1 + 16 + 4 + 16 + 8 + 16 + 8;
using Info = std::array<std::uint8_t, kInfoLength>;

// Fills the info field by field; what is left over or too much is a bug that the tests' golden values find.
class InfoWriter {
  public:
    void text(std::string_view value) { at_ = std::copy(value.begin(), value.end(), at_); }
    void bytes(const base::IdBytes& value) { at_ = std::copy(value.begin(), value.end(), at_); }
    template <std::unsigned_integral T>
    void big_endian(T value) {
        for (std::size_t i = sizeof value; i-- > 0;) {
            *at_++ = static_cast<std::uint8_t>(value >> (8 * i));
        }
    }
    [[nodiscard]] const Info& info() const { return info_; }

  private:
    Info info_{};
    Info::iterator at_ = info_.begin();
};

Info make_info(Cipher cipher, const SaIdentity& sa) {
    InfoWriter writer;
    writer.text(kLabel);
    writer.big_endian(static_cast<std::uint8_t>(cipher));
    writer.bytes(sa.network.bytes);
    writer.big_endian(sa.epoch.value);
    writer.bytes(sa.sender.bytes);
    writer.big_endian(sa.sender_membership.value);
    writer.bytes(sa.receiver.bytes);
    writer.big_endian(sa.receiver_membership.value);
    return writer.info();
}

OSSL_PARAM octets(const char* key, std::span<const std::uint8_t> bytes) {
    // OSSL_PARAM has no const data; the library only reads it.
    return OSSL_PARAM_construct_octet_string(key, const_cast<std::uint8_t*>(bytes.data()), bytes.size());
}

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

}  // namespace

std::string_view name(Cipher cipher) {
    return facts(cipher).name;
}

std::size_t key_length(Cipher cipher) {
    return facts(cipher).key_length;
}

base::Result<Cipher> parse_cipher(std::string_view what, std::string_view text) {
    const auto* const found = std::ranges::find(kCiphers, text, &CipherFacts::name);
    if (found == kCiphers.end()) {
        return base::fail(base::Code::kInvalid, "{} '{}': must be aes-128-gcm, aes-256-gcm or chacha20-poly1305", what,
                          text);
    }
    return found->cipher;
}

EpochSecret random_epoch_secret() {
    EpochSecret secret;
    base::random_bytes(secret.reveal_mutable());
    return secret;
}

base::Result<SaKey> derive_sa_key(const EpochSecret& secret, const base::ClusterId& cluster, Cipher cipher,
                                  const SaIdentity& sa) {
    SaKey key;
    key.length = key_length(cipher) + kSaltLength;
    if (auto done = hkdf_sha256(secret.reveal(), cluster.bytes, make_info(cipher, sa),
                                key.bytes.reveal_mutable().first(key.length));
        !done) {
        return base::fail_in("derive an SA key", std::move(done));
    }
    return key;
}

}  // namespace warren::keymgr
