#include "manager/rotations.h"

#include <algorithm>
#include <utility>

#include "base/fault_point.h"
#include "base/log.h"
#include "base/random.h"
#include "manager/changes.h"
#include "manager/cipher_choice.h"
#include "manager/key_record.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// A decision that can't be written (disk full) is tried again this much later.
constexpr base::Duration kRetry = std::chrono::seconds(1);
// Between two changes of one network's cipher for what nodes say of themselves: a node that says now this and now that
// must not keep networks rotating.
constexpr base::Duration kAdaptAgain = std::chrono::minutes(1);
constexpr base::Duration kAdaptSlowest = std::chrono::hours(4);  // where it goes on, twice as long each time
// Who follows a rotation hears of each step, and of what time alone changes so often.
constexpr base::Duration kReportInterval = std::chrono::seconds(1);
// So many members make the decisions on what their sessions bring a millisecond apart.
constexpr int kMembersPerMillisecond = 50;

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
    return key_settings(ledger_->cluster().settings(), encryption_of(network.record()));
}

base::Result<v1::KeyStateRecord> Rotations::first_keys(const base::NetworkId& network, const NetworkOptions& options,
                                                       base::Time now) const {
    const auto settings = key_settings(ledger_->cluster().settings(), options);
    const auto state = keymgr::first_keys(settings, now, base::Revision{1});
    auto record = write_keys(state, {});
    WARREN_TRY_ASSIGN(auto sealed, vault_->seal_epoch(network, state.active, keymgr::random_epoch_secret()));
    find_epoch(record, state.active)->set_sealed_secret(std::move(sealed));
    return record;
}

base::Result<const NetworkState*> Rotations::find_encrypted(const Cluster& cluster, const base::NetworkId& id) {
    const auto* network = cluster.network(id);
    if (network == nullptr) {
        return base::fail(base::Code::kNotFound, "network {}: not found", id);
    }
    if (!network->record().encrypted()) {
        return base::fail(base::Code::kInvalid, "network '{}' is not encrypted: it has no keys to rotate",
                          network->record().name());
    }
    return network;
}

base::Result<base::Epoch> Rotations::request(const base::NetworkId& id, const RotationRequest& request,
                                             base::Time now) {
    base::Epoch target;
    WARREN_TRY(ledger_->commit([&](const Cluster& cluster) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(const auto* network, find_encrypted(cluster, id));
        const auto before = read_keys(network->keys.record);
        const auto asked = keymgr::request(before, request.reason, settings(*network), now, request.about);
        target = asked.target;
        auto history = network->history;
        if (asked.state != before || asked.target == before.next_epoch) {
            const bool by_node = request.node != base::NodeId{};
            note_request(history, asked.target, request.reason, by_node ? cluster.node_name(request.node) : request.by,
                         now);
        }
        WARREN_TRY_ASSIGN(auto change, save_request(*network, asked.state, history));
        if (asked.state != before) {
            tell_request(cluster, change, id, request, asked.target, now);
        }
        return change;
    }));
    base::fault_point(base::FaultPoint::kRotationAsked);
    mark(id);
    return target;
}

base::Result<Rotations::Aborted> Rotations::abort(const base::NetworkId& id, const std::string& by, base::Time now) {
    keymgr::Decision decision;
    WARREN_TRY(ledger_->commit([&](const Cluster& cluster) -> base::Result<store::Transaction> {
        WARREN_TRY_ASSIGN(const auto* network, find_encrypted(cluster, id));
        auto aborted = keymgr::abort(read_keys(network->keys.record), settings(*network), now,
                                     base::Revision{network->revision().value + 1});
        if (!aborted) {
            return base::fail_in(fmt::format("network '{}'", network->record().name()), std::move(aborted));
        }
        decision = *std::move(aborted);
        return write(*network, decision, now, by);
    }));
    watches_.report_aborted(id, now);
    mark(id);
    return Aborted{.epoch = decision.forget.empty() ? std::nullopt : std::optional(decision.forget.front()),
                   .due = decision.state->pending};
}

RotationWatchId Rotations::watch(const base::NetworkId& network, base::Epoch target, Report report, base::Time now) {
    mark(network);
    return watches_.add(network, target, std::move(report), now);
}

void Rotations::forget(const base::NetworkId& network) {
    traffic_.forget(network);
    stepped_.erase(network);
    adapted_.erase(network);
}

void Rotations::resume(base::Time now) {
    rewrite([now](keymgr::KeyState state) { return keymgr::resumed(std::move(state), now); });
}

void Rotations::clock_set(base::Duration by) {
    for (auto& [network, at] : stepped_) {
        at += by;
    }
    watches_.clock_set(by);
    rewrite([by](keymgr::KeyState state) { return keymgr::clock_set(std::move(state), by); });
}

void Rotations::rewrite(const std::function<keymgr::KeyState(keymgr::KeyState)>& change) {
    std::vector<base::NetworkId> encrypted;
    for (const auto& [id, network] : ledger_->cluster().networks()) {
        if (network.record().encrypted()) {
            encrypted.push_back(id);
        }
    }
    for (const auto& id : encrypted) {
        const auto written = ledger_->commit([&](const Cluster& cluster) {
            store::Transaction transaction;
            if (const auto* network = cluster.network(id)) {
                const auto before = read_keys(network->keys.record);
                if (const auto after = change(before); after != before) {
                    transaction.compares.emplace_back(store::ModifiedAt{key::keys(id), network->keys.revision});
                    transaction.puts.push_back(
                        {.key = key::keys(id), .value = write_keys(after, network->keys.record).SerializeAsString()});
                }
            }
            return base::Result<store::Transaction>(std::move(transaction));
        });
        if (!written) {
            kLog.error("network {}: how long its rotation has waited can't be set right: {}", id,
                       written.error().message());
        }
        mark(id);
    }
}

void Rotations::mark_dirty(base::Time now) {
    for (const auto& id : hub_->take_dirty()) {
        const auto* network = ledger_->cluster().network(id);
        const auto stepped = stepped_.find(id);
        if (network == nullptr || stepped == stepped_.end() || now < stepped->second) {  // the clock may go back
            mark(id);
            continue;
        }
        const auto at =
            stepped->second + base::Duration(network->members.record.members_size() / kMembersPerMillisecond);
        const auto due = due_.try_emplace(id, at).first;
        due->second = std::min(due->second, at);
    }
}

void Rotations::adapt_ciphers(base::Time now) {
    const auto changes = ledger_->cluster().node_changes();
    if (changes == adapted_to_ && now < adapt_again_) {
        return;
    }
    adapted_to_ = changes;
    adapt_again_ = base::Time::max();
    const auto choice = choose_cipher(ledger_->cluster());
    std::vector<base::NetworkId> others;
    for (const auto& [id, network] : ledger_->cluster().networks()) {
        if (network.record().cipher_auto() && network.record().cipher() != static_cast<std::uint32_t>(choice.cipher)) {
            others.push_back(id);
        }
    }
    for (const auto& id : others) {
        auto& before = adapted_[id];
        if (before.at <= now && now - before.at < before.wait) {
            adapt_again_ = std::min(adapt_again_, before.at + before.wait);
            continue;
        }
        const bool soon = before.at <= now && now - before.at < 2 * before.wait;
        before = {.at = now, .wait = soon ? std::min(2 * before.wait, kAdaptSlowest) : kAdaptAgain};
        const auto adapted = ledger_->commit([&](const Cluster& cluster) { return adapt_cipher(cluster, id, now); });
        if (adapted) {
            kLog.info("network {}: its cipher becomes {}: {}", id, keymgr::name(choice.cipher), choice.why);
            mark(id);
        } else {
            adapt_again_ = std::min(adapt_again_, now + kAdaptAgain);
            kLog.warn("network {}: its cipher can't become {}: {}", id, keymgr::name(choice.cipher),
                      adapted.error().message());
        }
    }
}

std::optional<base::Time> Rotations::run(base::Time now) {
    adapt_ciphers(now);
    mark_dirty(now);
    // A step's own transaction marks its network again: go on until all is quiet.
    bool stepped = false;
    for (bool worked = true; worked;) {
        worked = false;
        for (const auto& network : take_due(due_, now)) {
            step(network, now);
            worked = true;
        }
        mark_dirty(now);
        stepped = stepped || worked;
    }
    if (stepped || now < reported_ || now - reported_ >= kReportInterval) {
        reported_ = now;
        watches_.report(now);
    }
    return next_due(due_);
}

void Rotations::step(const base::NetworkId& id, base::Time now) {
    const auto* network = ledger_->cluster().network(id);
    if (network == nullptr || !network->record().encrypted()) {
        return;
    }
    stepped_[id] = now;
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
                                                  base::Time now, const std::string& by) const {
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
        change.compares.emplace_back(store::ModifiedAt{key::members(id), network.members.revision});
        change.puts.push_back({.key = key::keys(id), .value = record.SerializeAsString()});
    }
    change.compares.emplace_back(store::ModifiedAt{key::keys(id), network.keys.revision});
    write_history(network, decision, now, by, change);
    tell_step(ledger_->cluster(), change, network, decision, now);
    return change;
}

void Rotations::write_history(const NetworkState& network, const keymgr::Decision& decision, base::Time now,
                              const std::string& by, store::Transaction& change) const {
    const auto id = id_of<base::NetworkId>(network.record().id());
    const auto name_of = [&](base::MembershipId member) {
        for (const auto& record : network.members.record.members()) {
            if (record.membership_id() == member.value) {
                return ledger_->cluster().node_name(id_of<base::NodeId>(record.node_id()));
            }
        }
        return std::string("a former member");
    };
    auto history = network.history;
    note_step(history, *decision.state,
              {.members = static_cast<std::size_t>(network.members.record.members_size()),
               .events = decision.events,
               .name_of = name_of,
               .by = by},
              now);
    note_traffic(history, sent_in(id));
    auto written = history.SerializeAsString();
    if (written != network.history.SerializeAsString()) {
        change.puts.push_back({.key = key::history(id), .value = std::move(written)});
    }
}

SentIn Rotations::sent_in(const base::NetworkId& network) const {
    return [this, network](base::Epoch epoch) { return traffic_.sum(network, epoch); };
}

v1::KeyHistoryReply Rotations::history(const base::NetworkId& id, const NetworkState& network) const {
    auto history = network.history;
    note_traffic(history, sent_in(id));
    auto reply = present_history(std::move(history));
    reply.set_network(network.record().name());
    return reply;
}

}  // namespace warren::manager
