#include "manager/removals.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "manager/key_record.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// keymgr waits a minute for a silent member to install, and a minute for it to change over. By then the others have
// deleted everything.
constexpr base::Duration kPatience = std::chrono::seconds(150);

}  // namespace

Removals::Removals(Ledger& ledger, SessionHub& hub, Rotations& rotations)
    : ledger_(&ledger), hub_(&hub), rotations_(&rotations) {
    for (const auto& [id, node] : ledger_->cluster().removed()) {
        if (!node.record.to_clear().empty()) {
            to_clear_.insert(id);
        }
    }
}

base::Status Removals::remove(const NodeRemoval& removal, base::Time now) {
    const auto name = ledger_->cluster().node_name(removal.node);
    WARREN_TRY(ledger_->commit([&](const Cluster& state) { return remove_node(state, removal, now); }));
    kLog.warn("node {} ({}) {}: its certificate is refused from now on", name, removal.node,
              removal.by_itself ? "left the cluster" : "was removed");
    to_clear_.insert(removal.node);
    go_on(now);
    return {};
}

base::Status Removals::clear(const base::NodeId& node, base::Time now) {
    const auto settings = [this](const NetworkState& network) { return rotations_->settings(network); };
    while (!ledger_->cluster().removed(node)->record.to_clear().empty()) {
        WARREN_TRY(ledger_->commit([&](const Cluster& state) -> base::Result<store::Transaction> {
            return clear_removed_node(state, node, settings, now);
        }));
    }
    for (const auto& knew : ledger_->cluster().removed(node)->record.knew()) {
        rotations_->mark(id_of<base::NetworkId>(knew.network_id()));
    }
    return {};
}

void Removals::go_on(base::Time now) {
    for (const auto& node : std::set(to_clear_)) {
        if (auto cleared = clear(node, now); !cleared) {
            kLog.error("node {} is removed, but its networks are not cleared of it yet: {}",
                       ledger_->cluster().node_name(node), cleared.error().message());
        } else {
            to_clear_.erase(node);
        }
    }
}

void Removals::report(base::Time now) {
    watches_.report(
        now, [&](const base::NodeId& node, base::Time began) { return std::optional(progress(node, began, now)); });
}

v1::NodeRemoveProgress Removals::progress(const base::NodeId& node, base::Time began, base::Time now) const {
    const auto& record = ledger_->cluster().removed(node)->record;
    v1::NodeRemoveProgress message;
    message.set_node(record.name());
    message.set_node_id(node.text());
    bool settled = record.to_clear().empty();
    for (const auto& knew : record.knew()) {
        settled = add_purge(knew, now, message) && settled;
    }
    message.set_done(settled || now - began >= kPatience);
    return message;
}

bool Removals::add_purge(const v1::KnownKeys& knew, base::Time now, v1::NodeRemoveProgress& progress) const {
    const auto* network = ledger_->cluster().network(id_of<base::NetworkId>(knew.network_id()));
    if (network == nullptr) {
        return true;  // gone, and its keys with it
    }
    const base::Epoch target{knew.target()};
    const auto keys = read_keys(network->keys.record);
    const auto members = hub_->members(*network, now);
    const auto settings = rotations_->settings(*network);
    const auto unconfirmed = keymgr::unconfirmed(keys, target, members);
    auto& purge = *progress.add_networks();
    purge.set_network(network->record().name());
    purge.set_epoch(target.value);
    purge.set_members(static_cast<std::uint32_t>(members.size()));
    purge.set_confirmed(static_cast<std::uint32_t>(members.size() - unconfirmed.size()));
    bool waits = false;
    for (const auto& member : members) {
        if (std::find(unconfirmed.begin(), unconfirmed.end(), member.id) != unconfirmed.end()) {
            purge.add_unconfirmed(ledger_->cluster().node_name(member.node));
            waits = waits || keymgr::is_present(member, settings, now);
        }
    }
    return !waits;
}

}  // namespace warren::manager
