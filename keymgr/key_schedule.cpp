#include "keymgr/key_schedule.h"

#include <algorithm>
#include <array>
#include <concepts>

#include "base/random.h"
#include "keymgr/hkdf.h"

namespace warren::keymgr {
namespace {

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
