#pragma once

#include <grpcpp/support/status.h>

#include "base/error.h"

// The one mapping between our errors and gRPC's. UNAVAILABLE is gRPC's alone: it says that nobody answered, so an error
// of ours never uses it.
namespace warren::proto {

[[nodiscard]] grpc::Status to_grpc(const base::Error& error);
// For a status that is not OK.
[[nodiscard]] base::Error from_grpc(const grpc::Status& status);

}  // namespace warren::proto
