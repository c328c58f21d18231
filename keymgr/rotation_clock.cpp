#include "keymgr/rotation.h"

namespace warren::keymgr {

namespace {

// Whether an epoch is in a stage that ends with time.
bool waits(const EpochState& epoch) {
    return epoch.stage != Stage::kActive;
}

}  // namespace

KeyState clock_set(KeyState state, base::Duration by) {
    for (EpochState& epoch : state.epochs) {
        if (waits(epoch)) {
            epoch.entered += by;
            epoch.superseded_time += epoch.superseded == base::Revision{} ? base::Duration::zero() : by;
        }
        if (epoch.moved) {
            *epoch.moved += by;
        }
    }
    state.laggards_told += state.laggards.empty() ? base::Duration::zero() : by;
    if (state.last_limited) {
        *state.last_limited += by;
    }
    if (state.pending) {
        state.pending->not_before += by;
    }
    return state;
}

KeyState resumed(KeyState state, base::Time now) {
    for (EpochState& epoch : state.epochs) {
        if (waits(epoch)) {
            epoch.entered = now;
        }
        if (epoch.moved) {
            epoch.moved = now;
        }
    }
    return state;
}

}  // namespace warren::keymgr
