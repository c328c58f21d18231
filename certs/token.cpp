#include "certs/token.h"

#include <openssl/sha.h>

#include <algorithm>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/text.h"

namespace warren::certs {

namespace {

constexpr std::string_view kPrefix = "WRN1";
constexpr std::size_t kHashLength = 52;    // 32 bytes in base32
constexpr std::size_t kSecretLength = 26;  // 16 bytes in base32
constexpr std::size_t kLength = kPrefix.size() + 1 + kHashLength + 1 + kSecretLength;

base::Result<std::vector<std::uint8_t>> decode(std::string_view what, std::string_view part, std::string_view text,
                                               std::size_t length) {
    if (text.size() == length) {
        if (auto bytes = base::from_base32(text)) {
            return *std::move(bytes);
        }
    }
    return base::fail(base::Code::kInvalid,
                      "{}: its {} is damaged, must be {} characters a-z and 2-7: copy the whole token as "
                      "`warren token show` prints it",
                      what, part, length);
}

}  // namespace

TokenSecret random_token_secret() {
    TokenSecret secret;
    base::random_bytes(secret.reveal_mutable());
    return secret;
}

Sha256 digest(const TokenSecret& secret) {
    Sha256 hash{};
    ::SHA256(secret.reveal().data(), secret.size(), hash.data());
    return hash;
}

std::string JoinToken::text() const {
    return fmt::format("{}-{}-{}", kPrefix, base::to_base32(root_pin), base::to_base32(secret.reveal()));
}

base::Result<Roots> JoinToken::trusted(const Roots& roots) const {
    auto pinned = roots.pinned(root_pin);
    if (!pinned) {
        return base::fail(
            base::Code::kDenied,
            "the manager's root certificates do not include the one that the token names: the token is of "
            "another cluster or older than its last CA rotations, or somebody else answers at this "
            "address; take a new one from `warren token show` on a manager");
    }
    return pinned;
}

base::Result<JoinToken> parse_join_token(std::string_view what, std::string_view text) {
    if (text.size() > 2 * kLength) {
        return base::fail(base::Code::kInvalid, "{}: {} characters, a join token has {}", what, text.size(), kLength);
    }
    const std::vector<std::string_view> parts = base::split(text, '-');
    if (parts.size() != 3) {
        return base::fail(base::Code::kInvalid, "{}: must be {}-<root hash>-<secret>, as `warren token show` prints it",
                          what, kPrefix);
    }
    if (parts[0] != kPrefix) {
        return base::fail(base::Code::kInvalid,
                          "{}: must begin with {}-: it is not a Warren join token or one of another version", what,
                          kPrefix);
    }
    WARREN_TRY_ASSIGN(const std::vector<std::uint8_t> hash, decode(what, "root hash", parts[1], kHashLength));
    WARREN_TRY_ASSIGN(std::vector<std::uint8_t> secret, decode(what, "secret", parts[2], kSecretLength));
    JoinToken token;
    std::copy(hash.begin(), hash.end(), token.root_pin.begin());
    std::copy(secret.begin(), secret.end(), token.secret.reveal_mutable().begin());
    base::wipe(secret);
    return token;
}

}  // namespace warren::certs
