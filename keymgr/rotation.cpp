#include "keymgr/rotation.h"

#include <algorithm>
#include <utility>

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using base::Time;

const EpochState* find_stage(const KeyState& state, Stage stage) {
    const auto found = std::ranges::find(state.epochs, stage, &EpochState::stage);
    return found == state.epochs.end() ? nullptr : &*found;
}
const EpochState* find_epoch(const KeyState& state, Epoch number) {
    const auto found = std::ranges::find(state.epochs, number, &EpochState::number);
    return found == state.epochs.end() ? nullptr : &*found;
}

bool holds(const Member& member, const EpochState& epoch) {
    return member.acked >= std::max(epoch.since, member.since);
}

void add_once(std::vector<Reason>& reasons, Reason reason) {
    if (std::ranges::find(reasons, reason) == reasons.end()) {
        reasons.push_back(reason);
    }
}
// Those that outlive an abort.
std::vector<Reason> owed_of(std::vector<Reason> reasons) {
    std::erase_if(reasons, is_optional);
    return reasons;
}

// The revision that all members have to acknowledge to finish the stage an epoch is in; 0 = none.
Revision awaited(const EpochState& epoch) {
    switch (epoch.stage) {
        case Stage::kInstalling:
            return epoch.since;
        case Stage::kMoving:
            return epoch.superseded;
        case Stage::kKept:
        case Stage::kRetired:
            return epoch.retired;
        case Stage::kActive:
        case Stage::kDraining:
            break;
    }
    return {};
}
// Whether a member is still to acknowledge that. One that joined later knows it from the start, but for the epoch being
// installed at the revision of its joining.
bool owes(const Member& member, const EpochState& epoch) {
    const Revision revision = awaited(epoch);
    const bool older = epoch.stage == Stage::kInstalling ? member.since <= revision : member.since < revision;
    return older && member.acked < revision;
}
bool is_waited_for(const Member& member, const EpochState& epoch, const Settings& settings, Time now) {
    return owes(member, epoch) && is_present(member, settings, now) && now - epoch.entered < settings.patience;
}
bool is_confirmed(const EpochState& epoch, std::span<const Member> members, const Settings& settings, Time now) {
    return std::ranges::none_of(members,
                                [&](const Member& member) { return is_waited_for(member, epoch, settings, now); });
}

Phase phase_of(const KeyState& state, std::span<const Member> members, const Settings& settings, Time now) {
    if (find_stage(state, Stage::kInstalling) != nullptr) {
        return Phase::kInstalling;
    }
    if (find_stage(state, Stage::kMoving) != nullptr) {
        return Phase::kActivating;
    }
    const bool retiring = std::ranges::any_of(state.epochs, [&](const EpochState& epoch) {
        return epoch.stage == Stage::kDraining || epoch.stage == Stage::kRetired ||
               (epoch.stage == Stage::kKept && !is_confirmed(epoch, members, settings, now));
    });
    return retiring ? Phase::kRetiring : Phase::kIdle;
}

// The revision that retired all that is older than the active epoch; nullopt while something is not.
std::optional<Revision> all_retired_at(const KeyState& state) {
    Revision at = state.purged_at;
    for (const EpochState& epoch : state.epochs) {
        if (epoch.number < state.active) {
            if (epoch.retired == Revision{}) {
                return std::nullopt;
            }
            at = std::max(at, epoch.retired);
        }
    }
    return at;
}

void count(Progress& progress, const KeyState& state, std::span<const Member> members) {
    const EpochState* const epoch = find_epoch(state, progress.epoch);
    const std::optional<Revision> retired_at = all_retired_at(state);
    progress.members = members.size();
    for (const Member& member : members) {
        if (epoch == nullptr || !holds(member, *epoch)) {
            continue;
        }
        progress.installed += 1;
        if (epoch->stage == Stage::kActive && member.acked >= epoch->activated) {
            progress.active += 1;
            progress.retired += retired_at && member.acked >= *retired_at ? 1U : 0U;
        }
    }
}

bool is_straggler(const KeyState& state, const Member& member) {
    const bool kept = std::ranges::any_of(state.epochs, [&](const EpochState& epoch) {
        return epoch.stage == Stage::kKept && !epoch.moved &&
               std::ranges::find(epoch.kept_for, member.id) != epoch.kept_for.end();
    });
    const bool lags = std::ranges::any_of(state.laggards, [&](const Laggard& laggard) {
        return laggard.member == member.id && laggard.caught_up == Revision{};
    });
    return kept || lags;
}

}  // namespace

bool is_optional(Reason reason) {
    return reason == Reason::kCreated || reason == Reason::kCommand || reason == Reason::kSchedule;
}

bool is_rate_limited(Reason reason) {
    return reason == Reason::kSaLost || reason == Reason::kMemberLeft;
}

std::string_view name(Reason reason) {
    switch (reason) {
        case Reason::kCreated:
            return "created";
        case Reason::kCommand:
            return "command";
        case Reason::kSchedule:
            return "schedule";
        case Reason::kLimit:
            return "limit";
        case Reason::kSaLost:
            return "sa-lost";
        case Reason::kMemberLeft:
            return "member-left";
        case Reason::kNodeRemoved:
            return "node-removed";
        case Reason::kParameters:
            return "parameters";
    }
    return "unknown";
}

std::string_view name(Stage stage) {
    switch (stage) {
        case Stage::kInstalling:
            return "installing";
        case Stage::kActive:
            return "active";
        case Stage::kMoving:
            return "moving";
        case Stage::kDraining:
            return "draining";
        case Stage::kKept:
            return "kept";
        case Stage::kRetired:
            return "retired";
    }
    return "unknown";
}

std::string_view name(EventKind kind) {
    switch (kind) {
        case EventKind::kMade:
            return "made";
        case EventKind::kActivated:
            return "activated";
        case EventKind::kKept:
            return "kept";
        case EventKind::kRetired:
            return "retired";
        case EventKind::kAborted:
            return "aborted";
        case EventKind::kCaughtUp:
            return "caught-up";
        case EventKind::kCutOff:
            return "cut-off";
    }
    return "unknown";
}

std::string_view name(Phase phase) {
    switch (phase) {
        case Phase::kIdle:
            return "idle";
        case Phase::kInstalling:
            return "installing";
        case Phase::kActivating:
            return "activating";
        case Phase::kRetiring:
            return "retiring";
    }
    return "unknown";
}

KeyState first_keys(const Settings& settings, Time now, Revision revision) {
    return {.next_epoch = Epoch(2),
            .active = Epoch(1),
            .epochs = {{.number = Epoch(1),
                        .parameters = settings.parameters,
                        .stage = Stage::kActive,
                        .since = revision,
                        .activated = revision,
                        .created = now,
                        .entered = now,
                        .reasons = {Reason::kCreated}}}};
}

Asked request(KeyState state, Reason reason, const Settings& settings, Time now, Epoch about) {
    const auto installing = std::ranges::find(state.epochs, Stage::kInstalling, &EpochState::stage);
    const bool coming = installing != state.epochs.end();
    const Epoch newest = coming ? installing->number : state.active;
    if (about != Epoch{} && about < newest) {
        if (coming) {
            add_once(installing->reasons, reason);  // it depends on this epoch now, should that be aborted
        }
        return {.state = std::move(state), .target = newest};
    }
    const Epoch target = state.next_epoch;
    const bool waits = is_rate_limited(reason) && state.last_limited;
    const Time not_before = waits ? std::max(now, *state.last_limited + settings.rate_limit) : now;
    if (!state.pending) {
        state.pending = Pending{.not_before = not_before};
    }
    Pending& pending = *state.pending;
    pending.not_before = std::min(pending.not_before, not_before);
    add_once(pending.reasons, reason);
    if (reason == Reason::kNodeRemoved) {
        state.revoked_below = target;
    }
    return {.state = std::move(state), .target = target};
}

base::Result<Decision> abort(KeyState state, const Settings& settings, Time now, Revision next_revision) {
    if (state.active < state.revoked_below) {
        return base::fail(base::Code::kPrecondition,
                          "the rotation locks out a node that was removed: it can't be aborted");
    }
    const auto installing = std::ranges::find(state.epochs, Stage::kInstalling, &EpochState::stage);
    const bool made = installing != state.epochs.end();
    std::vector<Reason> owed = made ? owed_of(installing->reasons) : std::vector<Reason>();
    if (state.pending) {
        for (const Reason reason : owed_of(state.pending->reasons)) {
            add_once(owed, reason);
        }
    }
    if (!made && (!state.pending || owed.size() == state.pending->reasons.size())) {
        return base::fail(base::Code::kPrecondition, "no rotation to abort: {}",
                          owed.empty() ? "no epoch is being installed, and an active one can't be taken back"
                                       : "the one that waits was not asked for by command");
    }
    Decision decision;
    if (made) {
        installing->stage = Stage::kRetired;
        installing->entered = now;
        installing->retired = next_revision;
        decision.announce = true;
        decision.forget.push_back(installing->number);
        decision.events.push_back({.kind = EventKind::kAborted, .epoch = installing->number});
    }
    state.pending.reset();
    if (!owed.empty()) {
        state.pending = {.reasons = std::move(owed), .not_before = now + settings.rate_limit};
    }
    decision.state = std::move(state);
    decision.wakeup = now;
    return decision;
}

bool is_present(const Member& member, const Settings& settings, Time now) {
    return member.connected || (member.last_seen <= now && now - member.last_seen < settings.reconnect_window);
}

Progress progress(const KeyState& state, std::span<const Member> members, const Settings& settings, Time now) {
    const EpochState* const installing = find_stage(state, Stage::kInstalling);
    Progress progress{.phase = phase_of(state, members, settings, now),
                      .epoch = installing != nullptr ? installing->number : state.active};
    count(progress, state, members);
    for (const Member& member : members) {
        bool straggles = is_straggler(state, member);
        bool waited_for = false;
        for (const EpochState& epoch : state.epochs) {
            if (owes(member, epoch)) {
                (is_waited_for(member, epoch, settings, now) ? waited_for : straggles) = true;
            }
        }
        if (waited_for) {
            progress.waiting_for.push_back(member.id);
        } else if (straggles) {
            progress.stragglers.push_back(member.id);
        }
    }
    return progress;
}

Outcome outcome(const KeyState& state, Epoch target, std::span<const Member> members, const Settings& settings,
                Time now) {
    if (state.active < target) {
        const bool coming =
            state.pending.has_value() || std::ranges::any_of(state.epochs, [&](const EpochState& epoch) {
                return epoch.stage == Stage::kInstalling && epoch.number >= target;
            });
        return coming ? Outcome::kRunning : Outcome::kAborted;
    }
    const bool done = std::ranges::all_of(state.epochs, [&](const EpochState& epoch) {
        return epoch.number >= target || (epoch.retired != Revision{} && is_confirmed(epoch, members, settings, now));
    });
    return done ? Outcome::kDone : Outcome::kRunning;
}

Epoch installed_epoch(const KeyState& state, const Member& member) {
    Epoch highest;
    for (const EpochState& epoch : state.epochs) {
        if (epoch.stage != Stage::kRetired && holds(member, epoch)) {
            highest = std::max(highest, epoch.number);
        }
    }
    return highest;
}

std::vector<MembershipId> unconfirmed(const KeyState& state, Epoch target, std::span<const Member> members) {
    const bool purged = state.purged_through.value + 1 >= target.value;
    std::vector<MembershipId> ids;
    for (const Member& member : members) {
        // A node under a new membership id counts until it acknowledges: it may still have the SAs of its old one.
        if (!purged || member.acked < state.purged_at) {
            ids.push_back(member.id);
        }
    }
    return ids;
}

}  // namespace warren::keymgr
