#include "manager/rotation_watches.h"

#include <algorithm>
#include <set>

#include "manager/key_record.h"

namespace warren::manager {

namespace {

// Somebody was away when the others changed over, is back, and has not been heard of it yet. That takes seconds; the
// report waits for it, and not for ever: the rotation itself does not.
bool is_catching_up(const v1::RotationProgress& progress, base::Duration reported, const keymgr::Settings& settings) {
    return reported < settings.patience &&
           std::any_of(progress.late().begin(), progress.late().end(),
                       [](const v1::LateMember& late) { return late.reachable() && !late.waited_for(); });
}

std::set<base::MembershipId> set_of(const std::vector<base::MembershipId>& members) {
    return {members.begin(), members.end()};
}

}  // namespace

void RotationWatches::report(base::Time now) {
    watches_.report(
        now, [&](const Subject& subject, base::Time began) { return std::optional(progress_of(subject, began, now)); });
}

void RotationWatches::report_aborted(const base::NetworkId& network, base::Time now) {
    const auto* state = ledger_->cluster().network(network);
    const auto active = state == nullptr ? base::Epoch{} : base::Epoch{state->keys.record.active()};
    watches_.report(now, [&](const Subject& subject, base::Time began) -> std::optional<v1::RotationProgress> {
        if (subject.network != network || subject.target <= active) {
            return std::nullopt;
        }
        auto message = progress_of(subject, began, now);
        message.set_phase("aborted");
        message.set_waiting(false);
        message.set_done(true);
        return message;
    });
}

v1::RotationProgress RotationWatches::progress_of(const Subject& subject, base::Time began, base::Time now) const {
    v1::RotationProgress message;
    const auto* network = ledger_->cluster().network(subject.network);
    if (network == nullptr) {
        message.set_phase("removed");
        message.set_done(true);
        return message;
    }
    const auto keys = read_keys(network->keys.record);
    const auto members = hub_->members(*network, now);
    const auto settings = settings_of_(*network);
    const auto progress = keymgr::progress(keys, members, settings, now);
    const auto outcome = keymgr::outcome(keys, subject.target, members, settings, now);
    message.set_network(network->record().name());
    message.set_epoch(subject.target.value);
    message.set_waiting(progress.epoch < subject.target);
    message.set_phase(outcome == keymgr::Outcome::kAborted ? "aborted" : std::string(keymgr::name(progress.phase)));
    message.set_members(static_cast<std::uint32_t>(progress.members));
    message.set_installed(static_cast<std::uint32_t>(progress.installed));
    message.set_active(static_cast<std::uint32_t>(progress.active));
    message.set_retired(static_cast<std::uint32_t>(progress.retired));
    add_late(message, *network, progress);
    message.set_done(outcome == keymgr::Outcome::kAborted ||
                     (outcome == keymgr::Outcome::kDone && !is_catching_up(message, now - began, settings)));
    return message;
}

void RotationWatches::add_late(v1::RotationProgress& message, const NetworkState& network,
                               const keymgr::Progress& progress) const {
    const auto stragglers = set_of(progress.stragglers);
    const auto waiting_for = set_of(progress.waiting_for);
    for (const auto& record : network.members.record.members()) {
        const base::MembershipId member{record.membership_id()};
        const bool straggles = stragglers.contains(member);
        if (!straggles && !waiting_for.contains(member)) {
            continue;
        }
        const auto node = id_of<base::NodeId>(record.node_id());
        auto& late = *message.add_late();
        late.set_node(ledger_->cluster().node_name(node));
        late.set_reachable(hub_->reachable(node));
        late.set_since_unix_ms(unix_ms(hub_->since(node)));
        late.set_waited_for(!straggles);
        if (straggles) {
            message.add_stragglers(late.node());
        }
    }
}

}  // namespace warren::manager
