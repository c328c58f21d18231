#include "agent/agent.h"

#include <algorithm>
#include <asio/post.hpp>
#include <utility>

#include "agent/backoff.h"
#include "base/log.h"
#include "proto/wire.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr base::Duration kTick = std::chrono::seconds(1);
constexpr base::Duration kSweep = std::chrono::seconds(30);
constexpr base::Duration kAskAgain = std::chrono::seconds(60);
constexpr int kMissedHeartbeats = 3;
constexpr base::Duration kGatewayPace = std::chrono::milliseconds(800);  // between two looks because of events

using proto::raw;

}  // namespace

Agent::Agent(asio::io_context& loop, std::unique_ptr<Fabric> fabric, HostFacts facts, AgentOptions options)
    : loop_(&loop),
      options_(std::move(options)),
      facts_(std::move(facts)),
      started_(options_.now()),
      fabric_(std::move(fabric)),
      underlay_watch_(overlay::UnderlayWatch::open()),
      keeper_({.loop = &loop,
               .directory = options_.certificates,
               .now = options_.now,
               .send = [this](v1::FromAgent message) { session_->send(std::move(message)); },
               .changed = options_.certificates_changed,
               .renew_own = options_.renew_own}),
      session_timer_(loop),
      tick_timer_(loop),
      pace_timer_(loop),
      key_events_(loop),
      firewall_events_(loop),
      link_events_(loop),
      next_sweep_(base::steady_now() + kSweep),
      probes_(loop),
      names_(loop, options_.resolv_conf),
      names_record_(options_.run_dir / "names"),
      resolv_conf_(options_.run_dir),
      way_out_(overlay::GatewayBridge::open()),
      gateway_events_{asio::posix::stream_descriptor(loop), asio::posix::stream_descriptor(loop)},
      underlay_events_(loop) {
    watch(key_events_, fabric_->key_events(), &Agent::on_key_events);
    watch(firewall_events_, fabric_->firewall_events(), &Agent::on_firewall_events);
    watch(link_events_, fabric_->link_events(), &Agent::on_link_events);
    for (std::size_t i = 0; i < gateway_events_.size(); ++i) {
        watch(gateway_events_[i], way_out_.event_fds()[i], &Agent::on_gateway_events);
    }
    watch(underlay_events_, underlay_watch_ ? underlay_watch_->fd() : -1, &Agent::on_underlay_events);
    restore_names();
    tick();
}

Agent::~Agent() {
    stop();
}

void Agent::stop() {
    keeper_.stop();
    session_.reset();
    session_timer_.cancel();
    tick_timer_.cancel();
    pace_timer_.cancel();
    stop_verify();
    asked_peers_.clear();
    probes_.stop();
    write_names();
    names_.forget_all();
    for (auto* descriptor : {&key_events_, &firewall_events_, &link_events_, &gateway_events_[0], &gateway_events_[1],
                             &underlay_events_}) {
        if (descriptor->is_open()) {
            descriptor->release();  // whose it is closes it
        }
    }
}

base::Status Agent::enter(Membership&& membership) {
    WARREN_TRY_ASSIGN(const auto address, base::parse_ip("data address", membership.config.data_address()));
    WARREN_TRY_ASSIGN(auto underlay, overlay::read_underlay_mtu(address, {}));
    WARREN_TRY_ASSIGN(channel_, make_channel(membership.identity, membership.config.managers(0)));
    underlay_ = std::move(underlay);
    underlay_peers_.clear();
    membership_ = std::move(membership);
    keeper_.enter(membership_->identity, membership_->config.managers(0));
    channel_generation_ = keeper_.generation();
    awaited_entry_.reset();
    open_session();
    return {};
}

void Agent::set_facts(HostFacts facts) {
    facts_ = std::move(facts);
    for (const auto& [id, state] : networks_) {
        mark(id);
    }
}

Self Agent::self() const {
    const auto& identity = membership_->identity.identity();
    return {.cluster = identity.cluster,
            .node = identity.node,
            .vtep = base::parse_ip("data address", membership_->config.data_address()).value_or(base::IpAddress{}),
            .segmentation = facts_.segmentation == HostFacts::Segmentation::kFine};
}

void Agent::mark(const base::NetworkId& network) {
    if (const auto found = networks_.find(network); found != networks_.end()) {
        found->second.news = true;
    }
    look(network);
}

void Agent::look(const base::NetworkId& network) {
    dirty_.insert(network);
    if (!reconcile_posted_) {
        reconcile_posted_ = true;
        asio::post(*loop_, [this] { reconcile(); });
    }
}

void Agent::reconcile() {
    reconcile_posted_ = false;
    for (const auto& id : std::exchange(dirty_, {})) {
        if (const auto found = networks_.find(id); found != networks_.end()) {
            apply(id, found->second);
        }
    }
    tell_containers();
    keep_way_out();
    settle_pending();
    if (underlay_peers() != underlay_peers_) {
        underlay_changed();
    }
    raise_limits();
}

void Agent::raise_limits() {
    overlay::Crowd endpoints;
    for (const auto& [id, state] : networks_) {
        endpoints.local += state.view.attachments.size();
        endpoints.all += state.view.endpoints.size();
    }
    if (endpoints.local <= largest_crowd_.local && endpoints.all <= largest_crowd_.all) {
        return;
    }
    largest_crowd_ = {.local = std::max(endpoints.local, largest_crowd_.local),
                      .all = std::max(endpoints.all, largest_crowd_.all)};
    const auto why = fmt::format("{} endpoints are here, of {} in their networks", endpoints.local, endpoints.all);
    if (const auto raised = overlay::raise_neighbour_limits(largest_crowd_); !raised) {
        kLog.warn("{}: {}", why, raised.error().message());
    } else if (!raised->empty()) {
        kLog.warn("{}: {}", *raised, why);
    }
}

void Agent::keep_way_out() {
    if (!all_known_ || !membership_) {
        return;
    }
    std::vector<const NetworkView*> views;
    for (auto& [id, state] : networks_) {
        if (look_at_attachments(state.view)) {
            mark(id);
        }
        views.push_back(&state.view);
    }
    const auto now = base::steady_now();
    gateway_looked_ = now;
    auto needs = way_out_needs(views, self().node, container_of);
    needs.needed = needed_addresses();
    const auto repaired = way_out_.want(self().cluster, plain_port_, std::move(needs));
    if (!repaired) {
        return;
    }
    ++repaired_;
    const auto next = gateway_repairs_.note(now, *repaired);
    way_out_.hold_until(next.value_or(now));
    tell_repair(std::nullopt, "the gateway bridge", gateway_repairs_, next);
}

std::set<base::IpAddress> Agent::needed_addresses() const {
    auto needed = underlay_peers();
    for (const auto& manager : membership_->config.managers()) {
        if (const auto address = base::parse_socket_address("manager", manager, 0)) {
            needed.insert(address->ip);
        }
    }
    const auto resolvers = host_resolvers(options_.resolv_conf);
    needed.insert(resolvers.begin(), resolvers.end());
    return needed;
}

// What a container does to its interface is an event, too, and a look goes through all of them: not too often.
void Agent::on_gateway_events() {
    if (way_out_.handle_events() && base::steady_now() - gateway_looked_ >= kGatewayPace) {
        keep_way_out();
    }
}

void Agent::apply(const base::NetworkId& id, NetworkState& state) {
    const auto now = base::steady_now();
    if (!state.news && state.held_until && now < *state.held_until) {
        return;
    }
    if (std::exchange(state.held_until, std::nullopt)) {
        state.quiet_from = now + kQuiet;  // what was gone meanwhile could not be taken away: it has to stand first
    }
    state.news = look_at_attachments(state.view) || state.news;
    // What was as we had left it, and is not now, is somebody else's doing.
    const bool barriers_were_right = !state.news && state.applied.keys_complete;
    const bool links_were_right = !state.news && !state.applied.retry && !state.links_held && !state.guarded;
    state.links_held = besieged(state, now);
    // Its socket keeps a namespace, and the UDP port of the device in there, although nobody else does.
    if (probes_.home(id) != fabric_->home(id)) {
        probes_.forget(id);
    }
    if (names_.home(id) != fabric_->home(id)) {
        names_.forget(id);
    }
    auto applied =
        fabric_->apply(state.view, self(), state.links_held ? Fabric::Links::kHeldBack : Fabric::Links::kWanted);
    const auto known = all_problems(state.applied);
    for (const auto& problem : all_problems(applied)) {
        if (std::find(known.begin(), known.end(), problem) == known.end()) {
            kLog.error("network {}: {}", state.view.name, problem);
        }
    }
    // A container that nobody could send to is not connected.
    if (!applied.incoming_open && state.applied_revision == base::Revision{}) {
        for (const auto& [endpoint, attachment] : state.view.attachments) {
            applied.endpoint_errors.emplace(endpoint,
                                            base::Error(base::Code::kConflict, applied.incoming_problems.front()));
        }
    }
    state.applied = std::move(applied);
    state.news = false;
    state.guarded = false;
    if (!barriers_were_right) {
        state.applied.policies = 0;
    }
    if (!links_were_right) {
        state.applied.links = 0;
    }
    if (state.applied.policies + state.applied.links > 0) {
        note_repair(id, state);
    }
    state.changed_by.clear();
    if (const auto home = fabric_->home(id); home && state.view.members.contains(self().node)) {
        keep_names(state.view, *home);
        if (state.view.encrypted) {
            probes_.keep(state.view, self().node, *home, [&] { return fabric_->open_probe_port(state.view, self()); });
        }
    }
    const bool again = state.applied.retry || !state.applied.incoming_problems.empty();
    state.failures = again ? state.failures + 1 : 0;
    state.retry_at = again ? std::optional(base::steady_now() + backoff(state.failures)) : std::nullopt;
    if (state.applied.keys_complete && state.applied.incoming_open) {
        state.applied_revision = state.view.revision;
        acknowledge(id, state);
    }
    ask_rotations(id, state.applied.rotations);
}

void Agent::acknowledge(const base::NetworkId& id, NetworkState& state) {
    const auto own = state.view.members.find(self().node);
    if (!welcomed_ || own == state.view.members.end() || state.acked == state.applied_revision) {
        return;
    }
    state.acked = state.applied_revision;
    v1::FromAgent message;
    auto& applied = *message.mutable_acks()->add_applied();
    applied.set_network_id(raw(id));
    applied.set_membership_id(own->second.membership.value);
    applied.set_revision(state.acked.value);
    session_->send(std::move(message));
}

void Agent::ask_rotations(const base::NetworkId& network, const std::set<RotationNeed>& needs) {
    const auto now = base::steady_now();
    std::erase_if(asked_, [&](const auto& entry) { return entry.second + kAskAgain <= now; });
    for (const auto& need : needs) {
        auto& asked = asked_[{network, need}];
        if (!welcomed_ || (asked != base::Moment{} && now < asked + kAskAgain)) {
            continue;
        }
        asked = now;
        v1::FromAgent message;
        auto& request = *message.mutable_rotation_request();
        request.set_network_id(raw(network));
        request.set_epoch(need.epoch.value);
        request.set_limit(need.limit);
        session_->send(std::move(message));
    }
}

void Agent::take_changes(const Fabric::Changes& changes) {
    if (changes.unread) {
        next_sweep_ = std::min(next_sweep_, base::steady_now() + kTick);
    }
    counters_.add_closed(changes.closed);
    for (const auto& note : changes.notes) {
        kLog.warn("{}{}", note, changes.by.empty() ? "" : ", by " + changes.by);
    }
    for (auto& [id, state] : networks_) {
        if (!state.view.encrypted) {
            continue;
        }
        if (changes.dirty.contains(state.view.index)) {
            state.changed_by = changes.by;  // for what the next apply() finds
            look(id);
        }
        if (const auto needs = changes.rotations.find(state.view.index); needs != changes.rotations.end()) {
            ask_rotations(id, needs->second);
        }
    }
}

void Agent::watch(asio::posix::stream_descriptor& descriptor, int fd, void (Agent::*handler)()) {
    if (fd < 0) {
        return;
    }
    if (!descriptor.is_open()) {
        descriptor.assign(fd);
    }
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [this, &descriptor, fd, handler](const asio::error_code& error) {
                              if (!error) {
                                  (this->*handler)();
                                  watch(descriptor, fd, handler);
                              }
                          });
}

void Agent::tell_counters() {
    if (!welcomed_ || !counters_.news()) {
        return;
    }
    std::map<base::NetworkIndex, base::NetworkId> ids;
    for (const auto& [id, state] : networks_) {
        if (state.view.encrypted) {
            ids.emplace(state.view.index, id);
        }
    }
    v1::FromAgent message;
    *message.mutable_key_counters() = counters_.tell(ids);
    session_->send(std::move(message));
}

void Agent::tick() {
    const auto now = base::steady_now();
    keeper_.tick();
    if (session_ && now - heard_ > heartbeat_ * kMissedHeartbeats) {
        close_session(base::Error(base::Code::kUnavailable, "the manager says nothing"));
    } else if (session_ && welcomed_ && now - heard_ >= heartbeat_ / 2) {
        v1::FromAgent message;
        message.mutable_heartbeat();
        session_->send(std::move(message));
    }
    if (now >= next_sweep_) {
        next_sweep_ = now + kSweep;
        take_changes(fabric_->sweep());
        counters_.see(fabric_->sent());
        recent_errors_.note(now, error_counters());
        for (const auto& [id, state] : networks_) {
            look(id);
        }
        way_out_.look();
        underlay_due_ = true;
    }
    if (underlay_due_) {
        look_at_underlay();
    }
    if (way_out_.due(now)) {
        keep_way_out();
    }
    for (auto& [id, state] : networks_) {
        if ((state.retry_at && *state.retry_at <= now) || (state.held_until && *state.held_until <= now) ||
            (state.links_held && state.quiet_from <= now)) {
            look(id);
        }
    }
    if (firewall_held_until_ && *firewall_held_until_ <= now) {
        on_firewall_events();
    }
    tell_counters();
    write_names();
    look_for_containers();
    for (const auto& [id, error] : std::map(removals_)) {
        gone(id);
    }
    end_late_questions(now);
    end_late_watches(now);
    std::vector<std::uint64_t> late;
    for (const auto& [id, pending] : pending_) {
        if (pending.deadline <= now) {
            late.push_back(id);
        }
    }
    for (const auto id : late) {
        pending_.extract(id).mapped().fail(
            base::Error(base::Code::kUnavailable, "the manager did not answer in time; see warren endpoint ls"));
    }
    tick_timer_.expires_after(kTick);
    tick_timer_.async_wait([this](const asio::error_code& error) {
        if (!error) {
            tick();
        }
    });
}

}  // namespace warren::agent
