#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace warren::fdstore {

struct StoredFd {
    std::string name;
    base::UniqueFd fd;
};

// File descriptors that stay open when this process ends, however it ends.
//
// Owner: the agent's. Thread: any one. Lifetime: what is in the store outlives this object.
class FdStore {
  public:
    FdStore() = default;
    FdStore(const FdStore&) = delete;
    FdStore& operator=(const FdStore&) = delete;
    virtual ~FdStore() = default;

    // All that is in the store. Once, at the beginning.
    [[nodiscard]] virtual std::vector<StoredFd> take() = 0;
    // From now on the store has it open, too. `name` is a file name of at most 255 characters, none of them a colon,
    // and not in the store (any more).
    [[nodiscard]] virtual base::Status put(const std::string& name, int fd) = 0;
    // It is still there, as far as can be seen.
    [[nodiscard]] virtual bool holds(const std::string& name) = 0;
    // The store closes it.
    virtual void drop(const std::string& name) = 0;
};

// systemd's where it has started this process with a socket for notifications (sd_notify(3)); else process_store().
[[nodiscard]] std::unique_ptr<FdStore> open_store(const std::filesystem::path& run_dir);

// A process for each, which runs `holder` (warren-hold beside this program, for open_store()). Its command line says
// what it holds, "warren-hold <run_dir> <name>", and its environment has a secret of <run_dir>, so that nobody else can
// pass for it. It belongs to no session of a terminal, and outlives the daemon unless its whole control group is
// killed.
[[nodiscard]] std::unique_ptr<FdStore> process_store(const std::filesystem::path& run_dir,
                                                     const std::filesystem::path& holder);
// sd_pid_notify_with_fds(3). systemd drops what it is given unless the unit has FileDescriptorStoreMax=, and does not
// say so. What is in `former`, as a daemon that systemd did not start has left it, moves over.
[[nodiscard]] std::unique_ptr<FdStore> systemd_store(std::unique_ptr<FdStore> former = nullptr);

// Tells systemd, where it has started this process, that the start is over (a unit of Type=notify).
void notify_ready();

// The descriptor at which a holder has what it holds.
inline constexpr int kHeldFd = 3;

}  // namespace warren::fdstore
