#pragma once

#include "cli/command.h"
#include "cli/connection.h"
#include "cli/terminal.h"

namespace warren::cli {

// `warren cert issue`: makes a key, which never leaves this machine, has a manager issue a certificate for it, and
// writes both to a directory.
[[nodiscard]] Exit issue_certificate(const Connection& connection, const CertIssue& command, Format format,
                                     const Terminal& terminal);

}  // namespace warren::cli
