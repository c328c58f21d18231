#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "keymgr/key_schedule.h"

// The rotation of one network's keys, as the manager sees it: pure functions over values. No I/O, no clock, no secret.
// keymgr/README.md tells the protocol; keymgr/readiness.h has the rules by which agents pick their SAs.
//
// How a manager uses it: read KeyState and the members of the network, call step(), and when it returns a new state
// write that in ONE transaction that compares the network's revision (and makes or deletes the sealed secrets that the
// decision names). If `announce` is set the same transaction raises the network's revision to `next_revision`, and the
// members get the change and acknowledge it. A lost race: read again and call step() again. Everything is in KeyState:
// another manager goes on from there.
namespace warren::keymgr {

inline constexpr std::size_t kSlots = 4;

// Why a network rotates.
enum class Reason : std::uint8_t {
    kCreated = 1,  // the first epoch
    kCommand,
    kSchedule,
    kLimit,        // an SA reached its soft limit of packets or bytes
    kSaLost,       // somebody deleted an SA of ours: new keys heal it. Rate-limited
    kMemberLeft,   // a former member must not know the keys. Rate-limited
    kNodeRemoved,  // the same at once: no grace, nobody keeps an epoch that the removed node knew
    kParameters,   // cipher, encapsulation or replay window changed
};
[[nodiscard]] std::string_view name(Reason reason);
// Whether rotations for this reason keep a distance from each other (Settings::rate_limit).
[[nodiscard]] bool is_rate_limited(Reason reason);

// What belongs to an epoch, not to the network: a change is a rotation.
struct EpochParameters {
    Cipher cipher = Cipher::kAes128Gcm;
    std::uint32_t replay_window = 1024;  // packets
    base::UdpPort encap{};               // of ESP in UDP (RFC 3948), at both ends; 0: plain ESP

    auto operator<=>(const EpochParameters&) const = default;
};

// The life of an epoch. An epoch that is aborted goes from installing to retired.
enum class Stage : std::uint8_t {
    kInstalling = 1,  // members add inbound SAs; nobody sends in it
    kActive,          // exactly one epoch of a network
    kMoving,          // a later epoch is active; senders are changing over
    kDraining,        // every sender that can be reached has changed over; the grace runs
    kKept,            // retired, but for the pairs of the members in kept_for, which were cut off
    kRetired,         // deleted; its slot is free when every reachable member has confirmed
};
[[nodiscard]] std::string_view name(Stage stage);

struct EpochState {
    base::Epoch number;
    base::EpochSlot slot;
    EpochParameters parameters;
    Stage stage = Stage::kInstalling;
    base::Revision since;       // introduced it: who has acknowledged this revision holds it
    base::Revision activated;   // 0 = was never active
    base::Revision superseded;  // made a later epoch active; 0 = none yet
    base::Revision retired;     // made it kKept or kRetired; 0 = neither
    base::Time created;
    base::Time entered;                        // when it came into its stage
    base::Time superseded_time;                // the straggler limit counts from here
    std::optional<base::Time> moved;           // kKept: nobody needs it any more since then
    std::vector<base::MembershipId> kept_for;  // members that had not changed over when the grace began
    std::vector<Reason> reasons;

    bool operator==(const EpochState&) const = default;
};

// A member that had not acknowledged the active epoch when that was activated. Peers send to it in an older epoch.
struct Laggard {
    base::MembershipId member;
    base::Revision acked;  // what peers were told that it had acknowledged
    base::Revision
        caught_up;  // told peers that it reached the floor; 0 = not yet. Gone when all peers acknowledged that

    auto operator<=>(const Laggard&) const = default;
};

// Requests that wait: one, however many asked.
struct Pending {
    std::vector<Reason> reasons;
    base::Time not_before;

    bool operator==(const Pending&) const = default;
};

// All that is stored about a network's keys, apart from the sealed secrets.
struct KeyState {
    base::Epoch next_epoch;  // numbers are never given twice, not after an abort either
    base::Epoch active;
    std::vector<EpochState> epochs;  // by number; at most kSlots
    base::Revision floor;            // `since` of the epoch last activated: every member older than it has acknowledged
    std::vector<Laggard> laggards;   //   at least this, except these
    base::Time laggards_told;        // when a catch-up was last announced (announcements are batched)
    std::optional<Pending> pending;
    std::optional<base::Time> due;           // of the next scheduled rotation
    std::optional<base::Time> last_limited;  // when an epoch was last made for a rate-limited reason: the limit counts
                                             //   from here, so the first such rotation is made at once
    base::Epoch revoked_below;   // a removed node knew epochs below this one: no grace, no stragglers for them
    base::Epoch purged_through;  // every epoch up to this one is deleted wherever ...
    base::Revision purged_at;    //   ... this revision is acknowledged

    bool operator==(const KeyState&) const = default;
};

// A member as the manager knows it now. Only node, id and since are stored; the rest may be forgotten by a manager that
// restarts (acked 0, last_seen the start of the manager): that delays, and is never unsafe.
struct Member {
    base::NodeId node;
    base::MembershipId id;
    base::Revision since;  // introduced this membership id
    base::Revision acked;  // highest revision acknowledged under this membership id
    bool connected = false;
    base::Time last_seen;  // when it was last connected; matters only while it is not

    bool operator==(const Member&) const = default;
};

struct Settings {
    EpochParameters parameters;                        // of the epochs to be made
    base::Duration interval = std::chrono::hours(12);  // between scheduled rotations; 0 = never
    base::Duration grace = std::chrono::seconds(5);    // for packets on their way in an epoch that nobody sends in
    base::Duration straggler_limit = std::chrono::hours(1);  // how long an epoch is kept for members that were cut off
    base::Duration reconnect_window = std::chrono::seconds(5);  // a member away for less is waited for
    base::Duration patience = std::chrono::minutes(1);    // for a connected member that does not acknowledge a step
    base::Duration rate_limit = std::chrono::minutes(1);  // between rotations of a rate-limited reason
    base::Duration batch = std::chrono::seconds(1);       // between announcements of members that caught up
};

// What happened, for logs, history and `warren events`.
enum class EventKind : std::uint8_t {
    kMade = 1,   // epoch; members empty
    kActivated,  // epoch; members: who has not got it and is sent to in an older one
    kKept,       // epoch; members: for whom it is kept
    kRetired,    // epoch
    kAborted,    // epoch
    kCaughtUp,   // epoch: the active one; members: who have it now
    kCutOff,     // epoch; members: who lost it before they could change over
};
[[nodiscard]] std::string_view name(EventKind kind);
struct Event {
    EventKind kind = EventKind::kMade;
    base::Epoch epoch;
    std::vector<base::MembershipId> members;

    bool operator==(const Event&) const = default;
};

struct Decision {
    std::optional<KeyState> state;  // what to store; nullopt = nothing to do now
    bool announce = false;  // store it with the network's revision raised to next_revision, and tell the members
    std::optional<base::Epoch> make;   // make and seal a secret for this epoch in the same transaction
    std::vector<base::Epoch> forget;   // delete the secrets of these in the same transaction
    std::vector<Event> events;         // to be told once the transaction has succeeded
    std::optional<base::Time> wakeup;  // call step() again then, if nothing happens before
};

// The keys of a new network: epoch 1 is active from the start, because the rule for senders gates every pair anyway.
// The caller makes its secret. `revision` is the network's first.
[[nodiscard]] KeyState first_keys(const Settings& settings, base::Time now, base::Revision revision);

struct Asked {
    KeyState state;
    base::Epoch target;  // the request is served when this epoch or a later one is done (see outcome())
};
// Asks for a rotation. Follow it with step() and store the outcome of both at once. `about` (kLimit, kSaLost) is the
// epoch of the SA in question: one that is on its way out already needs no further rotation, only that the epoch which
// is being installed serves this reason too.
[[nodiscard]] Asked request(KeyState state, Reason reason, const Settings& settings, base::Time now,
                            base::Epoch about = {});

// Whether the rotation may be left out for the asking: who commanded it or drew up the schedule can do without. All
// other reasons are owed to somebody: they outlive an abort.
[[nodiscard]] bool is_optional(Reason reason);

// Takes back the epoch that is being installed and the request that waits. What was owed to somebody goes on waiting,
// and is made again after Settings::rate_limit, so that there is time to mend what made the abort necessary.
// kPrecondition when there is nothing to take back, or when a removed node must be locked out. Announce the result as
// `next_revision`.
[[nodiscard]] base::Result<Decision> abort(KeyState state, const Settings& settings, base::Time now,
                                           base::Revision next_revision);

// What to do next. Call it when a member acknowledges, joins, leaves, connects, is away for longer than the reconnect
// window, after a request, at `wakeup`, and after every state that it returned was stored. `dice` is any random number,
// it spreads the scheduled rotations of many networks. While there are members and none is present it does nothing: a
// manager cut off from everybody must not conclude that everybody else is cut off.
[[nodiscard]] Decision step(const KeyState& state, std::span<const Member> members, const Settings& settings,
                            base::Time now, base::Revision next_revision, std::uint64_t dice);

// The manager's clock was set by so much, forward or back. Whatever waits has neither waited longer nor less for that;
// the schedule stays with the clock. Store it if it differs. Times that members were last seen are the caller's to
// move.
[[nodiscard]] KeyState clock_set(KeyState state, base::Duration by);
// For a manager that begins: its clock may have been set since the last one ended, so it can't know how long a step has
// waited for packets or for members, and lets it wait anew. Store it if it differs.
[[nodiscard]] KeyState resumed(KeyState state, base::Time now);

// Connected, or away for less than the reconnect window.
[[nodiscard]] bool is_present(const Member& member, const Settings& settings, base::Time now);

enum class Phase : std::uint8_t { kIdle, kInstalling, kActivating, kRetiring };
[[nodiscard]] std::string_view name(Phase phase);

// How far the newest epoch is, for `key status` and `key rotate`.
struct Progress {
    Phase phase = Phase::kIdle;
    base::Epoch epoch;  // the newest epoch that was not aborted
    std::size_t members = 0;
    std::size_t installed = 0;  // hold it
    std::size_t active = 0;     // send in it to everybody who can receive it
    std::size_t retired = 0;    // have deleted what was before it, as far as nobody who was cut off needs it
    std::vector<base::MembershipId>
        stragglers;  // whom the next step does not or will not wait for, or kept epochs serve
    std::vector<base::MembershipId> waiting_for;  // whom the present step waits for
};
[[nodiscard]] Progress progress(const KeyState& state, std::span<const Member> members, const Settings& settings,
                                base::Time now);

enum class Outcome : std::uint8_t { kRunning = 1, kDone, kAborted };
// What became of a request with this target. Done: `target` or a later epoch is active, and every member that is waited
// for has confirmed that what was before `target` is retired (kept for stragglers at most).
[[nodiscard]] Outcome outcome(const KeyState& state, base::Epoch target, std::span<const Member> members,
                              const Settings& settings, base::Time now);

// The highest epoch a member holds; 0 = none.
[[nodiscard]] base::Epoch installed_epoch(const KeyState& state, const Member& member);

// After the removal of a node, with the target of its request: members that may still hold an epoch older than that.
// Empty = no member accepts a packet of the removed node any more.
[[nodiscard]] std::vector<base::MembershipId> unconfirmed(const KeyState& state, base::Epoch target,
                                                          std::span<const Member> members);

}  // namespace warren::keymgr
