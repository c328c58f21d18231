#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

#include "keymgr/rotation.h"

namespace warren::keymgr {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using base::Time;

bool contains(std::span<const MembershipId> ids, MembershipId id) {
    return std::ranges::find(ids, id) != ids.end();
}

// A time span that a clock set back can't make negative.
base::Duration since(Time now, Time then) {
    return now < then ? base::Duration::zero() : now - then;
}

// One call of step(): takes the state as far as it goes at this revision. Each of the steps below changes one kind of
// thing, if it is due, and says so by changed_ (store it) and announce() (and tell the members).
class Stepper {
  public:
    Stepper(KeyState state, std::span<const Member> members, const Settings& settings, Time now, Revision revision,
            std::uint64_t dice)
        : state_(std::move(state)),
          members_(members),
          settings_(settings),
          now_(now),
          revision_(revision),
          dice_(dice) {}

    Decision run();

  private:
    KeyState state_;
    std::span<const Member> members_;
    const Settings& settings_;
    Time now_;
    Revision revision_;
    std::uint64_t dice_;
    Decision decision_;
    bool changed_ = false;

    void settle_clock();
    void settle(Time& time, Time latest);
    void prune();
    void schedule();
    void forget_confirmed();
    void forget_laggards();
    void tell_catch_ups();
    void move_on();
    void leave_draining(EpochState& epoch);
    void leave_kept(EpochState& epoch);
    void activate();
    void raise_floor(Revision floor);
    void make();
    void make_room();
    void retire(EpochState& epoch, std::vector<MembershipId> cut_off);
    void note_purged();
    void enter(EpochState& epoch, Stage stage);
    void announce() { changed_ = decision_.announce = true; }
    void event(EventKind kind, Epoch epoch, std::vector<MembershipId> members = {}) {
        decision_.events.push_back({.kind = kind, .epoch = epoch, .members = std::move(members)});
    }
    [[nodiscard]] std::optional<Time> next_wakeup() const;

    [[nodiscard]] bool waits_for(const Member& member, Time entered) const {
        return is_present(member, settings_, now_) && since(now_, entered) < settings_.patience;
    }
    // Whether all members that are waited for and knew the network before `at` have acknowledged it.
    [[nodiscard]] bool confirmed(Revision at, Time entered) const {
        return std::ranges::all_of(members_, [&](const Member& member) {
            return member.since >= at || member.acked >= at || !waits_for(member, entered);
        });
    }
    [[nodiscard]] bool is_laggard(MembershipId id) const {
        return std::ranges::find(state_.laggards, id, &Laggard::member) != state_.laggards.end();
    }
    [[nodiscard]] const Member* find(MembershipId id) const {
        const auto found = std::ranges::find(members_, id, &Member::id);
        return found == members_.end() ? nullptr : &*found;
    }
    // Members with a pair that may still send in a superseded epoch: they have not heard of the next, or somebody may
    // not have heard that they have it.
    [[nodiscard]] std::vector<MembershipId> unmoved(const EpochState& epoch) const;
    [[nodiscard]] bool is_revoked(const EpochState& epoch) const { return epoch.number < state_.revoked_below; }
    [[nodiscard]] EpochState* installing() {
        const auto found = std::ranges::find(state_.epochs, Stage::kInstalling, &EpochState::stage);
        return found == state_.epochs.end() ? nullptr : &*found;
    }
    [[nodiscard]] Time next_due() const {
        const auto spread = static_cast<std::uint64_t>(settings_.interval.count() / 10);
        return now_ + settings_.interval - base::Duration(static_cast<std::int64_t>(dice_ % (spread + 1)));
    }
};

void Stepper::enter(EpochState& epoch, Stage stage) {
    epoch.stage = stage;
    epoch.entered = now_;
    changed_ = true;
}

void Stepper::settle(Time& time, Time latest) {
    if (time > latest) {
        time = latest;
        changed_ = true;
    }
}

// The clock was set back: what is in the future restarts now, or nothing would move until the clock has caught up.
void Stepper::settle_clock() {
    for (EpochState& epoch : state_.epochs) {
        settle(epoch.entered, now_);
        settle(epoch.superseded_time, now_);
        if (epoch.moved) {
            settle(*epoch.moved, now_);
        }
    }
    settle(state_.laggards_told, now_);
    if (state_.last_limited) {
        settle(*state_.last_limited, now_);
    }
    if (state_.pending) {
        settle(state_.pending->not_before, now_ + settings_.rate_limit);
    }
    if (state_.due) {
        settle(*state_.due, now_ + settings_.interval);
    }
}

// Forgets members that are gone. Nobody needs to be told.
void Stepper::prune() {
    const auto gone = [&](MembershipId id) { return find(id) == nullptr; };
    changed_ |= std::erase_if(state_.laggards, [&](const Laggard& laggard) { return gone(laggard.member); }) != 0;
    for (EpochState& epoch : state_.epochs) {
        changed_ |= std::erase_if(epoch.kept_for, gone) != 0;
    }
}

void Stepper::schedule() {
    if (settings_.interval == base::Duration::zero()) {
        changed_ |= state_.due.has_value();
        state_.due.reset();
    } else if (!state_.due) {
        state_.due = next_due();
        changed_ = true;
    } else if (now_ >= *state_.due) {
        state_ = request(std::move(state_), Reason::kSchedule, settings_, now_).state;
        state_.due = next_due();
        changed_ = true;
    }
}

void Stepper::forget_confirmed() {
    changed_ |= std::erase_if(state_.epochs, [&](const EpochState& epoch) {
                    return epoch.stage == Stage::kRetired && confirmed(epoch.retired, epoch.entered);
                }) != 0;
}

// A laggard that caught up is forgotten when everybody knows, whether reachable or not: who doesn't, still sends to it
// in an older epoch.
void Stepper::forget_laggards() {
    changed_ |= std::erase_if(state_.laggards, [&](const Laggard& laggard) {
                    return laggard.caught_up != Revision{} && std::ranges::all_of(members_, [&](const Member& member) {
                               return member.since >= laggard.caught_up || member.acked >= laggard.caught_up;
                           });
                }) != 0;
}

void Stepper::tell_catch_ups() {
    if (since(now_, state_.laggards_told) < settings_.batch) {
        return;
    }
    std::vector<MembershipId> caught_up;
    for (Laggard& laggard : state_.laggards) {
        const Member* const member = find(laggard.member);
        if (laggard.caught_up == Revision{} && member->acked >= state_.floor) {
            laggard.caught_up = revision_;
            caught_up.push_back(laggard.member);
        }
    }
    if (!caught_up.empty()) {
        state_.laggards_told = now_;
        announce();
        event(EventKind::kCaughtUp, state_.active, std::move(caught_up));
    }
}

std::vector<MembershipId> Stepper::unmoved(const EpochState& epoch) const {
    std::vector<MembershipId> ids;
    for (const Member& member : members_) {
        const bool counts = epoch.stage != Stage::kKept || contains(epoch.kept_for, member.id);
        if (counts && member.since < epoch.superseded && (member.acked < epoch.superseded || is_laggard(member.id))) {
            ids.push_back(member.id);
        }
    }
    return ids;
}

void Stepper::move_on() {
    for (EpochState& epoch : state_.epochs) {
        if (epoch.stage == Stage::kMoving && confirmed(epoch.superseded, epoch.entered)) {
            epoch.kept_for = unmoved(epoch);
            enter(epoch, Stage::kDraining);
        }
        if (epoch.stage == Stage::kDraining) {
            leave_draining(epoch);
        }
        if (epoch.stage == Stage::kKept) {
            leave_kept(epoch);
        }
    }
}

void Stepper::leave_draining(EpochState& epoch) {
    if (is_revoked(epoch)) {
        retire(epoch, unmoved(epoch));
    } else if (since(now_, epoch.entered) >= settings_.grace) {
        if (epoch.kept_for.empty()) {
            retire(epoch, {});
        } else {
            epoch.retired = revision_;
            enter(epoch, Stage::kKept);
            announce();
            event(EventKind::kKept, epoch.number, epoch.kept_for);
        }
    }
}

void Stepper::leave_kept(EpochState& epoch) {
    auto needed_by = unmoved(epoch);
    if (needed_by.empty() && !epoch.moved) {
        epoch.moved = now_;
        changed_ = true;
    }
    if (epoch.moved && !is_revoked(epoch)) {
        if (since(now_, *epoch.moved) >= settings_.grace) {
            retire(epoch, {});
        }
    } else if (is_revoked(epoch) || since(now_, epoch.superseded_time) >= settings_.straggler_limit) {
        retire(epoch, std::move(needed_by));
    }
}

void Stepper::retire(EpochState& epoch, std::vector<MembershipId> cut_off) {
    epoch.retired = revision_;
    epoch.kept_for.clear();
    epoch.moved.reset();
    enter(epoch, Stage::kRetired);
    announce();
    decision_.forget.push_back(epoch.number);
    if (!cut_off.empty()) {
        event(EventKind::kCutOff, epoch.number, std::move(cut_off));
    }
    event(epoch.activated == Revision{} ? EventKind::kAborted : EventKind::kRetired, epoch.number);
    note_purged();
}

void Stepper::note_purged() {
    Epoch oldest = state_.next_epoch;
    for (const EpochState& epoch : state_.epochs) {
        if (epoch.stage != Stage::kRetired) {
            oldest = std::min(oldest, epoch.number);
        }
    }
    if (oldest.value - 1 > state_.purged_through.value) {
        state_.purged_through = Epoch(oldest.value - 1);
        state_.purged_at = revision_;
    }
}

// Members that joined after the epoch was made are not waited for: nobody sends to them before they have acknowledged
// their own joining, and with it the epoch. But somebody has to have it: an epoch that every kernel refuses stays where
// it is, it must not take a network down.
void Stepper::activate() {
    EpochState* const epoch = installing();
    if (epoch == nullptr || is_revoked(*epoch)) {
        return;
    }
    const bool waiting = std::ranges::any_of(members_, [&](const Member& member) {
        return member.since <= epoch->since && member.acked < epoch->since && waits_for(member, epoch->entered);
    });
    const bool held = members_.empty() || std::ranges::any_of(members_, [&](const Member& member) {
                          return member.acked >= std::max(epoch->since, member.since);
                      });
    if (waiting || !held) {
        return;
    }
    for (EpochState& old : state_.epochs) {
        if (old.stage == Stage::kActive) {
            old.superseded = revision_;
            old.superseded_time = now_;
            enter(old, Stage::kMoving);
        }
    }
    enter(*epoch, Stage::kActive);
    epoch->activated = revision_;
    state_.active = epoch->number;
    raise_floor(epoch->since);
    announce();
    std::vector<MembershipId> without;
    for (const Laggard& laggard : state_.laggards) {
        if (laggard.caught_up == Revision{}) {
            without.push_back(laggard.member);
        }
    }
    event(EventKind::kActivated, epoch->number, std::move(without));
}

// Who has not acknowledged the new floor becomes, or stays, a laggard; who has, and was one, is announced with this
// revision to have caught up. A new laggard is announced with no less than the old floor: somebody who hears of both
// only now has to move as far as the old floor allowed, even if the acknowledgement that it stood for is forgotten
// here.
void Stepper::raise_floor(Revision floor) {
    const Revision old_floor = std::exchange(state_.floor, floor);
    std::vector<Laggard> laggards;
    for (const Member& member : members_) {
        if (member.since > state_.floor) {
            continue;
        }
        const auto was = std::ranges::find(state_.laggards, member.id, &Laggard::member);
        const bool known = was != state_.laggards.end();
        if (member.acked < state_.floor) {
            const bool lagged = known && was->caught_up == Revision{};
            const Revision told = lagged ? was->acked : member.since <= old_floor ? old_floor : Revision{};
            laggards.push_back({.member = member.id, .acked = std::max(told, member.acked)});
        } else if (known) {
            laggards.push_back(*was);
            if (was->caught_up == Revision{}) {
                laggards.back().caught_up = revision_;
            }
        }
    }
    state_.laggards = std::move(laggards);
}

void Stepper::make() {
    if (!state_.pending || now_ < state_.pending->not_before) {
        return;
    }
    if (EpochState* const epoch = installing(); epoch != nullptr) {
        if (!is_revoked(*epoch)) {
            return;
        }
        retire(*epoch, {});  // a removed node may have got it
    }
    std::array<bool, kSlots> taken{};
    for (const EpochState& epoch : state_.epochs) {
        taken.at(epoch.slot.value) = true;
    }
    const auto* const free = std::ranges::find(taken, false);
    if (free == taken.end()) {
        make_room();
        return;
    }
    EpochState epoch{.number = state_.next_epoch,
                     .slot = base::EpochSlot(static_cast<std::uint8_t>(free - taken.begin())),
                     .parameters = settings_.parameters,
                     .since = revision_,
                     .created = now_,
                     .reasons = std::move(state_.pending->reasons)};
    enter(epoch, Stage::kInstalling);
    state_.pending.reset();
    state_.next_epoch.value += 1;
    if (std::ranges::any_of(epoch.reasons, is_rate_limited)) {
        state_.last_limited = now_;
    }
    if (settings_.interval != base::Duration::zero()) {
        state_.due = next_due();
    }
    announce();
    decision_.make = epoch.number;
    event(EventKind::kMade, epoch.number);
    state_.epochs.push_back(std::move(epoch));
}

// All slots are taken: nothing waits for a straggler, so the oldest epoch that is kept for one goes. But where one is
// on its way out already, or all are, the wait is short.
void Stepper::make_room() {
    const bool soon = std::ranges::any_of(state_.epochs, [](const EpochState& epoch) {
        return epoch.stage == Stage::kRetired || epoch.moved.has_value();
    });
    const auto kept = std::ranges::find(state_.epochs, Stage::kKept, &EpochState::stage);
    if (!soon && kept != state_.epochs.end()) {
        retire(*kept, unmoved(*kept));
    }
}

std::optional<Time> Stepper::next_wakeup() const {
    std::optional<Time> next;
    const auto at = [&](Time time) {
        if (time > now_ && (!next || time < *next)) {
            next = time;
        }
    };
    bool waiting = false;
    for (const EpochState& epoch : state_.epochs) {
        switch (epoch.stage) {
            case Stage::kInstalling:
            case Stage::kMoving:
            case Stage::kRetired:
                waiting = true;
                at(epoch.entered + settings_.patience);
                break;
            case Stage::kDraining:
                at(epoch.entered + settings_.grace);
                break;
            case Stage::kKept:
                at(epoch.moved ? *epoch.moved + settings_.grace : epoch.superseded_time + settings_.straggler_limit);
                break;
            case Stage::kActive:
                break;
        }
    }
    if (waiting) {
        for (const Member& member : members_) {
            if (!member.connected) {
                at(member.last_seen + settings_.reconnect_window);
            }
        }
    }
    if (!state_.laggards.empty()) {
        at(state_.laggards_told + settings_.batch);
    }
    if (state_.pending) {
        at(state_.pending->not_before);
    }
    if (state_.due) {
        at(*state_.due);
    }
    return next;
}

Decision Stepper::run() {
    const bool somebody =
        std::ranges::any_of(members_, [&](const Member& member) { return is_present(member, settings_, now_); });
    if (!members_.empty() && !somebody) {
        return {};
    }
    // Each round ends at a step that needs an acknowledgement or time; without members all of it happens at once.
    bool stored = false;
    settle_clock();
    do {
        stored |= std::exchange(changed_, false);
        prune();
        schedule();
        forget_confirmed();
        forget_laggards();
        tell_catch_ups();
        move_on();
        activate();
        make();
    } while (changed_);
    decision_.wakeup = next_wakeup();
    if (stored) {
        decision_.state = std::move(state_);
    }
    return std::move(decision_);
}

}  // namespace

Decision step(const KeyState& state, std::span<const Member> members, const Settings& settings, Time now,
              Revision next_revision, std::uint64_t dice) {
    return Stepper(state, members, settings, now, next_revision, dice).run();
}

}  // namespace warren::keymgr
