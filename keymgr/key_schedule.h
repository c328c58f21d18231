#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "base/secret.h"

namespace warren::keymgr {

// The AEAD of an epoch. The numbers are part of the key derivation and of the wire protocol: never change one.
enum class Cipher : std::uint8_t { kAes128Gcm = 1, kAes256Gcm = 2, kChaCha20Poly1305 = 3 };

[[nodiscard]] std::string_view name(Cipher cipher);  // "aes-128-gcm"
[[nodiscard]] base::Result<Cipher> parse_cipher(std::string_view what, std::string_view text);
[[nodiscard]] std::size_t key_length(Cipher cipher);  // bytes, without the salt

// One epoch of one network: 32 random bytes, made by the manager.
using EpochSecret = base::Secret<32>;
[[nodiscard]] EpochSecret random_epoch_secret();

// What makes the key of one SA its own: a network, an epoch, and an ordered pair of members as they are this time.
// The membership ids are in it because a node that lost its SAs lost their sequence numbers and replay windows: it
// comes back with a new membership id, and so with other keys.
struct SaIdentity {
    base::NetworkId network;
    base::Epoch epoch;
    base::NodeId sender;
    base::MembershipId sender_membership;
    base::NodeId receiver;
    base::MembershipId receiver_membership;

    auto operator<=>(const SaIdentity&) const = default;
};

// Encryption key followed by the 4-byte salt of RFC 4106 section 8.1 / RFC 7634 section 2: what XFRMA_ALG_AEAD takes.
struct SaKey {
    base::Secret<36> bytes;
    std::size_t length = 0;

    [[nodiscard]] std::span<const std::uint8_t> reveal() const { return bytes.reveal().first(length); }
};

// HKDF-SHA256 (RFC 5869) with ikm = secret, salt = cluster id, info = the fixed-size fields "warren esp 1", cipher,
// network, epoch, sender, sender membership, receiver, receiver membership, integers big-endian. Fails only if the
// library does.
[[nodiscard]] base::Result<SaKey> derive_sa_key(const EpochSecret& secret, const base::ClusterId& cluster,
                                                Cipher cipher, const SaIdentity& sa);

}  // namespace warren::keymgr
