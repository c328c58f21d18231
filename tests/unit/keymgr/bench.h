#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "keymgr/readiness.h"
#include "keymgr/rotation.h"

namespace warren::keymgr {

// One network's keys and members, with the clock and the acknowledgements in the test's hand.
struct Bench {
    Settings settings{.interval = base::Duration::zero()};
    base::Time now{std::chrono::hours(1000)};
    base::Revision revision{1};
    KeyState state = first_keys(settings, now, revision);
    std::vector<Member> members;
    std::vector<Event> events;  // since the last clear
    std::optional<base::Time> wakeup;
    std::vector<base::Epoch> made;
    std::vector<base::Epoch> forgotten;

    // A member that has acknowledged its own joining.
    base::MembershipId join(bool acknowledged = true) {
        revision.value += 1;
        const base::MembershipId id(100 + members.size() + 10 * revision.value);
        members.push_back({.id = id,
                           .since = revision,
                           .acked = acknowledged ? revision : base::Revision{},
                           .connected = true,
                           .last_seen = now});
        return id;
    }
    Member& member(base::MembershipId id) { return *std::ranges::find(members, id, &Member::id); }
    void leave(base::MembershipId id) {
        std::erase_if(members, [&](const Member& one) { return one.id == id; });
        revision.value += 1;
    }
    // Cut off for longer than the reconnect window.
    void lose(base::MembershipId id) {
        member(id).connected = false;
        member(id).last_seen = now - settings.reconnect_window;
    }
    void find(base::MembershipId id) { member(id).connected = true; }
    void acknowledge(base::MembershipId id) { member(id).acked = revision; }

    // What a manager does with step(): stores the outcome. True if there was one.
    bool step() { return take(keymgr::step(state, members, settings, now, base::Revision(revision.value + 1), 0)); }
    bool take(const Decision& decision) {
        wakeup = decision.wakeup;
        if (!decision.state) {
            return false;
        }
        state = *decision.state;
        revision.value += decision.announce ? 1U : 0U;
        events.insert(events.end(), decision.events.begin(), decision.events.end());
        forgotten.insert(forgotten.end(), decision.forget.begin(), decision.forget.end());
        if (decision.make) {
            made.push_back(*decision.make);
        }
        return true;
    }
    base::Epoch ask(Reason reason = Reason::kCommand, base::Epoch about = {}) {
        auto asked = request(state, reason, settings, now, about);
        state = asked.state;
        step();
        return asked.target;
    }
    // A rotation of which the only member has changed over: the grace of the old epoch has just begun.
    void rotate_until_draining(base::MembershipId only) {
        ask();
        for (int change = 0; change < 2; ++change) {  // the epoch, and that it is active
            acknowledge(only);
            step();
        }
    }
    // Everybody that is connected acknowledges and time passes, until nothing moves any more.
    void settle() {
        for (int i = 0; i < 50; ++i) {
            for (Member& one : members) {
                if (one.connected) {
                    one.acked = revision;
                    one.last_seen = now;
                }
            }
            if (!step() && (!wakeup || *wakeup - now > settings.grace)) {
                return;
            }
            if (wakeup && *wakeup - now <= settings.grace) {
                now = *wakeup;
            }
        }
    }

    [[nodiscard]] const EpochState* epoch(std::uint32_t number) const {
        const auto found = std::ranges::find(state.epochs, base::Epoch(number), &EpochState::number);
        return found == state.epochs.end() ? nullptr : &*found;
    }
    [[nodiscard]] std::optional<Stage> stage(std::uint32_t number) const {
        return epoch(number) == nullptr ? std::nullopt : std::optional(epoch(number)->stage);
    }
    [[nodiscard]] Phase phase() const { return progress(state, members, settings, now).phase; }
    [[nodiscard]] Outcome outcome(base::Epoch target) const {
        return keymgr::outcome(state, target, members, settings, now);
    }
    // Members named by the last event of this kind.
    [[nodiscard]] std::optional<std::vector<base::MembershipId>> told(EventKind kind) const {
        for (auto event = events.rbegin(); event != events.rend(); ++event) {
            if (event->kind == kind) {
                return event->members;
            }
        }
        return std::nullopt;
    }
};

}  // namespace warren::keymgr
