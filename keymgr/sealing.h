#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/secret.h"

// Encryption of what a manager keeps in its store: epoch secrets, the CA's key, token secrets. AES-256-GCM under one
// key that is not in the store.
namespace warren::keymgr {

// The key that seals the others. Can be moved, not copied. Safe to use from any thread.
class KeyEncryptionKey {
  public:
    using Id = std::array<std::uint8_t, 8>;

    // Fails only if the library does.
    [[nodiscard]] static base::Result<KeyEncryptionKey> from(base::Secret<32> bytes);

    [[nodiscard]] static base::Result<KeyEncryptionKey> random();

    // Another one with the same bytes, and so the same id.
    [[nodiscard]] KeyEncryptionKey clone() const { return {bytes_.clone(), id_}; }
    [[nodiscard]] const Id& id() const { return id_; }  // says which key, tells nothing about it
    [[nodiscard]] std::span<const std::uint8_t, 32> reveal() const { return bytes_.reveal(); }

  private:
    KeyEncryptionKey(base::Secret<32> bytes, const Id& id) : bytes_(std::move(bytes)), id_(id) {}

    base::Secret<32> bytes_;
    Id id_;
};

// Plaintext of any length that wipes itself. Can be moved, not copied.
using Unsealed = base::SecretBytes;

// Sealed bytes: version 1, id of the key (8 bytes), nonce (12, random), ciphertext, tag (16). `context` says what this
// is and whose ("epoch secret|<network id>|<epoch>"): sealed bytes open in the same context only, so a record of the
// store can't be put in another's place.
[[nodiscard]] base::Result<std::string> seal(const KeyEncryptionKey& kek, std::span<const std::uint8_t> plaintext,
                                             std::string_view context);

// kPrecondition: sealed under another key (both are named by their ids), or by a newer version. kInternal: damaged, or
// sealed for another context.
[[nodiscard]] base::Result<Unsealed> open(const KeyEncryptionKey& kek, std::string_view sealed,
                                          std::string_view context);

// Whether it was this key that sealed these bytes, as far as they say.
[[nodiscard]] bool sealed_under(const KeyEncryptionKey& kek, std::string_view sealed);

// The same for a secret of known length; another length is kInternal.
template <std::size_t N>
[[nodiscard]] base::Result<base::Secret<N>> open_secret(const KeyEncryptionKey& kek, std::string_view sealed,
                                                        std::string_view context) {
    auto opened = open(kek, sealed, context);
    if (!opened) {
        return base::fail_with(std::move(opened));
    }
    if (opened->reveal().size() != N) {
        return base::fail(base::Code::kInternal, "open {}: {} bytes instead of {}", context, opened->reveal().size(),
                          N);
    }
    return base::Secret<N>(opened->reveal().template first<N>());
}

// The key in `path`: 32 raw bytes, mode 0600. kNotFound: there is no such file. kPrecondition: others may read it, or
// it has another length.
[[nodiscard]] base::Result<KeyEncryptionKey> load_kek(const std::filesystem::path& path);

// Makes the key and its file, for a store that has nothing sealed yet. kConflict when the file exists.
[[nodiscard]] base::Result<KeyEncryptionKey> create_kek(const std::filesystem::path& path);

// Writes the key to `path`, whole or not at all, in place of what is there; that is overwritten.
[[nodiscard]] base::Status save_kek(const std::filesystem::path& path, const KeyEncryptionKey& kek);

// What a manager calls at its start: loads the key; without a file makes one if nothing is sealed yet, and fails
// (kPrecondition) if something is, because a new key could not open it.
[[nodiscard]] base::Result<KeyEncryptionKey> load_or_create_kek(const std::filesystem::path& path,
                                                                bool something_sealed);

}  // namespace warren::keymgr
