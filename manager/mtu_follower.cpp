#include "manager/mtu_follower.h"

#include "base/log.h"

namespace warren::manager {

namespace {

constexpr base::Log kLog{"manager"};
// A change that can't be written (disk full) is tried again this much later.
constexpr base::Duration kRetry = std::chrono::seconds(1);

// All of a node that matters here.
std::string underlay_of(const v1::NodeRecord& node) {
    v1::NodeRecord only;
    only.set_data_address(node.data_address());
    only.set_underlay_mtu(node.underlay_mtu());
    *only.mutable_narrow_routes() = node.narrow_routes();
    return only.SerializeAsString();
}

}  // namespace

void MtuFollower::clock_set(base::Duration by) {
    for (auto& [network, pace] : paces_) {
        pace.clock_set(by);
    }
    for (auto& [network, at] : due_) {
        at += by;
    }
}

// Nodes' records change with every endpoint, and seldom in this.
void MtuFollower::mark_changed_nodes() {
    const auto& cluster = ledger_->cluster();
    if (seen_ == cluster.node_changes()) {
        return;
    }
    seen_ = cluster.node_changes();
    std::map<base::NodeId, std::string> underlays;
    for (const auto& [id, node] : cluster.nodes()) {
        underlays.emplace(id, underlay_of(node.record));
    }
    if (underlays == underlays_) {
        return;
    }
    underlays_ = std::move(underlays);
    for (const auto& [id, network] : cluster.networks()) {
        mark(id);
    }
}

std::optional<base::Time> MtuFollower::run(base::Time now) {
    mark_changed_nodes();
    for (const auto& network : take_due(due_, now)) {
        follow(network, now);
    }
    return next_due(due_);
}

void MtuFollower::follow(const base::NetworkId& id, base::Time now) {
    const auto* network = ledger_->cluster().network(id);
    if (network == nullptr) {
        paces_.erase(id);
        return;
    }
    const auto fitting = fitting_mtu(ledger_->cluster(), *network);
    if (!fitting) {
        return;
    }
    const auto pace = paces_.try_emplace(id, patience_).first;
    const auto step = pace->second.step(base::Mtu{network->record().mtu()}, *fitting, now);
    if (step.again) {
        due_[id] = *step.again;
    }
    if (!step.now) {
        return;
    }
    const auto name = network->record().name();
    const auto fitted = ledger_->commit([&](const Cluster& cluster) { return fit_mtu(cluster, id, now); });
    if (fitted) {
        kLog.info("network {}: its MTU becomes {}", name, *fitting);
    } else {
        kLog.warn("network {}: its MTU can't become {}: {}", name, *fitting, fitted.error().message());
        due_[id] = now + kRetry;
    }
}

}  // namespace warren::manager
