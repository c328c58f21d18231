#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "cli/terminal.h"

namespace warren::cli {

// How the two commands reach the daemon.
struct LockCalls {
    std::function<base::Result<v1::ClusterLockReply>(const v1::ClusterLockRequest&)> lock;
    std::function<base::Result<v1::ClusterUnlockReply>(const v1::ClusterUnlockRequest&)> unlock;
};

// Gets an unlock key, shows it, and only then has the manager's keys sealed under it: whatever happens meanwhile, who
// called has the key to what is there.
Exit lock_cluster(const LockCalls& calls, const ClusterLock& command, Format format, const Terminal& terminal);

// Unlocks with the key in the file; without one with what is typed, not shown, or what standard input has.
Exit unlock_cluster(const LockCalls& calls, const ClusterUnlock& command, Format format, const Terminal& terminal);

}  // namespace warren::cli
