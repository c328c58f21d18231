#include <utility>

#include "agent/agent.h"
#include "agent/backoff.h"
#include "base/log.h"
#include "proto/secrets.h"
#include "proto/wire.h"

// The session with a manager: the part of agent::Agent that opens it, says hello, and takes what comes.
namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
// A manager that comes back is found again within about two seconds: this and gRPC's own wait come one after the other.
constexpr base::Duration kLastReconnect = std::chrono::seconds(1);

using proto::id_of;
using proto::raw;

// The network that a message is about; empty: none.
std::string network_of(const v1::FromManager& message) {
    switch (message.message_case()) {
        case v1::FromManager::kSnapshot:
            return message.snapshot().network().id();
        case v1::FromManager::kDelta:
            return message.delta().network_id();
        case v1::FromManager::kGone:
            return message.gone().network_id();
        case v1::FromManager::kPeerAcks:
            return message.peer_acks().network_id();
        case v1::FromManager::kEndpointReply:
            return message.endpoint_reply().network_id();
        case v1::FromManager::kWelcome:
        case v1::FromManager::kTrust:
        case v1::FromManager::kCertificate:
        case v1::FromManager::kHeartbeat:
        case v1::FromManager::kPeerQuestion:
        case v1::FromManager::kPeerAnswer:
        case v1::FromManager::MESSAGE_NOT_SET:
            break;
    }
    return "";
}

// Each network that this node hears of, and of what kind; never what: there are keys in it.
void log_message(const v1::FromManager& message) {
    if (const auto network = network_of(message); !network.empty()) {
        const auto* kind = v1::FromManager::descriptor()->FindFieldByNumber(message.message_case());
        kLog.debug("from the manager, network {}: {}", id_of<base::NetworkId>(network), kind->name());
    }
}

}  // namespace

void Agent::open_session() {
    const bool first = keeper_.readmit_first(session_failures_, [this](const base::Status& outcome) {
        if (outcome || !keeper_.expired()) {
            start_session();
        } else {
            retry_session(outcome.error());
        }
    });
    if (!first) {
        start_session();
    }
}

void Agent::start_session() {
    if (!channel_ || channel_generation_ != keeper_.generation()) {
        auto channel = make_channel(membership_->identity, membership_->config.managers(0));
        if (!channel) {
            retry_session(channel.error());
            return;
        }
        channel_ = *std::move(channel);
        channel_generation_ = keeper_.generation();
    }
    welcomed_ = false;
    heard_ = base::steady_now();
    session_ = std::make_unique<SessionClient>(
        *loop_, channel_,
        SessionEvents{.message = [this](v1::FromManager message) { handle(std::move(message)); },
                      .ended = [this](const base::Error& why) { close_session(why); }});
    send_hello();
}

void Agent::close_session(const base::Error& why) {
    keeper_.session_ended();
    session_.reset();
    for (auto& [id, pending] : std::exchange(pending_, {})) {
        pending.fail(
            base::Error(base::Code::kUnavailable,
                        fmt::format("the session with manager {} ended: {}; the change may or may not have been "
                                    "made, see warren endpoint ls",
                                    membership_->config.managers(0), why.message())));
    }
    retry_session(why);
}

void Agent::retry_session(const base::Error& why) {
    if (welcomed_ || session_error_ != why.message()) {
        kLog.warn("no session with manager {}: {}", membership_->config.managers(0), why.message());
    }
    session_error_ = why.message();
    session_denied_ = why.code() == base::Code::kDenied;
    if (std::exchange(welcomed_, false)) {
        session_since_ = options_.now();
        session_failures_ = 0;
    }
    // One that is there and refuses us is not asked as often as one that is away.
    const bool away = why.code() == base::Code::kUnavailable;
    session_timer_.expires_after(backoff(session_failures_++, away ? kLastReconnect : kLastRetry));
    session_timer_.async_wait([this](const asio::error_code& error) {
        if (!error && membership_) {
            open_session();
        }
    });
}

void Agent::send_hello() {
    v1::FromAgent message;
    auto& hello = *message.mutable_hello();
    hello.set_boot_id(raw(facts_.boot));
    hello.set_data_address(raw(self().vtep));
    const auto underlay = underlay_message();
    hello.set_underlay_mtu(underlay.mtu());
    *hello.mutable_narrow_routes() = underlay.narrow_routes();
    told_underlay_ = underlay_;
    hello.set_version(options_.version);
    for (const auto cipher : facts_.ciphers) {
        hello.add_ciphers(static_cast<std::uint32_t>(cipher));
    }
    hello.set_esp_problem(facts_.esp_problem);
    hello.set_fast_aes(facts_.fast_aes);
    told_host_networks_ = host_networks(host_resolvers(options_.resolv_conf));
    hello.mutable_host_networks()->Assign(told_host_networks_.begin(), told_host_networks_.end());
    hello.set_node_name(membership_->config.node_name());
    *hello.mutable_certificate() = keeper_.use();
    for (auto& [id, state] : networks_) {
        state.acked = {};
        const auto own = state.view.members.find(self().node);
        if (own != state.view.members.end() && state.applied_revision != base::Revision{}) {
            auto& applied = *hello.add_applied();
            applied.set_network_id(raw(id));
            applied.set_membership_id(own->second.membership.value);
            applied.set_revision(state.applied_revision.value);
        }
    }
    session_->send(std::move(message));
}

void Agent::handle(v1::FromManager message) {
    heard_ = base::steady_now();
    log_message(message);
    switch (message.message_case()) {
        case v1::FromManager::kWelcome:
            welcome(message.welcome());
            break;
        case v1::FromManager::kSnapshot:
            snapshot(message.snapshot());
            proto::wipe_secrets(*message.mutable_snapshot()->mutable_content());
            break;
        case v1::FromManager::kDelta:
            delta(message.delta());
            proto::wipe_secrets(*message.mutable_delta());
            break;
        case v1::FromManager::kGone:
            gone(id_of<base::NetworkId>(message.gone().network_id()));
            break;
        case v1::FromManager::kPeerAcks: {
            const auto id = id_of<base::NetworkId>(message.peer_acks().network_id());
            if (const auto found = networks_.find(id); found != networks_.end()) {
                take_acks(found->second.view, message.peer_acks());
                mark(id);
            }
            break;
        }
        case v1::FromManager::kEndpointReply:
            answer(message.endpoint_reply());
            break;
        case v1::FromManager::kTrust:
            keeper_.take_trust(message.trust());
            break;
        case v1::FromManager::kCertificate:
            keeper_.take_certificate(message.certificate());
            break;
        case v1::FromManager::kPeerQuestion:
            answer_peer(message.peer_question());
            break;
        case v1::FromManager::kPeerAnswer:
            take_answer(message.peer_answer());
            break;
        case v1::FromManager::kHeartbeat:
            compare_clock(message.heartbeat().now_unix_ms());
            break;
        case v1::FromManager::MESSAGE_NOT_SET:
            break;
    }
}

void Agent::compare_clock(std::int64_t managers_unix_ms) {
    if (managers_unix_ms != 0) {
        clock_ahead_ = options_.now() - proto::time_of(managers_unix_ms);
    }
}

void Agent::welcome(const v1::Welcome& welcome) {
    welcomed_ = true;
    compare_clock(welcome.now_unix_ms());
    if (welcome.plain_port() > 0 && welcome.plain_port() <= UINT16_MAX) {
        plain_port_ = base::UdpPort{static_cast<std::uint16_t>(welcome.plain_port())};
    }
    session_since_ = options_.now();
    session_failures_ = 0;
    session_error_.clear();
    session_denied_ = false;
    counters_.repeat();
    heartbeat_ = base::Duration(std::max<std::uint32_t>(welcome.heartbeat_ms(), 100));
    kLog.info("session with manager {} begins", membership_->config.managers(0));
    awaited_.clear();
    for (const auto& network : welcome.networks()) {
        awaited_.insert(id_of<base::NetworkId>(network));
    }
    std::vector<base::NetworkId> left;
    for (const auto& [id, state] : networks_) {
        if (!awaited_.contains(id)) {
            left.push_back(id);
        }
    }
    for (const auto& id : left) {
        gone(id);
    }
    if (awaited_.empty()) {
        snapshots_complete();
    }
    keeper_.session_began();
    tell_underlay();
}

void Agent::snapshot(const v1::NetworkSnapshot& message) {
    auto view = take_snapshot(message);
    if (!view) {
        close_session(
            base::Error(base::Code::kInternal, fmt::format("a snapshot is malformed: {}", view.error().message())));
        return;
    }
    const auto id = view->id;
    networks_[id].view = *std::move(view);
    mark(id);
    if (awaited_.erase(id) > 0 && awaited_.empty()) {
        snapshots_complete();
    }
}

void Agent::delta(const v1::NetworkDelta& message) {
    const auto id = id_of<base::NetworkId>(message.network_id());
    const auto found = networks_.find(id);
    if (found == networks_.end()) {
        close_session(base::Error(base::Code::kInternal, fmt::format("a change of the unknown network {} came", id)));
        return;
    }
    const auto limits = limits_of(found->second.view);
    if (auto taken = take_delta(found->second.view, message); !taken) {
        close_session(taken.error());
        return;
    }
    if (limits_of(found->second.view) != limits) {
        next_sweep_ = base::steady_now();  // the SAs that are there may be beyond the new ones
    }
    mark(id);
}

void Agent::gone(const base::NetworkId& network) {
    const auto found = networks_.find(network);
    if (found != networks_.end()) {
        kLog.info("network {}: this node is no member any more", found->second.view.name);
        networks_.erase(found);
        probes_.forget(network);
        tell_containers();
    }
    forget_names(network);
    dirty_.erase(network);
    if (auto removed = fabric_->remove(network); !removed) {
        kLog.error("network {}: {}; trying again", network, removed.error().message());
        removals_.insert_or_assign(network, removed.error());
    } else {
        removals_.erase(network);
    }
    keep_way_out();
    settle_pending();
}

void Agent::snapshots_complete() {
    std::map<base::NetworkId, const NetworkView*> known;
    for (const auto& [id, state] : networks_) {
        known.emplace(id, &state.view);
    }
    forget_unknown_names();  // its sockets would keep a network's namespace
    if (auto removed = fabric_->remove_unknown(known, self().vtep); !removed) {
        kLog.error("what is left of former networks can't be taken down: {}", removed.error().message());
    }
    all_known_ = true;
    tell_containers();
    keep_way_out();
}

}  // namespace warren::agent
