#pragma once

#include "proto/session.pb.h"

namespace warren::proto {

// Overwrites the epoch secrets in a message that has been sent or taken.
void wipe_secrets(v1::NetworkDelta& delta);

}  // namespace warren::proto
