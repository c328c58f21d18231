#include "keymgr/sealing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <type_traits>

#include "base/files.h"
#include "tests/test_directory.h"

namespace warren::keymgr {
namespace {

using testing::HasSubstr;
using testing::Not;

static_assert(!std::is_copy_constructible_v<KeyEncryptionKey> && !std::is_copy_constructible_v<Unsealed>);

KeyEncryptionKey test_kek(std::uint8_t fill) {  // a test vector
    std::array<std::uint8_t, 32> bytes{};
    bytes.fill(fill);
    return *KeyEncryptionKey::from(base::Secret<32>(bytes));
}

const std::string kText = "attack at dawn";
std::span<const std::uint8_t> bytes_of(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
std::string text_of(const Unsealed& opened) {
    return {opened.reveal().begin(), opened.reveal().end()};
}

TEST(Sealing, OpensWhatItSealed) {
    const auto kek = test_kek(1);
    for (const std::string& text : {std::string(), kText, std::string(5000, 'x')}) {
        const auto opened = open(kek, *seal(kek, bytes_of(text), "a"), "a");
        ASSERT_TRUE(opened) << opened.error().message();
        EXPECT_EQ(text_of(*opened), text);
    }
}

TEST(Sealing, ShowsNothingAndNeverTheSameTwice) {
    const auto kek = test_kek(1);
    const auto one = *seal(kek, bytes_of(kText), "a");
    EXPECT_THAT(one, Not(HasSubstr(kText)));
    EXPECT_THAT(one, Not(HasSubstr(std::string(4, '\x01'))));
    EXPECT_NE(one, *seal(kek, bytes_of(kText), "a"));
}

TEST(Sealing, AnotherContextDoesNotOpen) {
    const auto kek = test_kek(1);
    const auto opened = open(kek, *seal(kek, bytes_of(kText), "net 1|epoch 1"), "net 1|epoch 2");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().message(), "open net 1|epoch 2: damaged, or sealed for something else");
}

TEST(Sealing, AnotherKeyIsNamed) {
    const auto opened = open(test_kek(2), *seal(test_kek(1), bytes_of(kText), "a"), "a");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), base::Code::kPrecondition);
    EXPECT_THAT(opened.error().message(), HasSubstr("sealed under key"));
}

TEST(Sealing, ANewerFormatIsNamed) {
    auto sealed = *seal(test_kek(1), bytes_of(kText), "a");
    sealed[0] = 2;
    EXPECT_EQ(open(test_kek(1), sealed, "a").error().code(), base::Code::kPrecondition);
}

TEST(Sealing, EveryDamageIsSeen) {
    const auto kek = test_kek(1);
    const auto sealed = *seal(kek, bytes_of(kText), "a");
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        auto damaged = sealed;
        damaged[i] = static_cast<char>(damaged[i] ^ 1);
        EXPECT_FALSE(open(kek, damaged, "a")) << "byte " << i;
        EXPECT_FALSE(open(kek, sealed.substr(0, i), "a")) << "cut at " << i;
    }
    EXPECT_FALSE(open(kek, sealed + "x", "a"));
}

TEST(Sealing, ASecretOfAnotherLengthIsRefused) {
    const auto kek = test_kek(1);
    const auto sealed = *seal(kek, bytes_of(kText), "a");
    EXPECT_FALSE(open_secret<32>(kek, sealed, "a"));
    EXPECT_TRUE(open_secret<14>(kek, sealed, "a"));
}

class KekFile : public testing::Test {
  protected:
    TestDirectory directory_;
    std::filesystem::path path_ = directory_.path() / "kek";
};

TEST_F(KekFile, IsMadeOnceReadableByItsOwnerOnlyAndReadBack) {
    const auto made = load_or_create_kek(path_, false);
    ASSERT_TRUE(made) << made.error().message();
    struct stat status {};
    ASSERT_EQ(::stat(path_.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
    EXPECT_EQ(load_or_create_kek(path_, false)->id(), made->id());
    EXPECT_EQ(load_or_create_kek(path_, true)->id(), made->id());
    EXPECT_EQ(create_kek(path_).error().code(), base::Code::kConflict);
}

TEST_F(KekFile, IsNeverReplacedByANewOneWhenSomethingIsSealed) {
    const auto loaded = load_or_create_kek(path_, true);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code(), base::Code::kPrecondition);
    EXPECT_THAT(loaded.error().message(), HasSubstr("restore the file"));
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(KekFile, ThatOthersMayReadIsRefused) {
    ASSERT_TRUE(create_kek(path_));
    ASSERT_EQ(::chmod(path_.c_str(), 0640), 0);
    const auto loaded = load_or_create_kek(path_, false);
    ASSERT_FALSE(loaded);
    EXPECT_THAT(loaded.error().message(), HasSubstr("chmod 600"));
}

TEST_F(KekFile, OfAnotherLengthIsRefusedNotReplaced) {
    for (const std::size_t length : {0U, 31U, 33U}) {
        ASSERT_TRUE(base::write_file_atomic(path_, std::string(length, 'k'), 0600));
        const auto loaded = load_or_create_kek(path_, false);
        ASSERT_FALSE(loaded);
        EXPECT_THAT(loaded.error().message(), HasSubstr("must be 32"));
        EXPECT_EQ(std::filesystem::file_size(path_), length);
    }
}

}  // namespace
}  // namespace warren::keymgr
