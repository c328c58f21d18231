#include "manager/session_hub.h"

#include <algorithm>
#include <utility>

#include "base/fault_point.h"
#include "manager/network_mtu.h"

namespace warren::manager {

namespace {

constexpr int kLooksPerSilence = 15;

}  // namespace

std::string located(const SessionSink& sink) {
    const auto peer = sink.peer();
    return peer.empty() ? "" : " at " + peer;
}

SessionId SessionHub::open(const base::NodeId& node, std::shared_ptr<SessionSink> sink, base::Time now) {
    if (const auto older = sessions_.find(node); older != sessions_.end()) {
        older->second.sink->close(
            base::Error(base::Code::kAborted, "a newer session of this node has replaced this one"));
        end(node, now);
    }
    const SessionId id{next_session_++};
    sessions_.insert_or_assign(
        node, Session{.id = id, .sink = std::move(sink), .opened = now, .heard = now, .started = false});
    nodes_.insert_or_assign(id, node);
    return id;
}

bool SessionHub::start(SessionId session, std::uint32_t heartbeat_ms, base::Time now) {
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
    welcome.set_now_unix_ms(unix_ms(now));
    welcome.set_plain_port(cluster_->settings().plain_port());
    for (const auto& [id, network] : cluster_->networks()) {
        if (network.member(*node) != nullptr) {
            welcome.add_networks(raw(id));
        }
    }
    state.sink->send(std::move(message));
    for (const auto& [id, network] : cluster_->networks()) {
        if (network.member(*node) != nullptr) {
            send_snapshot(network, *node, state, now);
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

void SessionHub::refuse(SessionId session, const base::Error& why, base::Time now) {
    if (const auto node = node_of(session)) {
        sessions_.at(*node).sink->close(why);
        end(*node, now);
    }
}

void SessionHub::close_silent(base::Duration silence, base::Time now) {
    const auto since = now < looked_at_ ? silence : now - looked_at_;  // the clock may go back
    if (since < silence / kLooksPerSilence && cluster_->removed().size() == nodes_gone_) {
        return;
    }
    looked_at_ = now;
    nodes_gone_ = cluster_->removed().size();
    const auto oldest = now - silence;
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

void SessionHub::clock_set(base::Duration by) {
    for (auto& [node, session] : sessions_) {
        session.opened += by;
        session.heard += by;
    }
    for (auto& [node, at] : last_seen_) {
        at += by;
    }
    started_at_ += by;
    looked_at_ += by;
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

std::string SessionHub::caller(const base::NodeId& node) const {
    const auto found = sessions_.find(node);
    return fmt::format("node {}{}", cluster_->node_name(node),
                       found == sessions_.end() ? "" : located(*found->second.sink));
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

void SessionHub::tell_all(const v1::FromManager& message) {
    for (auto& [node, session] : sessions_) {
        if (session.started) {
            session.sink->send(message);
        }
    }
}

void SessionHub::acknowledge(const base::NodeId& node, const v1::Applied& applied, base::Time now) {
    const auto id = id_of<base::NetworkId>(applied.network_id());
    const auto* network = cluster_->network(id);
    const auto* record = network == nullptr ? nullptr : network->member(node);
    // A revision from the future can only be a lie or a store that went back in time: it would open the barrier.
    if (record == nullptr || record->membership_id() != applied.membership_id() ||
        applied.revision() > network->revision().value) {
        return;
    }
    const auto before = acked(id, *record);
    const base::Revision revision{applied.revision()};
    if (before >= revision) {
        return;
    }
    acks_[id][node] = {.membership = base::MembershipId{applied.membership_id()}, .revision = revision};
    dirty_.insert(id);
    if (!network->record().encrypted()) {
        return;
    }
    base::fault_point(base::FaultPoint::kRotationAcknowledged);
    if (network->index.newest <= before) {
        return;  // nobody has joined since: most of all acknowledgements, of which a rotation brings one per member
    }
    const auto by_since = members(*network, now);
    for (const auto& listener : keymgr::ack_listeners(by_since, member(id, *record, now), before)) {
        if (listener.node != node) {
            untold_acks_[listener.node][id].acks.push_back(
                {.member = base::MembershipId{applied.membership_id()}, .acked = revision});
        }
    }
}

void SessionHub::tell_acks() {
    for (auto& [node, networks] : std::exchange(untold_acks_, {})) {
        for (const auto& [network, acks] : networks) {
            v1::FromManager message;
            write_acks(network, acks, *message.mutable_peer_acks());
            reply(node, std::move(message));
        }
    }
}

void SessionHub::tell(const NetworkEvent& event, base::Time now) {
    dirty_.insert(event.id);
    v1::FromManager gone;
    gone.mutable_gone()->set_network_id(raw(event.id));
    if (event.after == nullptr) {
        acks_.erase(event.id);
        for (const auto& member : event.before->members.members()) {
            reply(id_of<base::NodeId>(member.node_id()), gone);
        }
        return;
    }
    const auto before = event.before.value_or(NetworkBefore{});
    if (event.before && before.members.revision() == event.after->revision().value) {
        return;  // the rotation's own bookkeeping: nothing that a member would see
    }
    auto change = describe_change(before, *event.after, event.endpoints);
    write_narrowest(*cluster_, *event.after, change.delta);
    for (const auto& node : change.left) {
        acks_[event.id].erase(node);
        reply(node, gone);
    }
    const std::set<base::NodeId> joined(change.joined.begin(), change.joined.end());
    for (const auto& record : event.after->members.record.members()) {
        const auto node = id_of<base::NodeId>(record.node_id());
        auto* session = started(node);
        if (session == nullptr) {
            continue;
        }
        if (joined.contains(node)) {
            send_snapshot(*event.after, node, *session, now);
            continue;
        }
        v1::FromManager message;
        *message.mutable_delta() =
            for_member(change.delta, before, *event.after, member(event.id, record, now), secret_of_);
        session->sink->send(std::move(message));
    }
}

void SessionHub::send_snapshot(const NetworkState& network, const base::NodeId& node, Session& session,
                               base::Time now) {
    v1::FromManager message;
    const auto id = id_of<base::NetworkId>(network.record().id());
    *message.mutable_snapshot() =
        make_snapshot(network, member(id, *network.member(node), now), members(network, now), secret_of_);
    write_narrowest(*cluster_, network, *message.mutable_snapshot()->mutable_content());
    session.sink->send(std::move(message));
}

keymgr::Member SessionHub::member(const base::NetworkId& network, const v1::MemberRecord& record,
                                  base::Time now) const {
    const auto node = id_of<base::NodeId>(record.node_id());
    const bool connected = reachable(node);
    return {.node = node,
            .id = base::MembershipId{record.membership_id()},
            .since = base::Revision{record.since()},
            .acked = acked(network, record),
            .connected = connected,
            .last_seen = connected ? now : silent_since(node)};
}

std::vector<keymgr::Member> SessionHub::members(const NetworkState& network, base::Time now) const {
    std::vector<keymgr::Member> members;
    const auto id = id_of<base::NetworkId>(network.record().id());
    for (const auto& record : network.members.record.members()) {
        members.push_back(member(id, record, now));
    }
    std::sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.since < b.since; });
    return members;
}

bool SessionHub::reachable(const base::NodeId& node) const {
    const auto found = sessions_.find(node);
    return found != sessions_.end() && found->second.started;
}

base::Time SessionHub::since(const base::NodeId& node) const {
    const auto session = sessions_.find(node);
    return session == sessions_.end() ? last_seen(node) : session->second.opened;
}

base::Time SessionHub::last_seen(const base::NodeId& node) const {
    if (const auto session = sessions_.find(node); session != sessions_.end()) {
        return session->second.heard;
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
