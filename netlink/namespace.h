#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace warren::netlink {

// Which network namespace: equal for two descriptors of the same one, as long as it lives.
struct NamespaceIdentity {
    dev_t device = 0;
    ino_t inode = 0;
    auto operator<=>(const NamespaceIdentity&) const = default;
};

// Of what is at `path` now, which may be no namespace; kNotFound: nothing. Cheaper than to open one.
[[nodiscard]] base::Result<NamespaceIdentity> identity_at(const std::filesystem::path& path);

// The path, or the link that is there, leads through a process (/proc/PID/...): to another namespace once that has
// ended and its number is another one's.
[[nodiscard]] bool is_of_process(const std::filesystem::path& path);

// An open network namespace; it lives at least as long as this. Movable; any thread may use it.
class Namespace {
  public:
    [[nodiscard]] static base::Result<Namespace> current();  // the calling thread's
    // A bind mount or /proc/PID/ns/net. Opens nothing but a namespace (a device or pipe at `path` is not touched).
    [[nodiscard]] static base::Result<Namespace> open_path(const std::filesystem::path& path);
    [[nodiscard]] static base::Result<Namespace> open_name(std::string_view name);  // of `ip netns`: /run/netns/NAME
    [[nodiscard]] static base::Result<Namespace> open_pid(pid_t pid);
    // A new one without a name, gone with its last descriptor, process and socket: for probes and tests.
    [[nodiscard]] static base::Result<Namespace> create_anonymous();

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] NamespaceIdentity identity() const { return identity_; }
    [[nodiscard]] bool operator==(const Namespace& other) const { return identity_ == other.identity_; }

  private:
    friend class PinnedNamespaces;
    Namespace(base::UniqueFd fd, NamespaceIdentity identity) : fd_(std::move(fd)), identity_(identity) {}
    // From an open descriptor, verified to be a network namespace. `what` names it in the error.
    [[nodiscard]] static base::Result<Namespace> adopt(std::string_view what, base::UniqueFd fd);

    base::UniqueFd fd_;
    NamespaceIdentity identity_;
};

// Runs `fn` in `where` on a thread of its own and waits for it: the caller's thread never changes namespace. `fn` does
// not throw.
[[nodiscard]] base::Status run_in(const Namespace& where, const std::function<base::Status()>& fn);
// The same for an `fn` that returns Result<T>.
template <typename F>
requires(!std::is_same_v<std::invoke_result_t<F>, base::Status>)
    [[nodiscard]] std::invoke_result_t<F> run_in(const Namespace& where, F&& fn) {
    std::optional<std::invoke_result_t<F>> result;
    WARREN_TRY(run_in(where, std::function<base::Status()>([&] {
                          result.emplace(fn());
                          return base::Status{};
                      })));
    return *std::move(result);
}

// Network namespaces pinned by bind mounts at <directory>/<name>, which outlive the process.
// The mounts are made in the mount namespace of process 1 if <directory> is the same directory there, else in the
// caller's: so pins survive a daemon that is restarted by `ip netns exec` or by a service manager that gives it a
// private mount namespace. Nothing about the directory's mount propagation is changed: removal unlinks the mount point,
// which detaches the copies in all other mount namespaces (kernel fs/namespace.c, __detach_mounts).
// Owner: one thread of one process at a time.
class PinnedNamespaces {
  public:
    // `directory` is absolute; made by the first create(), 0755.
    explicit PinnedNamespaces(std::filesystem::path directory) : directory_(std::move(directory)) {}

    // A new namespace with loopback down. kConflict when the name is pinned; a plain file of that name, left by a crash
    // between create and mount, is taken over.
    [[nodiscard]] base::Result<Namespace> create(std::string_view name) const;
    [[nodiscard]] base::Result<Namespace> open(std::string_view name) const;  // kNotFound: not pinned
    // Unpins and unlinks. Fine when there is only a leftover or nothing at all.
    [[nodiscard]] base::Status remove(std::string_view name) const;
    [[nodiscard]] base::Result<std::vector<std::string>> list() const;  // pinned ones, sorted; leftovers not counted
    [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
    [[nodiscard]] std::filesystem::path path(std::string_view name) const { return directory_ / name; }

  private:
    std::filesystem::path directory_;
};

}  // namespace warren::netlink
