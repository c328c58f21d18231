#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/files.h"
#include "base/log.h"
#include "cmd/daemon.h"

// A manager's keys on its disk: locked or not, and under which key-encryption key.
namespace warren::cmd {

namespace {

using base::Code;
using base::fail;
using State = manager::Keyring::State;

constexpr base::Log kLog{"warrend"};
constexpr std::size_t kLargestKeyFile = 4096;

// The key in a file that only its owner may read, root or this daemon's user, as systemd's credentials are.
base::Result<keymgr::UnlockKey> read_key_file(const std::filesystem::path& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        return base::fail_errno(fmt::format("--unlock-key-file {}", path.native()), errno);
    }
    if (!S_ISREG(info.st_mode) || (info.st_mode & 077U) != 0) {
        return fail(Code::kPrecondition,
                    "--unlock-key-file {}: mode {:04o}: must be a file that only its owner may read: chmod 400",
                    path.native(), info.st_mode & 07777U);
    }
    if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
        return fail(Code::kPrecondition, "--unlock-key-file {}: is user {}'s: must be root's: chown root",
                    path.native(), info.st_uid);
    }
    WARREN_TRY_ASSIGN(auto text, base::read_file(path, kLargestKeyFile));
    auto key = keymgr::UnlockKey::parse(fmt::format("--unlock-key-file {}", path.native()),
                                        std::string_view(text).substr(0, text.find_last_not_of(" \n\r\t") + 1));
    base::wipe(text);
    return key;
}

}  // namespace

base::Status Daemon::resume_manager() {
    WARREN_TRY(keyring_.open());
    if (keyring_.state() == State::kOff) {
        return begin_work();
    }
    WARREN_TRY_ASSIGN(const auto config, files_.load_config());
    if (unlock_key_file_.empty()) {
        wait_for_unlock(config, "");
        return {};
    }
    WARREN_TRY_ASSIGN(const auto key, read_key_file(unlock_key_file_));
    if (auto opened = keyring_.unlock(key, base::system_now()); !opened) {
        wait_for_unlock(config,
                        fmt::format("--unlock-key-file {}: {}; ", unlock_key_file_.native(), opened.error().message()));
        return {};
    }
    kLog.info("unlocked with {}", unlock_key_file_.native());
    return begin_work();
}

// The kernel stays as it is, as without a manager.
void Daemon::wait_for_unlock(const v1::NodeConfig& config, const std::string& why) {
    const auto problem = fmt::format("{}{}", why, kLocked);
    kLog.warn("{}", problem);
    manager_.set_absence(std::string(kLocked));
    agent_->await_entry(config, fmt::format("{}; networks go on as they are", problem));
}

// With the keys open.
base::Status Daemon::begin_work() {
    WARREN_TRY_ASSIGN(auto membership, files_.load(keyring_.certificates()));
    if (!membership) {
        return fail(Code::kInternal, "{} is gone", files_.directory().native());
    }
    if (auto started = start_manager(*membership); !started) {
        return base::fail_in(files_.directory().native(), std::move(started));
    }
    enter_when_possible(std::make_shared<agent::Membership>(*std::move(membership)));
    return {};
}

base::Status Daemon::check_manager() const {
    WARREN_TRY(check_idle());
    if (std::filesystem::exists(files_.manager_directory())) {
        return {};
    }
    WARREN_TRY_ASSIGN(const auto info, agent_->info());
    return fail(Code::kPrecondition, "this node is a {}: it has no key-encryption key; run the command on manager {}",
                info.role(), info.managers_size() > 0 ? info.managers(0) : "");
}

base::Result<v1::ClusterLockReply> Daemon::lock(const v1::ClusterLockRequest& request) {
    WARREN_TRY(check_manager());
    WARREN_TRY(keyring_.check_lockable());
    v1::ClusterLockReply reply;
    if (request.unlock_key().empty()) {
        reply.set_unlock_key(keymgr::UnlockKey::random().text());
        return reply;
    }
    WARREN_TRY_ASSIGN(const auto key, keymgr::UnlockKey::parse("unlock key", request.unlock_key()));
    WARREN_TRY(keyring_.lock(key));
    kLog.info("the manager's keys are sealed under an unlock key");
    reply.set_locked(true);
    return reply;
}

base::Result<v1::ClusterUnlockReply> Daemon::unlock(const v1::ClusterUnlockRequest& request) {
    WARREN_TRY(check_manager());
    WARREN_TRY_ASSIGN(const auto key, keymgr::UnlockKey::parse("unlock key", request.unlock_key()));
    v1::ClusterUnlockReply reply;
    reply.set_was_locked(keyring_.state() == State::kLocked);
    WARREN_TRY(keyring_.unlock(key, base::system_now()));
    if (reply.was_locked()) {
        if (auto began = begin_work(); !began) {
            WARREN_TRY(keyring_.close());
            return base::fail_in("unlocked, but this manager can't begin its work", std::move(began));
        }
        kLog.info("unlocked");
    }
    if (request.permanently()) {
        WARREN_TRY(keyring_.remove_lock());
        kLog.warn("the lock is removed: the manager's keys are on the disk in clear");
    }
    return reply;
}

base::Result<v1::KekRotateReply> Daemon::rotate_kek() {
    WARREN_TRY(check_manager());
    if (keyring_.state() == State::kLocked) {
        return fail(Code::kPrecondition, "{}", kLocked);
    }
    WARREN_TRY(keyring_.begin_change());
    WARREN_TRY_ASSIGN(const auto records, change_kek());
    v1::KekRotateReply reply;
    reply.set_records(records);
    return reply;
}

base::Result<std::uint32_t> Daemon::change_kek() {
    auto changed = manager_.change_kek(*keyring_.next_kek());
    if (!changed) {
        return base::fail_in("change of the key-encryption key", std::move(changed));
    }
    WARREN_TRY(keyring_.end_change());
    return *changed;
}

void Daemon::add_status(v1::StatusReply& status) const {
    manager_.add_counters(status);
    if (std::filesystem::exists(files_.manager_directory())) {
        status.set_lock(std::string(keyring_.state_name()));
    }
}

}  // namespace warren::cmd
