#include "manager/rotation_watches.h"

#include <algorithm>
#include <utility>

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

bool contains(const std::vector<base::MembershipId>& members, base::MembershipId member) {
    return std::find(members.begin(), members.end(), member) != members.end();
}

}  // namespace

RotationWatchId RotationWatches::add(const base::NetworkId& network, base::Epoch target, Report report,
                                     base::Time now) {
    const RotationWatchId id{next_++};
    watches_.emplace(
        id, Watch{.network = network, .target = target, .began = now, .report = std::move(report), .last = {}});
    return id;
}

void RotationWatches::report(base::Time now) {
    std::vector<RotationWatchId> ended;
    for (auto& [id, watch] : watches_) {
        auto message = progress_of(watch, now);
        auto text = message.SerializeAsString();
        if (text != watch.last) {
            watch.last = std::move(text);
            message.set_elapsed_ms((now - watch.began).count());
            watch.report(message);
        }
        if (message.done()) {
            ended.push_back(id);
        }
    }
    for (const auto id : ended) {
        watches_.erase(id);
    }
}

void RotationWatches::report_aborted(const base::NetworkId& network, base::Time now) {
    const auto* state = ledger_->cluster().network(network);
    const auto active = state == nullptr ? base::Epoch{} : base::Epoch{state->keys.record.active()};
    std::vector<RotationWatchId> ended;
    for (const auto& [id, watch] : watches_) {
        if (watch.network != network || watch.target <= active) {
            continue;
        }
        auto message = progress_of(watch, now);
        message.set_phase("aborted");
        message.set_waiting(false);
        message.set_done(true);
        message.set_elapsed_ms((now - watch.began).count());
        watch.report(message);
        ended.push_back(id);
    }
    for (const auto id : ended) {
        watches_.erase(id);
    }
}

v1::RotationProgress RotationWatches::progress_of(const Watch& watch, base::Time now) const {
    v1::RotationProgress message;
    const auto* network = ledger_->cluster().network(watch.network);
    if (network == nullptr) {
        message.set_phase("removed");
        message.set_done(true);
        return message;
    }
    const auto keys = read_keys(network->keys.record);
    const auto members = hub_->members(*network, now);
    const auto settings = settings_of_(*network);
    const auto progress = keymgr::progress(keys, members, settings, now);
    const auto outcome = keymgr::outcome(keys, watch.target, members, settings, now);
    message.set_network(network->record().name());
    message.set_epoch(watch.target.value);
    message.set_waiting(progress.epoch < watch.target);
    message.set_phase(outcome == keymgr::Outcome::kAborted ? "aborted" : std::string(keymgr::name(progress.phase)));
    message.set_members(static_cast<std::uint32_t>(progress.members));
    message.set_installed(static_cast<std::uint32_t>(progress.installed));
    message.set_active(static_cast<std::uint32_t>(progress.active));
    message.set_retired(static_cast<std::uint32_t>(progress.retired));
    add_late(message, *network, progress);
    message.set_done(outcome == keymgr::Outcome::kAborted ||
                     (outcome == keymgr::Outcome::kDone && !is_catching_up(message, now - watch.began, settings)));
    return message;
}

void RotationWatches::add_late(v1::RotationProgress& message, const NetworkState& network,
                               const keymgr::Progress& progress) const {
    for (const auto& record : network.members.record.members()) {
        const base::MembershipId member{record.membership_id()};
        const bool straggles = contains(progress.stragglers, member);
        if (!straggles && !contains(progress.waiting_for, member)) {
            continue;
        }
        const auto node = id_of<base::NodeId>(record.node_id());
        auto& late = *message.add_late();
        late.set_node(ledger_->cluster().node_name(node));
        late.set_reachable(hub_->reachable(node));
        late.set_since_unix_ms(unix_ms(hub_->last_seen(node)));
        late.set_waited_for(!straggles);
        if (straggles) {
            message.add_stragglers(late.node());
        }
    }
}

}  // namespace warren::manager
