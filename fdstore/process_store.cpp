#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <map>
#include <optional>

#include "base/files.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/text.h"
#include "fdstore/fd_store.h"

namespace warren::fdstore {

namespace {

namespace fs = std::filesystem;
using base::fail_errno;
using base::UniqueFd;

constexpr base::Log kLog{"fdstore"};
constexpr std::string_view kHolder = "warren-hold";
constexpr std::string_view kSecretFile = "holders";
constexpr std::string_view kSecretVariable = "WARREN_HOLD";

// By number, since glibc 2.36 declares its functions for C alone.
UniqueFd open_process(pid_t pid) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}
UniqueFd fd_of(const UniqueFd& process, int fd) {
    return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), fd, 0)));
}
constexpr int kEnding = 1000;  // milliseconds that a process may take to end once it was killed

// Readable as soon as it has ended, whoever has to wait for it.
bool has_ended(const UniqueFd& process, int patience = 0) {
    pollfd watched{.fd = process.get(), .events = POLLIN, .revents = 0};
    return !process || ::poll(&watched, 1, patience) != 0;
}
// Returns when it has ended: what it held is free.
void end(const UniqueFd& process) {
    ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    (void)has_ended(process, kEnding);
}

// What the holder starts with: what it is to hold, nothing to read or write but `ready`, no signal blocked or ignored.
class Spawn {
  public:
    Spawn(int fd, int ready) {
        ::posix_spawn_file_actions_init(&actions_);
        ::posix_spawnattr_init(&attributes_);
        for (const int standard : {STDIN_FILENO, STDERR_FILENO}) {
            ::posix_spawn_file_actions_addopen(&actions_, standard, "/dev/null", O_RDWR, 0);
        }
        ::posix_spawn_file_actions_adddup2(&actions_, ready, STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&actions_, fd, kHeldFd);
        ::posix_spawn_file_actions_addclosefrom_np(&actions_, kHeldFd + 1);
        sigset_t none;
        sigset_t all;
        ::sigemptyset(&none);
        ::sigfillset(&all);
        ::posix_spawnattr_setsigmask(&attributes_, &none);
        ::posix_spawnattr_setsigdefault(&attributes_, &all);
        ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    Spawn(const Spawn&) = delete;
    Spawn& operator=(const Spawn&) = delete;
    ~Spawn() {
        ::posix_spawn_file_actions_destroy(&actions_);
        ::posix_spawnattr_destroy(&attributes_);
    }

    [[nodiscard]] base::Result<pid_t> run(const fs::path& program, std::array<std::string, 3> words,
                                          std::string variable) {
        std::array<char*, 4> argv{words[0].data(), words[1].data(), words[2].data(), nullptr};
        std::array<char*, 2> environment{variable.data(), nullptr};
        pid_t pid = 0;
        const int error =
            ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, argv.data(), environment.data());
        if (error != 0) {
            return fail_errno(fmt::format("run {}", program.string()), error);
        }
        return pid;
    }

  private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
};

class ProcessStore final : public FdStore {
  public:
    ProcessStore(fs::path run_dir, fs::path holder) : run_dir_(std::move(run_dir)), holder_(std::move(holder)) {}

    std::vector<StoredFd> take() override {
        std::vector<StoredFd> stored;
        const auto secret = base::read_file(run_dir_ / kSecretFile).value_or("");
        std::error_code ignored;
        for (const auto& process : fs::directory_iterator("/proc", ignored)) {
            const auto pid = base::parse_unsigned(process.path().filename().string());
            // Opened before it is looked at: a process that takes the number afterwards is not meant by it.
            auto handle = pid ? open_process(static_cast<pid_t>(*pid)) : UniqueFd();
            const auto name = handle ? named_by(process.path()) : std::nullopt;
            if (!name) {
                continue;
            }
            if (!knows(process.path(), secret)) {
                // A holder that the run directory knows nothing of any more: its port has to be free again.
                if (is_our_program(process.path())) {
                    kLog.warn("{} in process {} is of a run directory that was emptied: ended", *name, *pid);
                    end(handle);
                }
                continue;
            }
            auto fd = fd_of(handle, kHeldFd);
            if (fd && !holders_.contains(*name)) {
                holders_.insert_or_assign(*name, Holder{static_cast<pid_t>(*pid), std::move(handle)});
                stored.push_back({.name = *name, .fd = std::move(fd)});
            } else if (fd || errno == EPERM) {
                // Another one, or a kernel that lets nobody look into others (Yama's ptrace_scope 3): its port has to
                // be free again.
                kLog.warn("{} is not taken from process {}, which is ended: {}", *name, *pid,
                          fd ? "another one holds the same" : "the kernel does not allow it; packets may be lost");
                end(handle);
            } else {
                kLog.warn(
                    "{}",
                    base::Error::from_errno(fmt::format("take {} from process {}", *name, *pid), errno).message());
            }
        }
        return stored;
    }

    base::Status put(const std::string& name, int fd) override {
        drop(name);
        WARREN_TRY_ASSIGN(const auto secret, make_secret());
        // It closes its standard output when it runs. Before that its command line may not be there yet.
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
            return fail_errno("pipe", errno);
        }
        const UniqueFd ready(ends[0]);
        UniqueFd holders_end(ends[1]);
        WARREN_TRY_ASSIGN(const auto pid, Spawn(fd, holders_end.get())
                                              .run(holder_, {std::string(kHolder), run_dir_.string(), name},
                                                   fmt::format("{}={}", kSecretVariable, secret)));
        auto handle = open_process(pid);
        if (!handle) {
            auto failed = fail_errno("pidfd_open", errno);
            ::kill(pid, SIGKILL);
            ::waitpid(pid, nullptr, 0);
            return failed;
        }
        holders_.insert_or_assign(name, Holder{pid, std::move(handle)});
        holders_end.reset();
        char nothing = 0;
        while (::read(ready.get(), &nothing, 1) < 0 && errno == EINTR) {
        }
        return {};
    }

    bool holds(const std::string& name) override {
        const auto holder = holders_.find(name);
        return holder != holders_.end() && !has_ended(holder->second.handle);
    }

    void drop(const std::string& name) override {
        const auto holder = holders_.find(name);
        if (holder != holders_.end()) {
            end(holder->second.handle);
            ::waitpid(holder->second.pid, nullptr,
                      WNOHANG);  // one that a former daemon started is not ours to wait for
            holders_.erase(holder);
        }
    }

  private:
    struct Holder {
        pid_t pid = 0;
        UniqueFd handle;
    };
    fs::path run_dir_;
    fs::path holder_;
    std::map<std::string, Holder> holders_;

    // By which a holder is told from whatever else gives itself that name: it is in a file and in environments that
    // root alone can read.
    [[nodiscard]] base::Result<std::string> make_secret() const {
        const auto file = run_dir_ / kSecretFile;
        if (auto there = base::read_file(file); there && !there->empty()) {
            return there;
        }
        auto secret = base::to_hex(base::random_id_bytes());
        WARREN_TRY(base::write_file_atomic(file, secret, 0600));
        return secret;
    }

    // What the process says that it holds for this run directory; nullopt: it says nothing of the kind.
    [[nodiscard]] std::optional<std::string> named_by(const fs::path& process) const {
        const auto line = base::read_file(process / "cmdline");
        const auto expected = fmt::format("{}{}{}{}", kHolder, '\0', run_dir_.string(), '\0');
        if (!line || !line->starts_with(expected) || !line->ends_with('\0')) {
            return std::nullopt;
        }
        return line->substr(expected.size(), line->size() - expected.size() - 1);
    }

    [[nodiscard]] static bool knows(const fs::path& process, const std::string& secret) {
        return !secret.empty() && base::read_file(process / "environ").value_or("") ==
                                      fmt::format("{}={}{}", kSecretVariable, secret, '\0');
    }

    // This user's, and the very file that is started here.
    [[nodiscard]] bool is_our_program(const fs::path& process) const {
        struct stat owner {};
        std::error_code error;
        return ::stat(process.c_str(), &owner) == 0 && owner.st_uid == ::geteuid() &&
               fs::equivalent(process / "exe", holder_, error);
    }
};

}  // namespace

std::unique_ptr<FdStore> process_store(const fs::path& run_dir, const fs::path& holder) {
    return std::make_unique<ProcessStore>(run_dir, holder);
}

}  // namespace warren::fdstore
