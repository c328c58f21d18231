#pragma once

#include <cstdint>

namespace warren::cli {

// What scripts may rely on; the same for every command.
enum class Exit : std::uint8_t {
    kDone = 0,
    kFailed = 1,       // refused, or tried and failed
    kUsage = 2,        // the command line makes no sense
    kUnreachable = 3,  // no talking to the daemon on its socket
    kDegraded = 4,     // `status`: works, but not all of it
};

}  // namespace warren::cli
