#include "manager/key_history.h"

#include <algorithm>

#include "manager/records.h"

namespace warren::manager {

namespace {

// A stranger's words, and lists as long as the cluster, must not fill the store.
constexpr std::size_t kLongestBy = 80;
constexpr int kMostCauses = 8;
constexpr int kMostNames = 16;

using Causes = google::protobuf::RepeatedPtrField<v1::StoredCause>;
using Names = google::protobuf::RepeatedPtrField<std::string>;

keymgr::Reason reason_of(const v1::StoredCause& cause) {
    return static_cast<keymgr::Reason>(cause.reason());
}

void add_cause(Causes& causes, keymgr::Reason reason, std::string_view by, base::Time asked) {
    const auto number = static_cast<std::uint32_t>(reason);
    by = by.substr(0, kLongestBy);
    const bool known = std::any_of(causes.begin(), causes.end(), [&](const v1::StoredCause& cause) {
        return cause.reason() == number && cause.by() == by;
    });
    if (known || causes.size() >= kMostCauses) {
        return;
    }
    auto& cause = *causes.Add();
    cause.set_reason(number);
    cause.set_by(std::string(by));
    cause.set_asked(unix_ms(asked));
}

v1::StoredRotation* find(v1::KeyHistoryRecord& history, base::Epoch epoch) {
    auto& list = *history.mutable_rotations();
    const auto found = std::find_if(
        list.begin(), list.end(), [&](const v1::StoredRotation& rotation) { return rotation.epoch() == epoch.value; });
    return found == list.end() ? nullptr : &*found;
}

// A new epoch takes the requests that waited with it; a reason that nobody noted is the manager's own.
v1::StoredRotation& begin(v1::KeyHistoryRecord& history, const keymgr::EpochState& epoch) {
    auto& rotation = *history.add_rotations();
    rotation.set_epoch(epoch.number.value);
    rotation.set_cipher(static_cast<std::uint32_t>(epoch.parameters.cipher));
    rotation.set_made(unix_ms(epoch.created));
    rotation.mutable_causes()->Swap(history.mutable_waiting());
    for (const auto reason : epoch.reasons) {
        const auto& causes = rotation.causes();
        const bool asked = std::any_of(causes.begin(), causes.end(),
                                       [&](const v1::StoredCause& cause) { return reason_of(cause) == reason; });
        if (!asked) {
            add_cause(*rotation.mutable_causes(), reason, "", epoch.created);
        }
    }
    return rotation;
}

// What was owed to somebody waits again.
void end_aborted(v1::KeyHistoryRecord& history, v1::StoredRotation& rotation, const keymgr::KeyState& keys,
                 const StepNotes& notes, base::Time now) {
    rotation.set_aborted(unix_ms(now));
    rotation.set_aborted_by(notes.by.substr(0, kLongestBy));
    for (const auto& cause : rotation.causes()) {
        const auto reason = reason_of(cause);
        if (keys.pending && std::find(keys.pending->reasons.begin(), keys.pending->reasons.end(), reason) !=
                                keys.pending->reasons.end()) {
            add_cause(*history.mutable_waiting(), reason, cause.by(), time_of(cause.asked()));
        }
    }
}

// Requests that are not pending any more were taken back.
void drop_withdrawn(v1::KeyHistoryRecord& history, const keymgr::KeyState& keys) {
    auto& waiting = *history.mutable_waiting();
    const auto withdrawn = [&](const v1::StoredCause& cause) {
        return !keys.pending || std::find(keys.pending->reasons.begin(), keys.pending->reasons.end(),
                                          reason_of(cause)) == keys.pending->reasons.end();
    };
    waiting.erase(std::remove_if(waiting.begin(), waiting.end(), withdrawn), waiting.end());
}

void add_names(Names& names, const keymgr::Event& event, const StepNotes& notes) {
    for (std::size_t i = 0; i < event.members.size(); ++i) {
        if (names.size() >= kMostNames) {
            names.Add(fmt::format("{} more", event.members.size() - i));
            return;
        }
        names.Add(notes.name_of(event.members[i]));
    }
}

// Which of the later steps the epoch has come through, by what is left of the earlier ones.
void note_times(v1::StoredRotation& rotation, const keymgr::KeyState& keys, base::Time now) {
    if (rotation.activated() == 0 || rotation.retired() != 0) {
        return;
    }
    const auto older_in = [&](std::initializer_list<keymgr::Stage> stages) {
        return std::any_of(keys.epochs.begin(), keys.epochs.end(), [&](const keymgr::EpochState& epoch) {
            return epoch.number.value < rotation.epoch() &&
                   std::find(stages.begin(), stages.end(), epoch.stage) != stages.end();
        });
    };
    if (rotation.moved() == 0 && !older_in({keymgr::Stage::kMoving})) {
        rotation.set_moved(unix_ms(now));
    }
    if (rotation.moved() != 0 && !older_in({keymgr::Stage::kMoving, keymgr::Stage::kDraining})) {
        rotation.set_retired(unix_ms(now));
    }
}

std::string outcome_of(const v1::StoredRotation& rotation) {
    if (rotation.aborted() != 0) {
        return "aborted";
    }
    if (rotation.retired() != 0) {
        return "done";
    }
    if (rotation.activated() == 0) {
        return "installing";
    }
    return rotation.moved() == 0 ? "activating" : "retiring";
}

v1::Rotation present(v1::StoredRotation&& stored) {
    v1::Rotation shown;
    shown.set_epoch(stored.epoch());
    shown.set_cipher(std::string(keymgr::name(static_cast<keymgr::Cipher>(stored.cipher()))));
    std::int64_t asked = stored.made();
    for (const auto& cause : stored.causes()) {
        auto& row = *shown.add_causes();
        row.set_reason(std::string(keymgr::name(reason_of(cause))));
        row.set_by(cause.by());
        row.set_asked_unix_ms(cause.asked());
        asked = std::min(asked, cause.asked());
    }
    shown.set_asked_unix_ms(asked);
    shown.set_made_unix_ms(stored.made());
    shown.set_activated_unix_ms(stored.activated());
    shown.set_moved_unix_ms(stored.moved());
    shown.set_retired_unix_ms(stored.retired());
    shown.set_outcome(outcome_of(stored));
    shown.set_members(stored.members());
    shown.mutable_stragglers()->Swap(stored.mutable_stragglers());
    shown.mutable_cut_off()->Swap(stored.mutable_cut_off());
    shown.set_packets_sent(stored.packets_sent());
    shown.set_bytes_sent(stored.bytes_sent());
    shown.set_aborted_by(stored.aborted_by());
    return shown;
}

}  // namespace

void note_request(v1::KeyHistoryRecord& history, base::Epoch target, keymgr::Reason reason, std::string_view by,
                  base::Time now) {
    auto* const made = find(history, target);
    add_cause(made != nullptr ? *made->mutable_causes() : *history.mutable_waiting(), reason, by, now);
}

void note_step(v1::KeyHistoryRecord& history, const keymgr::KeyState& keys, const StepNotes& notes, base::Time now) {
    for (const auto& epoch : keys.epochs) {
        auto* rotation = find(history, epoch.number);
        if (rotation == nullptr) {
            rotation = &begin(history, epoch);
        }
        if (epoch.activated != base::Revision{} && rotation->activated() == 0) {
            rotation->set_activated(unix_ms(now));
            rotation->set_members(static_cast<std::uint32_t>(notes.members));
        }
        const bool aborted = epoch.stage == keymgr::Stage::kRetired && epoch.activated == base::Revision{};
        if (aborted && rotation->aborted() == 0) {
            end_aborted(history, *rotation, keys, notes, now);
        }
    }
    for (auto& rotation : *history.mutable_rotations()) {
        note_times(rotation, keys, now);
    }
    for (const auto& event : notes.events) {
        auto* rotation = find(history, event.epoch);
        if (rotation != nullptr && event.kind == keymgr::EventKind::kActivated) {
            add_names(*rotation->mutable_stragglers(), event, notes);
        } else if (rotation != nullptr && event.kind == keymgr::EventKind::kCutOff) {
            add_names(*rotation->mutable_cut_off(), event, notes);
        }
    }
    drop_withdrawn(history, keys);
    if (const int extra = history.rotations_size() - kRemembered; extra > 0) {
        history.mutable_rotations()->DeleteSubrange(0, extra);
    }
}

void note_traffic(v1::KeyHistoryRecord& history, const SentIn& sent) {
    for (auto& rotation : *history.mutable_rotations()) {
        if (const auto known = sent(base::Epoch{rotation.epoch()})) {
            rotation.set_packets_sent(std::max(rotation.packets_sent(), known->packets));
            rotation.set_bytes_sent(std::max(rotation.bytes_sent(), known->bytes));
        }
    }
}

v1::KeyHistoryReply present_history(v1::KeyHistoryRecord history) {
    v1::KeyHistoryReply reply;
    for (auto& rotation : *history.mutable_rotations()) {
        *reply.add_rotations() = present(std::move(rotation));
    }
    return reply;
}

}  // namespace warren::manager
