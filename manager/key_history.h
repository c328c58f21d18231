#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "keymgr/rotation.h"
#include "proto/control.pb.h"
#include "proto/state.pb.h"

// The history of a network's rotations: who or what asked, and when each step was done. Kept in the store beside the
// key record and written in the same transactions; the last kRemembered rotations. Pure.
namespace warren::manager {

inline constexpr int kRemembered = 64;

// Somebody asks for a rotation that this epoch will serve, made or not yet. `by`: who, for people; empty: the manager
// itself.
void note_request(v1::KeyHistoryRecord& history, base::Epoch target, keymgr::Reason reason, std::string_view by,
                  base::Time now);

// What people are to know of a step and KeyState does not say.
struct StepNotes {
    std::size_t members = 0;
    std::vector<keymgr::Event> events;
    std::function<std::string(base::MembershipId)> name_of;  // of a member's node; for the members of `events`
    std::string by;                                          // who aborted
};
// The state is now `keys`.
void note_step(v1::KeyHistoryRecord& history, const keymgr::KeyState& keys, const StepNotes& notes, base::Time now);

// What was sent in an epoch; nullopt: nothing is known (any more).
struct SentInEpoch {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;

    bool operator==(const SentInEpoch&) const = default;
};
using SentIn = std::function<std::optional<SentInEpoch>(base::Epoch)>;
void note_traffic(v1::KeyHistoryRecord& history, const SentIn& sent);

// Oldest first.
[[nodiscard]] v1::KeyHistoryReply present_history(v1::KeyHistoryRecord history);

}  // namespace warren::manager
