#include "manager/keyring.h"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "base/fault_point.h"
#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "certs/node_identity.h"

namespace warren::manager {

namespace {

namespace fs = std::filesystem;
using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};
constexpr std::string_view kIdentityContext = "node identity";
constexpr base::Rate kTries{.burst = 5, .refill = std::chrono::seconds(2)};

// "key-encryption key 0" is the one in use, 1 the next.
std::string kek_context(int place) {
    return fmt::format("key-encryption key {}", place);
}

std::span<std::uint8_t> bytes_of(std::string& text) {
    return {reinterpret_cast<std::uint8_t*>(text.data()), text.size()};
}

// A message with a private key in it.
class OpenIdentity {
  public:
    OpenIdentity() = default;
    OpenIdentity(const OpenIdentity&) = delete;
    OpenIdentity& operator=(const OpenIdentity&) = delete;
    ~OpenIdentity() { base::wipe(*files_.mutable_node()); }

    [[nodiscard]] base::Status read(const fs::path& directory) {
        WARREN_TRY_ASSIGN(*files_.mutable_node(), base::read_file(certs::node_file_path(directory)));
        WARREN_TRY_ASSIGN(*files_.mutable_roots(), base::read_file(certs::roots_file_path(directory)));
        return {};
    }
    // The roots first, as in certs::save_identity(): the other file says that the set is whole.
    [[nodiscard]] base::Status write(const fs::path& directory) const {
        WARREN_TRY(base::make_directory(directory, 0700));
        WARREN_TRY(base::write_file_atomic(certs::roots_file_path(directory), files_.roots(), 0644));
        return base::replace_secret_file(certs::node_file_path(directory), files_.node());
    }
    [[nodiscard]] base::Result<std::string> seal(const keymgr::KeyEncryptionKey& wrapping) const {
        std::string text = files_.SerializeAsString();
        auto sealed = keymgr::seal(wrapping, bytes_of(text), kIdentityContext);
        base::wipe(text);
        return sealed;
    }
    [[nodiscard]] base::Status open(const keymgr::KeyEncryptionKey& wrapping, std::string_view sealed) {
        WARREN_TRY_ASSIGN(const auto opened, keymgr::open(wrapping, sealed, kIdentityContext));
        const auto bytes = opened.reveal();
        if (!files_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            return fail(Code::kInternal, "the sealed identity of this node is damaged");
        }
        return {};
    }

  private:
    v1::IdentityFiles files_;
};

tl::unexpected<base::Error> damaged(const fs::path& file) {
    return fail(Code::kInternal, "{}: damaged: restore it from a backup, with the unlock key of that time",
                file.native());
}

}  // namespace

std::string_view Keyring::state_name() const {
    switch (state_) {
        case State::kOff:
            return "off";
        case State::kLocked:
            return "locked";
        case State::kUnlocked:
            return "unlocked";
    }
    return "";
}

fs::path Keyring::certificates() const {
    return state_ == State::kOff ? places_.certificates : memory();
}

base::Status Keyring::open() {
    std::error_code error;
    return fs::exists(locked_file(), error) ? open_locked() : open_clear();
}

base::Status Keyring::open_clear() {
    state_ = State::kOff;
    WARREN_TRY_ASSIGN(kek_, keymgr::load_kek(kek_file()));
    next_.reset();
    auto next = keymgr::load_kek(next_file());
    if (!next && next.error().code() != Code::kNotFound) {
        return base::fail_with(std::move(next));
    }
    if (next && next->id() == kek_->id()) {
        WARREN_TRY(base::wipe_file(next_file()));  // end_change() had done all else
    } else if (next) {
        next_ = *std::move(next);
    }
    WARREN_TRY(wipe_memory());
    return point_at(places_.certificates);
}

base::Status Keyring::open_locked() {
    state_ = State::kLocked;
    WARREN_TRY_ASSIGN(const auto content, base::read_file(locked_file()));
    if (!locked_.ParseFromString(content) || locked_.salt().size() != keymgr::UnlockKey::Salt{}.size() ||
        locked_.sealed_keks().empty()) {
        return damaged(locked_file());
    }
    // What a crash left in clear when it was locked, or when the lock was to be removed; and what was open last time.
    WARREN_TRY(wipe_clear());
    return wipe_memory();
}

base::Status Keyring::close() {
    kek_.reset();
    next_.reset();
    wrapping_.reset();
    if (state_ == State::kUnlocked) {
        state_ = State::kLocked;
    }
    return wipe_memory();
}

base::Status Keyring::wipe_clear() const {
    WARREN_TRY(base::wipe_file(kek_file()));
    WARREN_TRY(base::wipe_file(next_file()));
    return base::wipe_file(certs::node_file_path(places_.certificates));
}

base::Status Keyring::wipe_memory() const {
    std::error_code error;
    if (!fs::exists(memory(), error)) {
        return {};
    }
    WARREN_TRY(base::wipe_file(certs::node_file_path(memory())));
    fs::remove_all(memory(), error);
    return error ? base::Status(base::fail_errno(fmt::format("remove {}", memory().native()), error.value()))
                 : base::Status();
}

// Puts the link in its place in one step: who watches the files behind it finds one set or the other.
base::Status Keyring::point_at(const fs::path& directory) const {
    const fs::path temp = places_.run / "identity.new";
    ::unlink(temp.c_str());
    if (::symlink(fs::absolute(directory).c_str(), temp.c_str()) != 0 ||
        ::rename(temp.c_str(), watched().c_str()) != 0) {
        return base::fail_errno(fmt::format("link {}", watched().native()), errno);
    }
    return {};
}

base::Status Keyring::write_locked(const keymgr::KeyEncryptionKey& wrapping, const std::string& salt) {
    v1::LockedKeys content;
    content.set_salt(salt);
    WARREN_TRY_ASSIGN(*content.add_sealed_keks(), keymgr::seal(wrapping, kek_->reveal(), kek_context(0)));
    if (next_) {
        WARREN_TRY_ASSIGN(*content.add_sealed_keks(), keymgr::seal(wrapping, next_->reveal(), kek_context(1)));
    }
    OpenIdentity identity;
    WARREN_TRY(identity.read(certificates()));
    WARREN_TRY_ASSIGN(*content.mutable_sealed_identity(), identity.seal(wrapping));
    WARREN_TRY(base::replace_secret_file(locked_file(), content.SerializeAsString()));
    locked_ = std::move(content);
    return {};
}

base::Status Keyring::keep_identity() {
    return state_ == State::kUnlocked ? write_locked(*wrapping_, locked_.salt()) : base::Status();
}

// The keys in clear.
base::Status Keyring::write_keks() const {
    WARREN_TRY(keymgr::save_kek(kek_file(), *kek_));
    return next_ ? keymgr::save_kek(next_file(), *next_) : base::wipe_file(next_file());
}

base::Status Keyring::begin_change() {
    if (!next_) {
        WARREN_TRY_ASSIGN(next_, keymgr::KeyEncryptionKey::random());
    }
    WARREN_TRY(state_ == State::kUnlocked ? write_locked(*wrapping_, locked_.salt()) : write_keks());
    base::fault_point(base::FaultPoint::kKekWritten);
    return {};
}

base::Status Keyring::end_change() {
    kek_ = std::exchange(next_, std::nullopt);
    WARREN_TRY(state_ == State::kUnlocked ? write_locked(*wrapping_, locked_.salt()) : write_keks());
    base::fault_point(base::FaultPoint::kKekReplaced);
    return {};
}

base::Status Keyring::check_lockable() const {
    if (state_ == State::kLocked) {
        return fail(Code::kPrecondition, "this manager is locked: warren cluster unlock goes first");
    }
    struct statfs info {};
    if (::statfs(places_.run.c_str(), &info) != 0) {
        return base::fail_errno(places_.run.native(), errno);
    }
    if (info.f_type != TMPFS_MAGIC && info.f_type != RAMFS_MAGIC) {
        return fail(Code::kPrecondition,
                    "--run-dir {}: is on a disk, and would have this node's key in clear while it is unlocked: run "
                    "warrend with a directory on tmpfs, such as below /run",
                    places_.run.native());
    }
    return {};
}

base::Status Keyring::lock(const keymgr::UnlockKey& key) {
    WARREN_TRY(check_lockable());
    keymgr::UnlockKey::Salt salt{};
    base::random_bytes(salt);
    WARREN_TRY_ASSIGN(auto wrapping, key.derive(salt));
    if (state_ == State::kOff) {
        OpenIdentity identity;
        WARREN_TRY(identity.read(places_.certificates));
        WARREN_TRY(identity.write(memory()));
    }
    WARREN_TRY(write_locked(wrapping, std::string(salt.begin(), salt.end())));
    wrapping_ = std::move(wrapping);
    state_ = State::kUnlocked;
    base::fault_point(base::FaultPoint::kLockSealed);
    WARREN_TRY(point_at(memory()));
    WARREN_TRY(wipe_clear());
    base::fault_point(base::FaultPoint::kLockWiped);
    return {};
}

base::Status Keyring::unlock(const keymgr::UnlockKey& key, base::Time now) {
    if (state_ == State::kOff) {
        return fail(Code::kPrecondition, "this manager has no lock: warren cluster lock makes one");
    }
    if (const auto wait = tries_.take(kTries, now)) {
        return fail(Code::kExhausted, "too many keys were tried: try again in {}", base::format_age(*wait));
    }
    keymgr::UnlockKey::Salt salt{};
    std::copy(locked_.salt().begin(), locked_.salt().end(), salt.begin());
    WARREN_TRY_ASSIGN(auto wrapping, key.derive(salt));
    if (!keymgr::sealed_under(wrapping, locked_.sealed_keks(0))) {
        kLog.warn("a wrong unlock key was given");
        return fail(
            Code::kDenied,
            "this is not the unlock key: it belongs to another manager, or to a lock that 'warren cluster lock' "
            "has replaced");
    }
    if (state_ == State::kUnlocked) {
        return {};
    }
    if (auto opened = open_sealed(wrapping); !opened) {
        return base::fail_in(locked_file().native(), std::move(opened));
    }
    wrapping_ = std::move(wrapping);
    state_ = State::kUnlocked;
    base::fault_point(base::FaultPoint::kUnlockOpened);
    return point_at(memory());
}

base::Status Keyring::open_sealed(const keymgr::KeyEncryptionKey& wrapping) {
    const auto open_kek = [&](int place) -> base::Result<keymgr::KeyEncryptionKey> {
        WARREN_TRY_ASSIGN(auto bytes,
                          keymgr::open_secret<32>(wrapping, locked_.sealed_keks(place), kek_context(place)));
        return keymgr::KeyEncryptionKey::from(std::move(bytes));
    };
    WARREN_TRY_ASSIGN(auto kek, open_kek(0));
    std::optional<keymgr::KeyEncryptionKey> next;
    if (locked_.sealed_keks_size() > 1) {
        WARREN_TRY_ASSIGN(next, open_kek(1));
    }
    OpenIdentity identity;
    WARREN_TRY(identity.open(wrapping, locked_.sealed_identity()));
    WARREN_TRY(identity.write(memory()));
    kek_ = std::move(kek);
    next_ = std::move(next);
    return {};
}

base::Status Keyring::remove_lock() {
    if (state_ != State::kUnlocked) {
        return fail(Code::kPrecondition, "this manager is not unlocked");
    }
    OpenIdentity identity;
    WARREN_TRY(identity.read(memory()));
    WARREN_TRY(identity.write(places_.certificates));
    WARREN_TRY(write_keks());
    base::fault_point(base::FaultPoint::kUnlockWritten);
    WARREN_TRY(base::wipe_file(locked_file()));
    state_ = State::kOff;
    wrapping_.reset();
    locked_.Clear();
    base::fault_point(base::FaultPoint::kUnlockDropped);
    WARREN_TRY(point_at(places_.certificates));
    return wipe_memory();
}

}  // namespace warren::manager
