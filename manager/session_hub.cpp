#include "manager/session_hub.h"

#include <algorithm>
#include <utility>

namespace warren::manager {

SessionId SessionHub::open(const base::NodeId& node, std::shared_ptr<SessionSink> sink, base::Time now) {
    if (const auto older = sessions_.find(node); older != sessions_.end()) {
        older->second.sink->close(base::Error(base::Code::kAborted, "a newer session of this node has replaced this one"));
        end(node, now);
    }
    const SessionId id{next_session_++};
    sessions_.insert_or_assign(
        node, Session{.id = id, .sink = std::move(sink), .opened = now, .heard = now, .started = false});
    nodes_.insert_or_assign(id, node);
    return id;
}

bool SessionHub::start(SessionId session, std::uint32_t heartbeat_ms) {
    const auto node = node_of(session);
    const auto* record = node ? cluster_->node(*node) : nullptr;
    if (record == nullptr) {
        return false;
    }
    auto& state = sessions_.at(*node);
    state.started = true;
    v1::FromManager message;
    auto& welcome = *message.mutable_welcome();
    welcome.set_node_index(record->record.index());
    welcome.set_heartbeat_ms(heartbeat_ms);
    for (const auto& [id, network] : cluster_->networks()) {
        if (network.member(*node) != nullptr) {
            welcome.add_networks(raw(id));
        }
    }
    state.sink->send(std::move(message));
    for (const auto& [id, network] : cluster_->networks()) {
        if (network.member(*node) != nullptr) {
            send_snapshot(network, *node, state);
        }
    }
    mark_networks_of(*node);
    return true;
}

void SessionHub::close(SessionId session, base::Time now) {
    if (const auto node = node_of(session)) {
        end(*node, now);
    }
}

void SessionHub::close_silent(base::Time oldest, base::Time now) {
    std::vector<base::NodeId> silent;
    for (auto& [node, session] : sessions_) {
        if (session.heard < oldest) {
            session.sink->close(base::Error(base::Code::kUnavailable, "nothing was heard for too long"));
            silent.push_back(node);
        } else if (cluster_->node(node) == nullptr) {
            session.sink->close(base::Error(base::Code::kDenied, "this node was removed from the cluster"));
            silent.push_back(node);
        }
    }
    for (const auto& node : silent) {
        end(node, now);
    }
}

void SessionHub::end(const base::NodeId& node, base::Time now) {
    const auto found = sessions_.find(node);
    last_seen_.insert_or_assign(node, now);
    nodes_.erase(found->second.id);
    sessions_.erase(found);
    mark_networks_of(node);
}

void SessionHub::mark_networks_of(const base::NodeId& node) {
    for (const auto& [id, network] : cluster_->networks()) {
        if (network.member(node) != nullptr) {
            dirty_.insert(id);
        }
    }
}

std::optional<base::NodeId> SessionHub::node_of(SessionId session) const {
    const auto found = nodes_.find(session);
    return found == nodes_.end() ? std::nullopt : std::optional(found->second);
}

void SessionHub::heard(SessionId session, base::Time now) {
    if (const auto node = node_of(session)) {
        sessions_.at(*node).heard = now;
    }
}

SessionHub::Session* SessionHub::started(const base::NodeId& node) {
    const auto found = sessions_.find(node);
    return found == sessions_.end() || !found->second.started ? nullptr : &found->second;
}

void SessionHub::reply(const base::NodeId& node, v1::FromManager message) {
    if (auto* session = started(node)) {
        session->sink->send(std::move(message));
    }
}

bool SessionHub::acknowledge(const base::NodeId& node, const v1::Applied& applied) {
    const auto id = id_of<base::NetworkId>(applied.network_id());
    const auto* network = cluster_->network(id);
    const auto* member = network == nullptr ? nullptr : network->member(node);
    // A revision from the future can only be a lie or a store that went back in time: it would open the barrier.
    if (member == nullptr || member->membership_id() != applied.membership_id() ||
        applied.revision() > network->revision().value) {
        return false;
    }
    auto& ack = acks_[id][node];
    const base::MembershipId membership{applied.membership_id()};
    const base::Revision revision{applied.revision()};
    if (ack.membership == membership && ack.revision >= revision) {
        return false;
    }
    ack = {.membership = membership, .revision = revision};
    dirty_.insert(id);
    return true;
}

void SessionHub::tell(const NetworkEvent& event) {
    if (event.after == nullptr) {
        acks_.erase(event.id);
        told_.erase(event.id);
    }
    dirty_.insert(event.id);
    v1::FromManager gone;
    gone.mutable_gone()->set_network_id(raw(event.id));
    if (event.after == nullptr) {
        for (const auto& member : event.before->members.members()) {
            reply(id_of<base::NodeId>(member.node_id()), gone);
        }
        return;
    }
    auto change = describe_change(event.before.value_or(NetworkBefore{}), *event.after, event.endpoints, secret_of_);
    for (const auto& node : change.left) {
        acks_[event.id].erase(node);
        reply(node, gone);
    }
    const std::set<base::NodeId> joined(change.joined.begin(), change.joined.end());
    *change.delta.mutable_acks() = acks_of(*event.after);
    told_.insert_or_assign(event.id, change.delta.acks());
    for (const auto& member : event.after->members.record.members()) {
        const auto node = id_of<base::NodeId>(member.node_id());
        auto* session = started(node);
        if (session == nullptr) {
            continue;
        }
        if (joined.contains(node)) {
            send_snapshot(*event.after, node, *session);
            continue;
        }
        v1::FromManager message;
        *message.mutable_delta() = for_member(change.delta, *event.after, node);
        session->sink->send(std::move(message));
    }
    wipe_secrets(change.delta);
}

void SessionHub::send_snapshot(const NetworkState& network, const base::NodeId& node, Session& session) {
    v1::FromManager message;
    auto& snapshot = *message.mutable_snapshot();
    snapshot = make_snapshot(network, secret_of_);
    *snapshot.mutable_content() = for_member(std::move(*snapshot.mutable_content()), network, node);
    *snapshot.mutable_content()->mutable_acks() = acks_of(network);
    session.sink->send(std::move(message));
}

void SessionHub::tell_acks(const base::NetworkId& network) {
    const auto* state = cluster_->network(network);
    if (state == nullptr || !state->record().encrypted()) {
        return;
    }
    auto acks = acks_of(*state);
    auto& told = told_[network];
    if (acks.SerializeAsString() == told.SerializeAsString()) {
        return;
    }
    told = acks;
    v1::FromManager message;
    *message.mutable_peer_acks() = std::move(acks);
    for (const auto& member : state->members.record.members()) {
        reply(id_of<base::NodeId>(member.node_id()), message);
    }
}

bool SessionHub::reachable(const base::NodeId& node) const {
    const auto found = sessions_.find(node);
    return found != sessions_.end() && found->second.started;
}

base::Time SessionHub::last_seen(const base::NodeId& node) const {
    if (const auto session = sessions_.find(node); session != sessions_.end()) {
        return session->second.opened;
    }
    const auto found = last_seen_.find(node);
    return found == last_seen_.end() ? base::Time{} : found->second;
}

base::Revision SessionHub::acked(const base::NetworkId& network, const v1::MemberRecord& member) const {
    const auto of_network = acks_.find(network);
    if (of_network == acks_.end()) {
        return {};
    }
    const auto found = of_network->second.find(id_of<base::NodeId>(member.node_id()));
    const bool current =
        found != of_network->second.end() && found->second.membership == base::MembershipId{member.membership_id()};
    return current ? found->second.revision : base::Revision{};
}

}  // namespace warren::manager
