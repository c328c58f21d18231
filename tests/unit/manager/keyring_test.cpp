#include "manager/keyring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <set>

#include "base/files.h"
#include "certs/node_identity.h"
#include "tests/test_directory.h"
#include "tests/unit/manager/founded_cluster.h"

namespace warren::manager {
namespace {

namespace fs = std::filesystem;
using base::Code;
using keymgr::UnlockKey;
using testing::HasSubstr;
using State = Keyring::State;

const base::Time kNow{std::chrono::hours(500'000)};

// The directories of a manager, which the test's place in memory lets lock.
class KeyringTest : public testing::Test {
  protected:
    KeyringTest() : cluster_(kNow) {
        fs::create_directories(places_.manager);
        fs::create_directories(places_.run);
        kek_ = keymgr::create_kek(places_.manager / "kek").value().id();
        auto roots = certs::Roots::parse("root", cluster_.founded.roots_pem).value();
        const auto identity =
            certs::NodeIdentity::assemble(std::move(cluster_.key), cluster_.founded.certificate_pem, std::move(roots))
                .value();
        EXPECT_TRUE(certs::save_identity(places_.certificates, identity));
        node_pem_ = content(places_.certificates / "node.pem");
    }

    static std::string content(const fs::path& file) {
        std::ifstream in(file, std::ios::binary);
        return {(std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>()};
    }
    // A daemon's start: a new object on the same files.
    Keyring opened() {
        Keyring keyring(places_);
        const auto done = keyring.open();
        EXPECT_TRUE(done) << done.error().message();
        return keyring;
    }
    // Everything below the state directory that begins like the private key, or is the key-encryption key.
    std::string in_clear() {
        std::set<std::string> names;
        for (const auto& entry : fs::recursive_directory_iterator(directory_.path() / "state")) {
            if (entry.is_regular_file()) {
                const auto text = content(entry.path());
                const bool key = text.find("PRIVATE KEY") != std::string::npos;
                if (key || text.size() == 32) {
                    names.insert(entry.path().filename().string());
                }
            }
        }
        std::string list;
        for (const auto& name : names) {
            list += name + " ";
        }
        return list;
    }
    void expect_open(const Keyring& keyring) {
        EXPECT_EQ(keyring.kek().id(), kek_);
        EXPECT_EQ(content(keyring.certificates() / "node.pem"), node_pem_);
        EXPECT_EQ(content(keyring.watched() / "node.pem"), node_pem_);
        const auto identity = certs::load_identity(keyring.certificates());
        ASSERT_TRUE(identity) << identity.error().message();
        EXPECT_TRUE(*identity);
    }

    TestDirectory directory_;
    Keyring::Places places_{.manager = directory_.path() / "state" / "manager",
                            .certificates = directory_.path() / "state" / "certs",
                            .run = directory_.path() / "run"};
    FoundedCluster cluster_;
    keymgr::KeyEncryptionKey::Id kek_{};
    std::string node_pem_;
};

TEST_F(KeyringTest, WithoutALockEverythingIsWhereItWas) {
    const auto keyring = opened();
    EXPECT_EQ(keyring.state(), State::kOff);
    EXPECT_EQ(keyring.certificates(), places_.certificates);
    expect_open(keyring);
    EXPECT_EQ(in_clear(), "kek node.pem ") << "the test would see it";
}

TEST_F(KeyringTest, ALockLeavesNothingInClearAndGoesOnWorking) {
    auto keyring = opened();
    const auto key = UnlockKey::random();
    ASSERT_TRUE(keyring.lock(key));
    EXPECT_EQ(keyring.state(), State::kUnlocked);
    EXPECT_EQ(in_clear(), "");
    expect_open(keyring);
    struct stat info {};
    ASSERT_EQ(::stat((keyring.certificates() / "node.pem").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
}

TEST_F(KeyringTest, AfterARestartItWaitsForTheKey) {
    const auto key = UnlockKey::random();
    ASSERT_TRUE(opened().lock(key));
    auto keyring = opened();
    EXPECT_EQ(keyring.state(), State::kLocked);
    EXPECT_FALSE(fs::exists(places_.run / "certs" / "node.pem")) << "what the last daemon had open is still there";
    const auto wrong = keyring.unlock(UnlockKey::random(), kNow);
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().code(), Code::kDenied);
    EXPECT_EQ(keyring.state(), State::kLocked);
    EXPECT_FALSE(fs::exists(places_.run / "certs" / "node.pem"));

    ASSERT_TRUE(keyring.unlock(key, kNow));
    EXPECT_EQ(keyring.state(), State::kUnlocked);
    expect_open(keyring);
    EXPECT_EQ(in_clear(), "");
    EXPECT_TRUE(keyring.unlock(key, kNow)) << "to try a key is no error";
    ASSERT_TRUE(keyring.close());
    EXPECT_EQ(keyring.state(), State::kLocked);
    EXPECT_FALSE(fs::exists(places_.run / "certs" / "node.pem"));
}

TEST_F(KeyringTest, AnotherLockMakesTheFirstKeyUseless) {
    auto keyring = opened();
    const auto first = UnlockKey::random();
    const auto second = UnlockKey::random();
    ASSERT_TRUE(keyring.lock(first));
    ASSERT_TRUE(keyring.lock(second));
    auto again = opened();
    EXPECT_EQ(again.unlock(first, kNow).error().code(), Code::kDenied);
    ASSERT_TRUE(again.unlock(second, kNow));
    expect_open(again);
}

TEST_F(KeyringTest, GuessesAreLimited) {
    const auto key = UnlockKey::random();
    ASSERT_TRUE(opened().lock(key));
    auto keyring = opened();
    Code last = Code::kDenied;
    for (int i = 0; i < 10 && last == Code::kDenied; ++i) {
        last = keyring.unlock(UnlockKey::random(), kNow).error().code();
    }
    EXPECT_EQ(last, Code::kExhausted);
    EXPECT_EQ(keyring.unlock(key, kNow).error().code(), Code::kExhausted);
    EXPECT_TRUE(keyring.unlock(key, kNow + std::chrono::seconds(10)));
}

TEST_F(KeyringTest, TheLockIsRemoved) {
    const auto key = UnlockKey::random();
    auto keyring = opened();
    EXPECT_EQ(keyring.unlock(key, kNow).error().code(), Code::kPrecondition);
    EXPECT_EQ(keyring.remove_lock().error().code(), Code::kPrecondition);
    ASSERT_TRUE(keyring.lock(key));
    ASSERT_TRUE(keyring.remove_lock());
    EXPECT_EQ(keyring.state(), State::kOff);
    EXPECT_FALSE(fs::exists(places_.manager / "locked"));
    expect_open(keyring);
    expect_open(opened());
}

TEST_F(KeyringTest, ARenewedIdentityIsKeptSealed) {
    const auto key = UnlockKey::random();
    auto keyring = opened();
    ASSERT_TRUE(keyring.lock(key));
    node_pem_ += "# renewed\n";
    ASSERT_TRUE(base::write_file_atomic(keyring.certificates() / "node.pem", node_pem_, 0600));
    ASSERT_TRUE(keyring.keep_identity());
    auto again = opened();
    ASSERT_TRUE(again.unlock(key, kNow));
    EXPECT_EQ(content(again.certificates() / "node.pem"), node_pem_);
    EXPECT_EQ(in_clear(), "");
}

// A change of the KEK that nobody ended has both keys, locked or not, until it is ended.
TEST_F(KeyringTest, AChangeOfTheKekSurvivesARestart) {
    const auto key = UnlockKey::random();
    for (const bool locked : {false, true}) {
        auto keyring = opened();
        if (locked) {
            ASSERT_TRUE(keyring.lock(key));
        }
        const auto before = keyring.kek().id();
        ASSERT_TRUE(keyring.begin_change());
        const auto next = keyring.next_kek()->id();
        EXPECT_NE(next, before);

        auto again = opened();
        if (locked) {
            ASSERT_TRUE(again.unlock(key, kNow));
        }
        EXPECT_EQ(again.kek().id(), before);
        ASSERT_TRUE(again.next_kek());
        EXPECT_EQ(again.next_kek()->id(), next);
        ASSERT_TRUE(again.begin_change());
        EXPECT_EQ(again.next_kek()->id(), next) << "a third key";
        ASSERT_TRUE(again.end_change());
        EXPECT_EQ(again.kek().id(), next);
        EXPECT_FALSE(again.next_kek());

        auto after = opened();
        if (locked) {
            ASSERT_TRUE(after.unlock(key, kNow));
        }
        EXPECT_EQ(after.kek().id(), next);
        EXPECT_FALSE(after.next_kek());
        EXPECT_EQ(in_clear(), locked ? "" : "kek node.pem ");
    }
}

TEST_F(KeyringTest, DamageIsToldFromAWrongKey) {
    const auto key = UnlockKey::random();
    ASSERT_TRUE(opened().lock(key));
    const auto file = places_.manager / "locked";
    auto text = content(file);
    text.back() = static_cast<char>(text.back() ^ 1);  // of the sealed identity
    ASSERT_TRUE(base::write_file_atomic(file, text, 0600));
    auto keyring = opened();
    const auto opened_damaged = keyring.unlock(key, kNow);
    ASSERT_FALSE(opened_damaged);
    EXPECT_EQ(opened_damaged.error().code(), Code::kInternal);
    EXPECT_THAT(opened_damaged.error().message(), HasSubstr(file.native()));
    EXPECT_EQ(keyring.state(), State::kLocked);

    ASSERT_TRUE(base::write_file_atomic(file, "nonsense", 0600));
    Keyring none(places_);
    EXPECT_THAT(none.open().error().message(), HasSubstr("restore it from a backup"));
}

}  // namespace
}  // namespace warren::manager
