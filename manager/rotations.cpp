#include "manager/rotations.h"

#include <algorithm>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/random.h"
#include "manager/changes.h"
#include "manager/key_record.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// A decision that can't be written (disk full) is tried again this much later.
constexpr base::Duration kRetry = std::chrono::seconds(1);

void pass_fault_points(const keymgr::Decision& decision) {
    for (const auto& event : decision.events) {
        if (event.kind == keymgr::EventKind::kMade) {
            base::fault_point(base::FaultPoint::kRotationMade);
        } else if (event.kind == keymgr::EventKind::kActivated) {
            base::fault_point(base::FaultPoint::kRotationActivated);
        } else if (event.kind == keymgr::EventKind::kRetired) {
            base::fault_point(base::FaultPoint::kRotationRetired);
        }
    }
}

}  // namespace

keymgr::Settings Rotations::settings(const NetworkState& network) const {
    const auto& cluster = ledger_->cluster().settings();
    keymgr::Settings settings;
    settings.parameters = {.cipher = static_cast<keymgr::Cipher>(network.record().cipher()),
                           .replay_window = network.record().replay_window()};
    settings.grace = base::Duration(cluster.rotation_grace_ms());
    settings.straggler_limit = base::Duration(cluster.straggler_limit_ms());
    return settings;
}

base::Result<v1::KeyStateRecord> Rotations::first_keys(const base::NetworkId& network,
                                                       const keymgr::EpochParameters& parameters,
                                                       base::Time now) const {
    keymgr::Settings settings;
    settings.parameters = parameters;
    const auto state = keymgr::first_keys(settings, now, base::Revision{1});
    auto record = write_keys(state, {});
    WARREN_TRY_ASSIGN(auto sealed, vault_->seal_epoch(network, state.active, keymgr::random_epoch_secret()));
    find_epoch(record, state.active)->set_sealed_secret(std::move(sealed));
    return record;
}

base::Result<base::Epoch> Rotations::request(const base::NetworkId& id, const RotationRequest& request,
                                             base::Time now) {
    base::Epoch target;
    WARREN_TRY(ledger_->commit([&](const Cluster& cluster) -> base::Result<store::Transaction> {
        const auto* network = cluster.network(id);
        if (network == nullptr) {
            return base::fail(base::Code::kNotFound, "network {}: not found", id);
        }
        if (!network->record().encrypted()) {
            return base::fail(base::Code::kInvalid, "network '{}' is not encrypted: it has no keys to rotate",
                              network->record().name());
        }
        const auto before = read_keys(network->keys.record);
        const auto asked = keymgr::request(before, request.reason, settings(*network), now, request.about);
        target = asked.target;
        store::Transaction change;
        if (asked.state != before) {
            change.compares.emplace_back(store::ModifiedAt{key::keys(id), network->keys.revision});
            change.puts.push_back(
                {.key = key::keys(id), .value = write_keys(asked.state, network->keys.record).SerializeAsString()});
            tell_request(cluster, change, id, request, asked.target, now);
        }
        return change;
    }));
    base::fault_point(base::FaultPoint::kRotationAsked);
    mark(id);
    return target;
}

RotationWatchId Rotations::watch(const base::NetworkId& network, base::Epoch target, Report report, base::Time now) {
    const RotationWatchId id{next_watch_++};
    watches_.emplace(
        id, Watch{.network = network, .target = target, .began = now, .report = std::move(report), .last = {}});
    mark(network);
    return id;
}

std::optional<base::Time> Rotations::run(base::Time now) {
    for (const auto& network : hub_->take_dirty()) {
        mark(network);
    }
    // A step's own transaction marks its network again: go on until all is quiet.
    for (bool worked = true; worked;) {
        worked = false;
        std::vector<base::NetworkId> ready;
        for (const auto& [network, at] : due_) {
            if (at <= now) {
                ready.push_back(network);
            }
        }
        for (const auto& network : ready) {
            due_.erase(network);
            step(network, now);
            worked = true;
        }
        for (const auto& network : hub_->take_dirty()) {
            mark(network);
        }
    }
    report_progress(now);
    const auto next =
        std::min_element(due_.begin(), due_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return next == due_.end() ? std::nullopt : std::optional(next->second);
}

void Rotations::step(const base::NetworkId& id, base::Time now) {
    const auto* network = ledger_->cluster().network(id);
    if (network == nullptr || !network->record().encrypted()) {
        return;
    }
    const auto dice = base::random_u64();
    keymgr::Decision decision;
    const auto written = ledger_->commit([&](const Cluster& cluster) -> base::Result<store::Transaction> {
        const auto* now_is = cluster.network(id);
        if (now_is == nullptr) {
            decision = {};
            return store::Transaction{};
        }
        decision = keymgr::step(read_keys(now_is->keys.record), hub_->members(*now_is, now), settings(*now_is), now,
                                base::Revision{now_is->revision().value + 1}, dice);
        return decision.state ? write(*now_is, decision, now) : store::Transaction{};
    });
    if (!written) {
        kLog.error("network {}: the rotation can't go on: {}", network->record().name(), written.error().message());
        due_[id] = now + kRetry;
        return;
    }
    pass_fault_points(decision);
    network = ledger_->cluster().network(id);
    if (network == nullptr) {
        return;
    }
    if (decision.state) {
        mark(id);
    } else if (decision.wakeup) {
        due_[id] = std::max(*decision.wakeup, now + base::Duration(1));
    }
}

base::Result<store::Transaction> Rotations::write(const NetworkState& network, const keymgr::Decision& decision,
                                                  base::Time now) const {
    const auto id = id_of<base::NetworkId>(network.record().id());
    auto record = write_keys(*decision.state, network.keys.record);
    if (decision.make) {
        WARREN_TRY_ASSIGN(auto sealed, vault_->seal_epoch(id, *decision.make, keymgr::random_epoch_secret()));
        find_epoch(record, *decision.make)->set_sealed_secret(std::move(sealed));
    }
    for (const auto epoch : decision.forget) {
        if (auto* stored = find_epoch(record, epoch)) {
            stored->clear_sealed_secret();
        }
    }
    store::Transaction change;
    if (decision.announce) {
        WARREN_TRY_ASSIGN(change, save_keys(network, record));
    } else {
        change.compares.emplace_back(store::ModifiedAt{key::keys(id), network.keys.revision});
        change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
        change.puts.push_back({.key = key::keys(id), .value = record.SerializeAsString()});
    }
    tell_step(ledger_->cluster(), change, network, decision, now);
    return change;
}

void Rotations::report_progress(base::Time now) {
    std::vector<RotationWatchId> ended;
    for (auto& [id, watch] : watches_) {
        const auto* network = ledger_->cluster().network(watch.network);
        v1::RotationProgress message;
        if (network == nullptr) {
            message.set_phase("removed");
            message.set_done(true);
        } else {
            const auto keys = read_keys(network->keys.record);
            const auto members = hub_->members(*network, now);
            const auto progress = keymgr::progress(keys, members, settings(*network), now);
            message.set_network(network->record().name());
            message.set_epoch(watch.target.value);
            message.set_waiting(progress.epoch < watch.target);
            message.set_phase(std::string(keymgr::name(progress.phase)));
            message.set_members(static_cast<std::uint32_t>(progress.members));
            message.set_installed(static_cast<std::uint32_t>(progress.installed));
            message.set_active(static_cast<std::uint32_t>(progress.active));
            message.set_retired(static_cast<std::uint32_t>(progress.retired));
            for (const auto& record : network->members.record.members()) {
                const base::MembershipId member{record.membership_id()};
                if (std::find(progress.stragglers.begin(), progress.stragglers.end(), member) !=
                    progress.stragglers.end()) {
                    message.add_stragglers(ledger_->cluster().node_name(id_of<base::NodeId>(record.node_id())));
                }
            }
            const auto outcome = keymgr::outcome(keys, watch.target, members, settings(*network), now);
            message.set_done(outcome != keymgr::Outcome::kRunning);
            if (outcome == keymgr::Outcome::kAborted) {
                message.set_phase("aborted");
            }
        }
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

}  // namespace warren::manager
