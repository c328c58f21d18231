#include "keymgr/key_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"

namespace warren::keymgr {
namespace {

template <std::size_t N>
std::array<std::uint8_t, N> counting_from(std::uint8_t first) {
    std::array<std::uint8_t, N> bytes{};
    std::iota(bytes.begin(), bytes.end(), first);
    return bytes;
}

// Test vectors: no key here was ever anything else.
const EpochSecret& test_secret() {
    static const EpochSecret secret{std::span<const std::uint8_t, 32>(counting_from<32>(0x00))};
    return secret;
}
const base::ClusterId kCluster{counting_from<16>(0xa0)};
const SaIdentity kSa{
    .network = {counting_from<16>(0xb0)},
    .epoch = base::Epoch(0x01020304),
    .sender = {counting_from<16>(0xc0)},
    .sender_membership = base::MembershipId(0x1112131415161718),
    .receiver = {counting_from<16>(0xd0)},
    .receiver_membership = base::MembershipId(0x2122232425262728),
};

std::string derived(const EpochSecret& secret, const base::ClusterId& cluster, Cipher cipher, const SaIdentity& sa) {
    const auto key = derive_sa_key(secret, cluster, cipher, sa);
    return key ? base::to_hex(key->reveal()) : key.error().message();
}

// The golden values were made by another implementation's front door:
//   openssl kdf -keylen 20|36 -kdfopt digest:SHA256 -kdfopt hexkey:000102…1f -kdfopt hexsalt:a0a1…af
//     -kdfopt hexinfo:77617272656e206573702031 <cipher> b0b1…bf 01020304 c0c1…cf 1112131415161718 d0d1…df
//     2122232425262728 HKDF
// Nodes of different versions share a cluster: these must never change.
TEST(KeySchedule, MatchesValuesComputedElsewhere) {
    EXPECT_EQ(derived(test_secret(), kCluster, Cipher::kAes128Gcm, kSa), "2494851cf35df17b5330e446d5698a800354961b");
    EXPECT_EQ(derived(test_secret(), kCluster, Cipher::kAes256Gcm, kSa),
              "bb3e591e6da424c84447ac6a5e2404ca840eda789d89ea49c9a12ca6b6e0ca3d196a3523");
    EXPECT_EQ(derived(test_secret(), kCluster, Cipher::kChaCha20Poly1305, kSa),
              "2b1f6dc36738e19f19973b69b05b8109fb00203ec43001b17864bef2b8eab51dc42ca85f");
}

TEST(KeySchedule, EveryInputMakesAnotherKey) {
    const std::vector<std::function<void(SaIdentity&)>> changes{
        [](SaIdentity& sa) { sa.network.bytes[15] ^= 1U; },
        [](SaIdentity& sa) { sa.epoch.value ^= 1U; },
        [](SaIdentity& sa) { sa.epoch.value ^= 1U << 31U; },
        [](SaIdentity& sa) { sa.sender.bytes[0] ^= 1U; },
        [](SaIdentity& sa) { sa.sender_membership.value ^= 1U; },
        [](SaIdentity& sa) { sa.sender_membership.value ^= 1ULL << 63U; },
        [](SaIdentity& sa) { sa.receiver.bytes[0] ^= 1U; },
        [](SaIdentity& sa) { sa.receiver_membership.value ^= 1U; },
        [](SaIdentity& sa) { sa.receiver_membership.value ^= 1ULL << 63U; },
        [](SaIdentity& sa) {  // the other direction of the same pair
            std::swap(sa.sender, sa.receiver);
            std::swap(sa.sender_membership, sa.receiver_membership);
        },
    };
    std::set<std::string> seen{derived(test_secret(), kCluster, Cipher::kAes256Gcm, kSa)};
    for (const auto& change : changes) {
        SaIdentity sa = kSa;
        change(sa);
        EXPECT_TRUE(seen.insert(derived(test_secret(), kCluster, Cipher::kAes256Gcm, sa)).second);
    }
    auto other_cluster = kCluster;
    other_cluster.bytes[7] ^= 1U;
    EXPECT_TRUE(seen.insert(derived(test_secret(), other_cluster, Cipher::kAes256Gcm, kSa)).second);
    EXPECT_TRUE(seen.insert(derived(test_secret(), kCluster, Cipher::kChaCha20Poly1305, kSa)).second);
    EXPECT_TRUE(seen.insert(derived(EpochSecret(), kCluster, Cipher::kAes256Gcm, kSa)).second);
}

TEST(KeySchedule, AShortKeyIsNoPrefixOfALongOne) {
    const auto shorter = derived(test_secret(), kCluster, Cipher::kAes128Gcm, kSa);
    EXPECT_FALSE(derived(test_secret(), kCluster, Cipher::kAes256Gcm, kSa).starts_with(shorter));
}

TEST(Cipher, NamesAreReadBack) {
    for (const Cipher cipher : {Cipher::kAes128Gcm, Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
        EXPECT_EQ(parse_cipher("--opt cipher", name(cipher)), cipher);
    }
}

TEST(Cipher, AnUnknownNameIsRefusedWithFieldValueAndRule) {
    const auto cipher = parse_cipher("--opt cipher", "aes-128-cbc");
    ASSERT_FALSE(cipher);
    EXPECT_EQ(cipher.error().code(), base::Code::kInvalid);
    EXPECT_EQ(cipher.error().message(),
              "--opt cipher 'aes-128-cbc': must be aes-128-gcm, aes-256-gcm or chacha20-poly1305");
}

TEST(EpochSecret, IsRandom) {
    EXPECT_FALSE(random_epoch_secret() == random_epoch_secret());
    EXPECT_FALSE(random_epoch_secret() == EpochSecret());
}

}  // namespace
}  // namespace warren::keymgr
