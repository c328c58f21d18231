#pragma once

#include <grpcpp/support/status.h>

#include <string>
#include <string_view>

#include "base/error.h"

// The one mapping between our errors and gRPC's. UNAVAILABLE is gRPC's alone: it says that nobody answered, so an error
// of ours never uses it.
namespace warren::proto {

[[nodiscard]] grpc::Status to_grpc(const base::Error& error);
// For a status that is not OK.
[[nodiscard]] base::Error from_grpc(const grpc::Status& status);
// What is behind gRPC's "failed to connect to all addresses; last error: UNKNOWN: ipv4:192.0.2.1:7443: …". Any other
// text as it is.
[[nodiscard]] std::string plain_reason(std::string_view text);

}  // namespace warren::proto
