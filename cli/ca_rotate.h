#pragma once

#include <functional>

#include "cli/command.h"
#include "cli/exit.h"
#include "cli/run.h"

namespace warren::cli {

// How it asks the daemon.
struct CaCalls {
    std::function<base::Result<v1::CaShowReply>(const v1::CaRotateRequest&)> rotate;
    std::function<base::Result<v1::CaShowReply>()> show;
};

// `warren ca rotate`: begins it and follows it to its end. The daemon may restart meanwhile: the rotation goes on, and
// so does this.
Exit rotate_authority(const CaCalls& calls, const CaRotate& command, Format format, const Terminal& terminal);

}  // namespace warren::cli
