#include "agent/fabric.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "netlink/requester.h"
#include "overlay/underlay.h"
#include "xfrm/checks.h"

namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"agent"};

// The ports whose barrier a former daemon has left standing. They keep their place until their network is gone for
// sure.
overlay::ProtectedPorts ports_of(const std::vector<xfrm::Policy>& policies) {
    overlay::ProtectedPorts ports;
    for (const auto& policy : policies) {
        if (const auto network = xfrm::owner(policy)) {
            ports.insert({.reqid = xfrm::make_reqid(*network).value,
                          .port = base::UdpPort{policy.selector.destination_port.port}});
        }
    }
    return ports;
}

std::set<xfrm::EncapPort> encap_ports_here(const NetworkView& view, const base::IpAddress& vtep) {
    std::set<xfrm::EncapPort> ports;
    for (const auto port : encap_ports(view)) {
        ports.insert({.address = vtep, .port = port});
    }
    return ports;
}

base::Status first_failure(const xfrm::Outcome& outcome) {
    if (!outcome.failed.empty()) {
        return tl::unexpected<base::Error>(outcome.failed.front());
    }
    return {};
}

}  // namespace

std::vector<std::string> all_problems(const Applied& applied) {
    auto problems = applied.problems;
    problems.insert(problems.end(), applied.incoming_problems.begin(), applied.incoming_problems.end());
    return problems;
}

base::Result<std::unique_ptr<Fabric>> Fabric::open(const std::filesystem::path& run_dir,
                                                   std::unique_ptr<fdstore::FdStore> store) {
    WARREN_TRY_ASSIGN(auto port, xfrm::make_netlink_port());
    WARREN_TRY_ASSIGN(auto engine, xfrm::Engine::open({.run_dir = run_dir}, *port));
    WARREN_TRY_ASSIGN(auto builder, overlay::Builder::open(run_dir));
    return std::unique_ptr<Fabric>(new Fabric(std::move(port), std::move(engine), std::move(builder),
                                              overlay::Firewall::open(), std::move(store)));
}

Fabric::Fabric(std::unique_ptr<xfrm::KernelPort> port, std::unique_ptr<xfrm::Engine> engine, overlay::Builder builder,
               base::Result<overlay::Firewall> firewall, std::unique_ptr<fdstore::FdStore> store)
    : port_(std::move(port)),
      engine_(std::move(engine)),
      builder_(std::move(builder)),
      encap_sockets_(std::move(store)) {
    if (firewall) {
        firewall_.emplace(*std::move(firewall));
    } else {
        firewall_problem_ = firewall.error().message();
    }
    ports_ = ports_of(engine_->policies());
}

base::Status Fabric::check_encryption(const xfrm::Network& keys) {
    WARREN_TRY(check_firewall());
    WARREN_TRY(xfrm::check_vtep(keys.self.vtep));
    WARREN_TRY(xfrm::check_unprivileged_ports());
    WARREN_TRY_ASSIGN(const auto underlay, overlay::find_underlay("data address", keys.self.vtep));
    WARREN_TRY(xfrm::check_device(underlay.ifname));
    return xfrm::check_foreign_policies(keys, engine_->policies());
}

base::Status Fabric::raise_barriers(const NetworkView& view, const xfrm::Network& keys, Applied& applied) {
    if (!indexes_.contains(view.id)) {
        WARREN_TRY(check_encryption(keys));
    }
    ports_.insert(protected_port(view));
    indexes_.insert_or_assign(view.id, view.index);
    // Each whatever becomes of the other.
    auto table = firewall_->apply(ports_);
    const auto outcome = engine_->apply_policies(keys);
    applied.policies = outcome.added + outcome.updated + outcome.deleted;
    WARREN_TRY(std::move(table));
    return first_failure(outcome);
}

base::Status Fabric::lower_barriers(base::NetworkIndex index) {
    WARREN_TRY(first_failure(engine_->remove_policies(index)));
    const auto reqid = xfrm::make_reqid(index).value;
    std::erase_if(ports_, [&](const auto& port) { return port.reqid == reqid; });
    return firewall_ ? firewall_->apply(ports_) : base::Status{};
}

void Fabric::apply_keys(const xfrm::Network& keys, Applied& applied) {
    const auto outcome = engine_->apply_states(keys);
    for (const auto& error : outcome.failed) {
        applied.problems.push_back(error.message());
    }
    for (const auto& lost : outcome.lost) {
        applied.rotations.insert(RotationNeed{.epoch = lost.identity.epoch, .limit = false});
    }
    if (!outcome.lost.empty()) {
        applied.problems.push_back(
            fmt::format("{} SAs were deleted by somebody else; a rotation will replace them", outcome.lost.size()));
    }
    applied.keys_complete = outcome.failed.empty();
}

void Fabric::open_incoming(const NetworkView& view, const Self& self, Applied& applied) {
    const auto needed = needed_encap_ports(view);
    for (const auto& failure : encap_sockets_.want(view.id, encap_ports_here(view, self.vtep))) {
        applied.incoming_open = applied.incoming_open && (failure.open || !needed.contains(failure.port.port));
        applied.incoming_problems.push_back(failure.error.message());
    }
}

Applied Fabric::apply(const NetworkView& view, const Self& self, Links links) {
    Applied applied;
    applied.keys_complete = true;
    if (view.encrypted) {
        const auto sent = engine_->sent_epochs(view.id, [&] {
            const auto own = view.members.find(self.node);
            return own == view.members.end() ? base::MembershipId{} : own->second.membership;
        }());
        const auto keys = wanted_keys(view, self, sent);
        const auto barriers =
            keys ? raise_barriers(view, *keys, applied) : base::Status(tl::unexpected<base::Error>(keys.error()));
        if (!barriers) {
            // Without both barriers no VXLAN device is made, and one that is there stays only behind one of them.
            applied.keys_complete = false;
            applied.retry = true;
            applied.problems.push_back(barriers.error().message());
            if (const auto guarded = guard(view, self); !guarded) {
                applied.problems.push_back(guarded.error().message());
            }
            for (const auto& [id, attachment] : view.attachments) {
                applied.endpoint_errors.insert_or_assign(id, barriers.error());
            }
            return applied;
        }
        open_incoming(view, self, applied);
        apply_keys(*keys, applied);
    }
    if (links == Links::kHeldBack) {
        // The revision is acknowledged all the same: a rotation need not wait for what carries nothing.
        const auto stopped = builder_.stop(view.id);
        applied.retry = !stopped;
        const base::Error why(base::Code::kUnavailable,
                              stopped ? "no frame goes in or out: another program takes both barriers away, again and "
                                        "again; this ends when it stops"
                                      : stopped.error().message());
        applied.problems.push_back(why.message());
        for (const auto& [id, attachment] : view.attachments) {
            applied.endpoint_errors.insert_or_assign(id, why);
        }
        return applied;
    }
    auto built = builder_.apply(wanted_links(view, self));
    applied.links = built.changes - built.of_endpoints;
    for (const auto& error : built.errors) {
        applied.problems.push_back(error.message());
    }
    for (const auto& [id, error] : built.endpoint_errors) {
        applied.problems.push_back(error.message());
    }
    applied.keys_complete = applied.keys_complete && built.errors.empty();
    applied.retry = !applied.problems.empty();
    if (!built.errors.empty()) {
        for (const auto& [id, attachment] : view.attachments) {
            applied.endpoint_errors.insert_or_assign(id, built.errors.front());
        }
    }
    applied.endpoint_errors.merge(built.endpoint_errors);
    applied.ifnames = std::move(built.ifnames);
    return applied;
}

base::Status Fabric::guard(const NetworkView& view, const Self& self) {
    const auto keys = wanted_keys(view, self, {});
    const bool policies = keys && engine_->has_policies(*keys);
    if (!view.encrypted || policies || (firewall_ && firewall_->intact().value_or(false))) {
        return {};
    }
    return builder_.stop(view.id);
}

// SAs go before the VXLAN device: what is decrypted and finds nobody would be answered with an ICMP error that quotes
// it.
base::Status Fabric::remove(const base::NetworkId& network) {
    const auto index = indexes_.find(network);
    if (index != indexes_.end()) {
        WARREN_TRY(first_failure(engine_->remove_states(index->second)));
        encap_sockets_.forget(network);
    }
    WARREN_TRY(builder_.remove(network));
    if (index != indexes_.end()) {
        WARREN_TRY(lower_barriers(index->second));
        indexes_.erase(index);
    }
    return {};
}

base::Status Fabric::remove_unknown(const std::map<base::NetworkId, const NetworkView*>& known,
                                    const base::IpAddress& vtep) {
    std::set<base::NetworkIndex> indexes;
    overlay::ProtectedPorts ports;
    EncapSockets::Needs needs;
    for (const auto& [id, view] : known) {
        if (view->encrypted) {
            indexes.insert(view->index);
            ports.insert(protected_port(*view));
            needs.emplace(id, encap_ports_here(*view, vtep));
        }
    }
    for (const auto index : engine_->present()) {
        if (!indexes.contains(index)) {
            WARREN_TRY(first_failure(engine_->remove_states(index)));
        }
    }
    WARREN_TRY_ASSIGN(const auto found, builder_.found());
    for (const auto& network : found) {
        if (!known.contains(network)) {
            kLog.info("network {}: this node is no member any more, taking down what is left", network);
            WARREN_TRY(remove(network));
        }
    }
    WARREN_TRY(first_failure(engine_->remove_unknown(indexes)));
    encap_sockets_.keep_only(std::move(needs));
    ports_ = std::move(ports);
    return firewall_ ? firewall_->apply(ports_) : base::Status{};
}

Fabric::Changes Fabric::changes_of(base::Result<xfrm::Findings> findings) const {
    Changes changes;
    if (!findings) {
        changes.notes.push_back(findings.error().message());
        changes.unread = true;
        return changes;
    }
    changes.dirty = std::move(findings->states);
    changes.dirty.merge(findings->policies);
    for (const auto& limit : findings->limits) {
        changes.rotations[limit.network].insert(RotationNeed{.epoch = limit.epoch, .limit = true});
    }
    changes.closed = std::move(findings->closed);
    changes.notes = std::move(findings->notes);
    if (!changes.dirty.empty()) {
        changes.by = netlink::find_requester(netlink::Protocol::kXfrm, findings->by).value_or("");
    }
    return changes;
}

Fabric::Changes Fabric::handle_key_events() {
    return changes_of(engine_->handle_events());
}

Fabric::Changes Fabric::sweep() {
    builder_.doubt();
    return changes_of(engine_->resync());
}

std::map<base::NetworkIndex, Fabric::KeyTraffic> Fabric::traffic() {
    std::map<base::NetworkIndex, KeyTraffic> traffic;
    const auto status = engine_->status();
    if (!status) {
        return traffic;
    }
    for (const auto& entry : *status) {
        auto& network = traffic[entry.network];
        ++network.sas;
        if (entry.direction == xfrm::Direction::kOut) {
            network.packets_out += entry.sa.counters.packets;
        } else {
            network.packets_in += entry.sa.counters.packets;
        }
    }
    return traffic;
}

std::optional<overlay::DropCounters> Fabric::drops() {
    return firewall_ ? firewall_->drop_counters().value_or(std::nullopt) : std::nullopt;
}

std::vector<xfrm::SaStatus> Fabric::sas(base::NetworkIndex network) {
    return engine_->status(network).value_or(std::vector<xfrm::SaStatus>());
}

Fabric::KeysOfPeers Fabric::peer_keys() {
    KeysOfPeers keys;
    for (const auto& entry : engine_->status().value_or(std::vector<xfrm::SaStatus>())) {
        auto& network = keys[entry.network];
        if (entry.direction == xfrm::Direction::kOut) {
            ++network[entry.sa.location.destination].out;
        } else if (entry.direction == xfrm::Direction::kIn) {
            auto& peer = network[entry.sa.location.source];
            ++peer.in;
            peer.decrypted += entry.sa.counters.packets;
        }
    }
    return keys;
}

base::Result<std::string> Fabric::firewall_rules() {
    if (!firewall_) {
        return base::fail(base::Code::kPrecondition, "{}", firewall_problem_);
    }
    return firewall_->ruleset();
}

std::optional<netlink::NamespaceIdentity> Fabric::home(const base::NetworkId& network) const {
    const auto home = builder_.home(network);
    return home ? std::optional(home->identity()) : std::nullopt;
}

base::Result<std::vector<dns::Ports>> Fabric::open_name_ports(const NetworkNames& names) const {
    WARREN_TRY_ASSIGN(const auto home, builder_.home(names.id));
    return netlink::run_in(home, [&]() -> base::Result<std::vector<dns::Ports>> {
        std::vector<dns::Ports> all;
        for (const auto& subnet : names.subnets) {
            WARREN_TRY_ASSIGN(auto ports, dns::open_ports(subnet.gateway));
            all.push_back(std::move(ports));
        }
        return all;
    });
}

base::Result<probe::ProbePort> Fabric::open_probe_port(const NetworkView& view, const Self& self) const {
    WARREN_TRY_ASSIGN(const auto home, builder_.home(view.id));
    return probe::ProbePort::open(wanted_links(view, self), home);
}

base::Status Fabric::check_firewall() {
    return firewall_ ? firewall_->check_support() : fail(Code::kPrecondition, "{}", firewall_problem_);
}

}  // namespace warren::agent
