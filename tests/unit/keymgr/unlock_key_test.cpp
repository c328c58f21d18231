#include "keymgr/unlock_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <type_traits>
#include <vector>

namespace warren::keymgr {
namespace {

using base::Code;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

static_assert(!std::is_copy_constructible_v<UnlockKey>);

constexpr UnlockKey::Salt kSalt{1, 2, 3};

KeyEncryptionKey::Id id_of(const UnlockKey& key, const UnlockKey::Salt& salt = kSalt) {
    return key.derive(salt)->id();
}

TEST(UnlockKey, IsOneWordThatMeansTheSameKey) {
    const auto key = UnlockKey::random();
    EXPECT_THAT(key.text(), MatchesRegex("WRNKEY-1-[a-z2-7]+"));
    EXPECT_EQ(key.text().size(), 67U);
    const auto again = UnlockKey::parse("key", key.text());
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(id_of(*again), id_of(key));
    EXPECT_NE(UnlockKey::random().text(), key.text());
}

TEST(UnlockKey, DerivesAnotherKeyFromAnotherSaltAndFromOtherBits) {
    const auto key = UnlockKey::random();
    EXPECT_NE(id_of(key), id_of(key, UnlockKey::Salt{}));
    EXPECT_NE(id_of(key), id_of(UnlockKey::random()));
}

// Computed with: openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:00..1f -kdfopt hexsalt:01020300..00
// -kdfopt info:"warren unlock 1" HKDF. A test vector.
TEST(UnlockKey, DerivesByHkdf) {
    const auto key = UnlockKey::parse("key", "WRNKEY-1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwgdonfe");
    ASSERT_TRUE(key) << key.error().message();
    const auto derived = key->derive(kSalt);
    ASSERT_TRUE(derived);
    EXPECT_EQ(std::vector<std::uint8_t>(derived->reveal().begin(), derived->reveal().begin() + 8),
              (std::vector<std::uint8_t>{0x88, 0x7a, 0x0e, 0xba, 0xa2, 0x74, 0x0a, 0x9a}));
}

TEST(UnlockKey, EveryMistypedCharacterIsFound) {
    const auto text = UnlockKey::random().text();
    for (std::size_t i = text.find_last_of('-') + 1; i + 1 < text.size(); ++i) {
        auto wrong = text;
        wrong[i] = wrong[i] == 'a' ? 'b' : 'a';
        const auto parsed = UnlockKey::parse("key", wrong);
        ASSERT_FALSE(parsed) << "at " << i;
        EXPECT_EQ(parsed.error().code(), Code::kInvalid);
        EXPECT_THAT(parsed.error().message(), HasSubstr("mistyped")) << i;
        EXPECT_THAT(parsed.error().message(), Not(HasSubstr(wrong.substr(12)))) << "the error shows the key";
    }
}

TEST(UnlockKey, WhatIsNoSuchKeyIsSaidToBeNone) {
    const auto word = UnlockKey::random().text().substr(9);
    const auto why = [](const std::string& text) {
        const auto parsed = UnlockKey::parse("key", text);
        return parsed ? "taken" : parsed.error().message();
    };
    for (const auto& text : {std::string(), std::string("x"), "SWMKEY-1-" + word, "WRNKEY1" + word, word}) {
        EXPECT_THAT(why(text), HasSubstr("must be WRNKEY-1-")) << text.size();
    }
    EXPECT_THAT(why("WRNKEY-2-" + word), HasSubstr("another version"));
    EXPECT_THAT(why("WRNKEY-1-"), HasSubstr("mistyped"));
    EXPECT_THAT(why("WRNKEY-1-" + word.substr(1)), HasSubstr("mistyped"));
    EXPECT_THAT(why("WRNKEY-1-" + word + "a"), HasSubstr("mistyped"));
    EXPECT_THAT(why("WRNKEY-1-" + std::string(58, '!')), HasSubstr("mistyped"));
}

}  // namespace
}  // namespace warren::keymgr
