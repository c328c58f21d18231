#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "keymgr/sealing.h"
#include "keymgr/unlock_key.h"
#include "proto/state.pb.h"

namespace warren::manager {

// What opens everything else a manager has, on its disk and in its memory: the key-encryption key, and the private key
// of its own node.
//
// Off: `kek` is in the manager's directory in clear, `node.pem` in that of the certificates.
// Locked: both are on the disk in one file, `locked`, and only sealed, under a key derived from an unlock key. They are
// open once that was given: the first in memory, the other in files in a directory that is in memory, too (--run-dir).
//
// Which it is, is what one file says by being there: `locked`. It is replaced whole, so whatever a crash interrupts,
// the next open() finds what was before or what was to be, and removes what is left of the other.
//
// Owner: main. Thread: its loop.
class Keyring {
  public:
    enum class State : std::uint8_t { kOff, kLocked, kUnlocked };
    struct Places {
        std::filesystem::path manager;       // <state-dir>/cluster/manager
        std::filesystem::path certificates;  // <state-dir>/cluster/certs
        std::filesystem::path run;           // <run-dir>
    };

    explicit Keyring(Places places) : places_(std::move(places)) {}

    // Reads what there is. Off: the keys are open afterwards. Errors are load_kek()'s, or name the damaged file.
    [[nodiscard]] base::Status open();
    // Forgets what is open and removes what is in --run-dir. Locked afterwards, unless off.
    [[nodiscard]] base::Status close();
    // As new: this node is in no cluster any more.
    void reset() { state_ = State::kOff; }
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] std::string_view state_name() const;

    // Where the files of this node's identity are now, if they are open; and a link to it that follows them, for who
    // watches them.
    [[nodiscard]] std::filesystem::path certificates() const;
    [[nodiscard]] std::filesystem::path watched() const { return places_.run / "identity"; }
    // To be called when they were changed: keeps them on the disk, too.
    [[nodiscard]] base::Status keep_identity();

    // Not while locked.
    [[nodiscard]] const keymgr::KeyEncryptionKey& kek() const { return *kek_; }
    // The one that is to replace it, where a change has begun.
    [[nodiscard]] const std::optional<keymgr::KeyEncryptionKey>& next_kek() const { return next_; }
    // Makes the next one, unless there is one, and puts it on the disk beside the first.
    [[nodiscard]] base::Status begin_change();
    // Nothing is sealed under the first any more: the next takes its place.
    [[nodiscard]] base::Status end_change();

    // Whether the keys could be locked here: not while they are, and not with a --run-dir on a disk.
    [[nodiscard]] base::Status check_lockable() const;
    // Seals all under this key and removes what is in clear; no earlier key opens anything any more.
    [[nodiscard]] base::Status lock(const keymgr::UnlockKey& key);
    // Opens all. When it is open already, only checks the key. kDenied: it is not the key. kExhausted: too many were
    // tried of late. kPrecondition: there is no lock.
    [[nodiscard]] base::Status unlock(const keymgr::UnlockKey& key, base::Time now);
    // The keys go back to the disk in clear, and the lock is gone. Unlocked only.
    [[nodiscard]] base::Status remove_lock();

  private:
    Places places_;
    State state_ = State::kOff;
    std::optional<keymgr::KeyEncryptionKey> kek_;
    std::optional<keymgr::KeyEncryptionKey> next_;
    std::optional<keymgr::KeyEncryptionKey> wrapping_;  // unlocked: derived from the unlock key
    v1::LockedKeys locked_;                             // what the file has
    base::TokenBucket tries_;

    [[nodiscard]] std::filesystem::path kek_file() const { return places_.manager / "kek"; }
    [[nodiscard]] std::filesystem::path next_file() const { return places_.manager / "kek.next"; }
    [[nodiscard]] std::filesystem::path locked_file() const { return places_.manager / "locked"; }
    [[nodiscard]] std::filesystem::path memory() const { return places_.run / "certs"; }
    [[nodiscard]] base::Status open_clear();
    [[nodiscard]] base::Status open_locked();
    [[nodiscard]] base::Status open_sealed(const keymgr::KeyEncryptionKey& wrapping);
    [[nodiscard]] base::Status wipe_clear() const;
    [[nodiscard]] base::Status wipe_memory() const;
    [[nodiscard]] base::Status point_at(const std::filesystem::path& directory) const;
    [[nodiscard]] base::Status write_locked(const keymgr::KeyEncryptionKey& wrapping, const std::string& salt);
    [[nodiscard]] base::Status write_keks() const;
};

}  // namespace warren::manager
