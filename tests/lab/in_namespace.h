#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "base/unique_fd.h"
#include "tests/lab/process.h"

namespace warren::lab {

// Goes into a network namespace and comes back at the end of the scope: for a socket that is to be opened there.
class InNamespace {
  public:
    explicit InNamespace(const Where& where) : home_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
        if (where.netns.empty()) {
            return;
        }
        const base::UniqueFd there(::open(("/run/netns/" + where.netns).c_str(), O_RDONLY | O_CLOEXEC));
        if (::setns(there.get(), CLONE_NEWNET) != 0) {
            throw std::runtime_error(fmt::format("setns {}: {}", where.netns, std::strerror(errno)));
        }
    }
    InNamespace(const InNamespace&) = delete;
    InNamespace& operator=(const InNamespace&) = delete;
    ~InNamespace() { ::setns(home_.get(), CLONE_NEWNET); }

  private:
    base::UniqueFd home_;
};

}  // namespace warren::lab
