#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/secret.h"
#include "keymgr/sealing.h"

namespace warren::keymgr {

// What opens the keys of a manager that is locked: 256 random bits, which are on no disk of Warren's. As a text it is
// one word, WRNKEY-1-...: a prefix, the version, and base32 of the key and a checksum, so that a key that was mistyped
// is told from one that is of another lock. Can be moved, not copied.
class UnlockKey {
  public:
    using Salt = std::array<std::uint8_t, 16>;

    [[nodiscard]] static UnlockKey random();
    // kInvalid: not such a word, of another version, or mistyped. The error does not repeat it.
    [[nodiscard]] static base::Result<UnlockKey> parse(std::string_view what, std::string_view text);

    [[nodiscard]] std::string text() const;
    // The key that seals: HKDF-SHA256 of the bits. They are random, so there is nothing to stretch.
    [[nodiscard]] base::Result<KeyEncryptionKey> derive(const Salt& salt) const;

  private:
    explicit UnlockKey(base::Secret<32> bits) : bits_(std::move(bits)) {}

    base::Secret<32> bits_;
};

}  // namespace warren::keymgr
