#pragma once

#include "keymgr/rotation.h"
#include "proto/state.pb.h"

namespace warren::manager {

// keymgr::KeyState and its record, but for the sealed secrets: those stay where they are in `record`.
[[nodiscard]] keymgr::KeyState read_keys(const v1::KeyStateRecord& record);
// Secrets of epochs that `state` has no more are dropped, those in `before` are kept.
[[nodiscard]] v1::KeyStateRecord write_keys(const keymgr::KeyState& state, const v1::KeyStateRecord& before);

[[nodiscard]] const v1::StoredEpoch* find_epoch(const v1::KeyStateRecord& record, base::Epoch epoch);
[[nodiscard]] v1::StoredEpoch* find_epoch(v1::KeyStateRecord& record, base::Epoch epoch);

}  // namespace warren::manager
