#include "netlink/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "base/files.h"

namespace warren::netlink {

namespace {

constexpr const char* kOwnNetwork = "/proc/thread-self/ns/net";
constexpr const char* kNamedDirectory = "/run/netns";

base::Status on_own_thread(const std::function<base::Status()>& fn) {
    base::Status status;
    try {
        std::thread([&] { status = fn(); }).join();
    } catch (const std::system_error& error) {
        return base::fail_errno("start a thread", error.code().value());
    }
    return status;
}

bool on_nsfs(int fd) {
    struct statfs info {};
    return ::fstatfs(fd, &info) == 0 && info.f_type == NSFS_MAGIC;
}

bool is_pinned(const std::filesystem::path& path) {
    struct statfs info {};
    return ::statfs(path.c_str(), &info) == 0 && info.f_type == NSFS_MAGIC;
}

base::Status check_component(std::string_view name) {
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos || name.size() > 255) {
        return base::fail(base::Code::kInvalid, "network namespace '{}': must be a name of 1 to 255 bytes without '/'",
                          name);
    }
    return {};
}

// Whether two paths lead to the same file now.
bool same_file(const std::string& a, const std::string& b) {
    struct stat first {};
    struct stat second {};
    return ::stat(a.c_str(), &first) == 0 && ::stat(b.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

// Takes the calling thread, which is on its own and short-lived, to the mount namespace of process 1 if `directory` is
// the same there. Where that is impossible or makes no sense it stays.
void join_lasting_mounts(const std::filesystem::path& directory) {
    if (same_file("/proc/1/ns/mnt", "/proc/thread-self/ns/mnt") ||
        !same_file("/proc/1/root" + directory.string(), directory.string())) {
        return;
    }
    const base::UniqueFd mounts(::open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (mounts && ::unshare(CLONE_FS) == 0) {
        static_cast<void>(::setns(mounts.get(), CLONE_NEWNS));
    }
}

// Runs fn(directory) where the pins are; `directory` exists and has no symbolic link in it.
base::Status where_pins_are(const std::filesystem::path& directory,
                            const std::function<base::Status(const std::filesystem::path&)>& fn) {
    return on_own_thread([&]() -> base::Status {
        std::error_code error;
        const auto canonical = std::filesystem::canonical(directory, error);
        if (error) {
            return base::fail_errno(directory.string(), error.value());
        }
        join_lasting_mounts(canonical);
        return fn(canonical);
    });
}

// A plain file to mount on, made or taken over.
base::Status make_mount_point(const std::filesystem::path& path) {
    const base::UniqueFd made(::open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
    if (made) {
        return {};
    }
    const int reason = errno;
    if (reason == EEXIST && is_pinned(path)) {
        return base::fail(base::Code::kConflict, "{}: a network namespace is pinned there already", path.string());
    }
    struct stat info {};
    if (reason == EEXIST && ::lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
        return {};
    }
    return base::fail_errno(path.string(), reason);
}

base::Status pin_new(const std::filesystem::path& path) {
    WARREN_TRY(make_mount_point(path));
    if (::unshare(CLONE_NEWNET) != 0) {
        const int reason = errno;
        ::unlink(path.c_str());
        return base::fail_errno("new network namespace", reason);
    }
    if (::mount(kOwnNetwork, path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
        const int reason = errno;
        ::unlink(path.c_str());
        return base::fail_errno(fmt::format("pin a network namespace at {}", path.string()), reason);
    }
    return {};
}

base::Status unpin(const std::filesystem::path& path) {
    while (is_pinned(path)) {
        if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
            return base::fail_errno(fmt::format("unmount {}", path.string()), errno);
        }
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return base::fail_errno(fmt::format("unlink {}", path.string()), errno);
    }
    return {};
}

}  // namespace

bool is_of_process(const std::filesystem::path& path) {
    std::error_code none;
    const auto target = std::filesystem::read_symlink(path, none);  // empty: no link
    return path.native().starts_with("/proc/") || target.native().starts_with("/proc/");
}

base::Result<NamespaceIdentity> identity_at(const std::filesystem::path& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        return base::fail_errno(path.string(), errno == ENOTDIR ? ENOENT : errno);
    }
    return NamespaceIdentity{.device = info.st_dev, .inode = info.st_ino};
}

base::Result<Namespace> Namespace::adopt(std::string_view what, base::UniqueFd fd) {
    struct stat info {};
    if (!on_nsfs(fd.get()) || ::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET || ::fstat(fd.get(), &info) != 0) {
        return base::fail(base::Code::kInvalid, "{}: is not a network namespace", what);
    }
    return Namespace(std::move(fd), {.device = info.st_dev, .inode = info.st_ino});
}

base::Result<Namespace> Namespace::current() {
    return open_path(kOwnNetwork);
}

base::Result<Namespace> Namespace::open_path(const std::filesystem::path& path) {
    const base::UniqueFd found(::open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!found) {
        return base::fail_errno(fmt::format("network namespace {}", path.string()), errno);
    }
    if (!on_nsfs(found.get())) {
        return base::fail(base::Code::kInvalid, "{}: is not a network namespace", path.string());
    }
    base::UniqueFd opened(::open(fmt::format("/proc/self/fd/{}", found.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) {
        return base::fail_errno(fmt::format("network namespace {}", path.string()), errno);
    }
    return adopt(path.string(), std::move(opened));
}

base::Result<Namespace> Namespace::open_name(std::string_view name) {
    WARREN_TRY(check_component(name));
    const auto path = std::filesystem::path(kNamedDirectory) / name;
    auto opened = open_path(path);
    if (!opened && opened.error().code() == base::Code::kNotFound) {
        return base::fail(base::Code::kNotFound, "network namespace '{}': no {}; 'ip netns list' shows what there is",
                          name, path.string());
    }
    return opened;
}

base::Result<Namespace> Namespace::open_pid(pid_t pid) {
    auto opened = open_path(fmt::format("/proc/{}/ns/net", pid));
    if (!opened && opened.error().code() == base::Code::kNotFound) {
        return base::fail(base::Code::kNotFound, "network namespace of process {}: no such process", pid);
    }
    return opened;
}

base::Result<Namespace> Namespace::create_anonymous() {
    std::optional<base::Result<Namespace>> made;
    auto done = on_own_thread([&made]() -> base::Status {
        if (::unshare(CLONE_NEWNET) != 0) {
            return base::fail_errno("new network namespace", errno);
        }
        made.emplace(current());
        return {};
    });
    WARREN_TRY(std::move(done));
    return *std::move(made);
}

base::Status run_in(const Namespace& where, const std::function<base::Status()>& fn) {
    return on_own_thread([&]() -> base::Status {
        if (::setns(where.fd(), CLONE_NEWNET) != 0) {
            return base::fail_errno("enter a network namespace", errno);
        }
        return fn();
    });
}

base::Result<Namespace> PinnedNamespaces::create(std::string_view name) const {
    WARREN_TRY(check_component(name));
    WARREN_TRY(base::make_directory(directory_, 0755));
    std::optional<base::Result<Namespace>> made;
    auto done = where_pins_are(directory_, [&](const std::filesystem::path& directory) -> base::Status {
        WARREN_TRY(pin_new(directory / name));
        made.emplace(Namespace::current());
        return {};
    });
    WARREN_TRY(std::move(done));
    return *std::move(made);
}

base::Result<Namespace> PinnedNamespaces::open(std::string_view name) const {
    WARREN_TRY(check_component(name));
    std::optional<base::Result<Namespace>> opened;
    auto done = where_pins_are(directory_, [&](const std::filesystem::path& directory) -> base::Status {
        if (!is_pinned(directory / name)) {
            return base::fail(base::Code::kNotFound, "no network namespace is pinned at {}", path(name).string());
        }
        opened.emplace(Namespace::open_path(directory / name));
        return {};
    });
    WARREN_TRY(std::move(done));
    return *std::move(opened);
}

base::Status PinnedNamespaces::remove(std::string_view name) const {
    WARREN_TRY(check_component(name));
    auto done = where_pins_are(directory_, [&](const auto& directory) { return unpin(directory / name); });
    if (!done && done.error().sys_errno() == ENOENT) {
        return {};
    }
    return done;
}

base::Result<std::vector<std::string>> PinnedNamespaces::list() const {
    std::vector<std::string> names;
    auto done = where_pins_are(directory_, [&](const std::filesystem::path& directory) -> base::Status {
        std::error_code error;
        std::filesystem::directory_iterator next(directory, error);
        for (; !error && next != std::filesystem::directory_iterator(); next.increment(error)) {
            if (is_pinned(next->path())) {
                names.push_back(next->path().filename());
            }
        }
        return error ? base::Status(base::fail_errno(directory.string(), error.value())) : base::Status();
    });
    if (!done && done.error().sys_errno() != ENOENT) {
        return base::fail_with(std::move(done));
    }
    std::sort(names.begin(), names.end());
    return names;
}

}  // namespace warren::netlink
