#include "keymgr/unlock_key.h"

#include <openssl/sha.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "keymgr/hkdf.h"

namespace warren::keymgr {

namespace {

constexpr std::string_view kPrefix = "WRNKEY";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kInfo = "warren unlock 1";
constexpr std::size_t kKeyLength = 32;
constexpr std::size_t kChecksumLength = 4;
constexpr std::size_t kTextLength = 58;  // of both in base32

// The key, and the beginning of its SHA-256.
base::Secret<kKeyLength + kChecksumLength> content_of(const base::Secret<kKeyLength>& key) {
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> hash{};
    ::SHA256(key.reveal().data(), key.size(), hash.data());
    base::Secret<kKeyLength + kChecksumLength> content;
    const auto bytes = content.reveal_mutable();
    std::ranges::copy(key.reveal(), bytes.begin());
    std::copy_n(hash.begin(), kChecksumLength, bytes.begin() + kKeyLength);
    return content;
}

}  // namespace

UnlockKey UnlockKey::random() {
    base::Secret<kKeyLength> bits;
    base::random_bytes(bits.reveal_mutable());
    return UnlockKey(std::move(bits));
}

base::Result<UnlockKey> UnlockKey::parse(std::string_view what, std::string_view text) {
    const auto parts = base::split(text, '-');
    if (parts.size() != 3 || parts[0] != kPrefix) {
        return base::fail(base::Code::kInvalid, "{}: must be {}-{}-..., as 'warren cluster lock' printed it", what,
                          kPrefix, kVersion);
    }
    if (parts[1] != kVersion) {
        return base::fail(base::Code::kInvalid, "{}: is of another version of Warren, this one knows {}-{}-...", what,
                          kPrefix, kVersion);
    }
    auto bytes = parts[2].size() == kTextLength ? base::from_base32(parts[2]) : std::nullopt;
    base::Secret<kKeyLength> bits;
    bool whole = false;
    if (bytes && bytes->size() == kKeyLength + kChecksumLength) {
        std::copy_n(bytes->begin(), kKeyLength, bits.reveal_mutable().begin());
        whole = std::ranges::equal(content_of(bits).reveal(), *bytes);
        base::wipe(*bytes);
    }
    if (!whole) {
        return base::fail(base::Code::kInvalid,
                          "{}: is mistyped: its checksum is wrong; it is {} characters after {}-{}-, a-z and 2-7", what,
                          kTextLength, kPrefix, kVersion);
    }
    return UnlockKey(std::move(bits));
}

std::string UnlockKey::text() const {
    return fmt::format("{}-{}-{}", kPrefix, kVersion, base::to_base32(content_of(bits_).reveal()));
}

base::Result<KeyEncryptionKey> UnlockKey::derive(const Salt& salt) const {
    base::Secret<32> derived;
    const std::span info(reinterpret_cast<const std::uint8_t*>(kInfo.data()), kInfo.size());
    WARREN_TRY(hkdf_sha256(bits_.reveal(), salt, info, derived.reveal_mutable()));
    return KeyEncryptionKey::from(std::move(derived));
}

}  // namespace warren::keymgr
