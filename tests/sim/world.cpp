#include "tests/sim/world.h"

#include <algorithm>
#include <utility>

#include "tests/test_directory.h"

namespace warren::sim {

namespace {

// Every node keeps its install record here. One for the process, since worlds come one after the other and each begins
// with empty records.
const std::filesystem::path& run_directory() {
    static const TestDirectory directory;
    return directory.path();
}

}  // namespace

using base::Duration;
using base::Epoch;
using base::MembershipId;
using base::Revision;
using base::Time;
using std::chrono::milliseconds;
using std::chrono::seconds;

World::World(std::uint64_t seed, bool tracing) : random_(seed), tracing_(tracing) {
    settings_ = {.interval = dice(2) == 0 ? Duration::zero() : Duration(seconds(10)),
                 .grace = milliseconds(200),
                 .straggler_limit = seconds(std::array{2, 20, 600}.at(dice(3))),
                 .reconnect_window = milliseconds(500),
                 .patience = dice(2) == 0 ? seconds(3) : seconds(30),
                 .rate_limit = seconds(1),
                 .batch = milliseconds(100)};
    jumpy_clock_ = dice(4) == 0;
    now_ = Time(seconds(1'000'000));
    state_ = keymgr::first_keys(settings_, now_, revision_);
    const std::size_t count = 2 + dice(4);
    nodes_.resize(count);
    make_secret(state_.active);
    for (NodeNumber number = 0; number < static_cast<NodeNumber>(count); ++number) {
        Agent::Hooks hooks{
            .kernel_changed = [this, number] { check_kernel(number); },
            .added = [this](const SaName& sa, const std::vector<std::uint8_t>& key,
                            bool outbound) { check_key(sa, key, outbound); },
            .never_came = [this, number](const SaName& sa) { lose(number, sa); },
            .sa_lost = [this, number](Epoch epoch) { sa_lost(number, epoch); },
        };
        nodes_[static_cast<std::size_t>(number)].agent =
            std::make_unique<Agent>(number, run_directory() / std::to_string(number), std::move(hooks));
        connect(number);
    }
}

std::optional<std::string> World::run() {
    constexpr auto kFaultTime = seconds(40);
    // Everything that was going on has ended by then; far below the straggler limit of many seeds, as nobody is cut
    // off.
    constexpr auto kQuietTime = seconds(20);
    const Time start = now_;
    for (NodeNumber number = 0; number < static_cast<NodeNumber>(nodes_.size()); ++number) {
        after(span(0, 3000), [this, number] { add_membership(number); });
    }
    next_fault();
    run_until(start + kFaultTime);
    heal();
    run_until(start + kFaultTime + kQuietTime);
    if (!broken_) {
        check_quiet();
    }
    return broken_;
}

Duration World::span(int from_ms, int to_ms) {
    const auto choices = static_cast<std::uint64_t>(to_ms - from_ms) + 1;
    return milliseconds(from_ms + static_cast<int>(dice(choices)));
}

void World::at(Time time, Event event) {
    timers_.push({.at = time, .order = order_++, .event = std::move(event)});
}

void World::trace(const std::string& line) {
    trace_.push_back(fmt::format("{:>7} ms  {}", now_.time_since_epoch().count() - 1'000'000'000, line));
    if (trace_.size() > 200) {
        trace_.pop_front();
    }
}

std::optional<NodeNumber> World::pick_node() {
    const auto number = dice(nodes_.size());
    return nodes_[number].removed ? std::nullopt : std::optional(static_cast<NodeNumber>(number));
}

void World::run_until(Time end) {
    while (!broken_ && !timers_.empty() && timers_.top().at <= end) {
        // Moved, since a message is a big thing to copy; what the queue orders by stays in place.
        const Event event = std::move(const_cast<Timer&>(timers_.top()).event);
        now_ = timers_.top().at;
        timers_.pop();
        event();
    }
    now_ = end;
}

// Sessions ----------------------------------------------------------------------------------------------------------

void World::connect(NodeNumber number) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    if (!manager_up_ || node.partitioned || node.removed || node.up) {
        return;
    }
    node.session += 1;
    node.up = true;
    node.greeted = false;
    const int boot = node.boot;
    const int address = node.address;
    send_up(number, [this, number, boot, address] { hello(number, boot, address); });
}

// The session breaks; the manager notices later, the agent tries again.
void World::cut_session(NodeNumber number, Duration until_noticed) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    node.up = false;
    node.session += 1;
    const int session = node.session;
    after(until_noticed, [this, number, session] {
        if (nodes_[static_cast<std::size_t>(number)].session == session) {
            notice_cut(number);
        }
    });
    after(span(100, 1500), [this, number] { connect(number); });
}

void World::notice_cut(NodeNumber number) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    if (node.connected) {
        node.connected = false;
        node.last_seen = manager_now();
        decide();
    }
}

// In order, or not at all once the session is gone.
void World::send_down(NodeNumber number, std::function<void(Agent&)> message) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    node.down_last = std::max(node.down_last, now_ + span(1, 40));
    const int copies = faults_ && dice(20) == 0 ? 2 : 1;  // what has been told once may be told again
    at(node.down_last, [this, number, copies, session = node.session, message = std::move(message)] {
        Node& receiver = nodes_[static_cast<std::size_t>(number)];
        for (int copy = 0; copy < copies && receiver.up && receiver.session == session; ++copy) {
            message(*receiver.agent);
            schedule_apply(number);
        }
    });
}

// What a session brings is in order, but nothing that a node says after its hello may depend on that.
void World::send_up(NodeNumber number, Event message) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    const Time soon = now_ + span(1, 40);
    const bool overtakes = faults_ && node.greeted && dice(10) == 0;
    node.up_last = std::max(node.up_last, soon);
    at(overtakes ? soon : node.up_last, [this, number, session = node.session, message = std::move(message)] {
        const Node& sender = nodes_[static_cast<std::size_t>(number)];
        if (sender.up && sender.session == session && manager_up_) {
            message();
        }
    });
}

void World::schedule_apply(NodeNumber number) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    if (std::exchange(node.applying, true)) {
        return;
    }
    at(std::max(node.frozen_until, now_ + span(1, 60)), [this, number] {
        Node& self = nodes_[static_cast<std::size_t>(number)];
        self.applying = false;
        const Agent::Applied applied = self.agent->apply();
        if (applied.killed) {
            log("daemon of node {} is killed while it applies", number);
            cut_session(number, span(0, 100));
        }
        if (applied.retry) {
            after(span(50, 500), [this, number] { schedule_apply(number); });
        }
        if (applied.ack && self.up) {
            send_up(number, [this, number, ack = *applied.ack] { acknowledged(number, ack); });
        }
    });
}

// The manager -------------------------------------------------------------------------------------------------------

World::Membership* World::membership(NodeNumber number) {
    const auto found = std::ranges::find(memberships_, number, &Membership::node);
    return found == memberships_.end() ? nullptr : &*found;
}

keymgr::Member World::member(const Membership& membership) const {
    const Node& node = nodes_[static_cast<std::size_t>(membership.node)];
    return {.id = membership.id,
            .since = membership.since,
            .acked = node.acked_id == membership.id ? node.acked : Revision{},
            .connected = node.connected,
            .last_seen = node.last_seen};
}

std::vector<keymgr::Member> World::members() const {
    std::vector<keymgr::Member> all;
    for (const Membership& one : memberships_) {
        all.push_back(member(one));
    }
    return all;
}

void World::hello(NodeNumber number, int boot, int address) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    node.connected = true;
    node.greeted = true;
    Membership* const known = membership(number);
    if (known == nullptr) {
        send_down(number, [](Agent& agent) { agent.leave(); });
    } else if (known->boot != boot || known->address != address) {
        log("node {} comes back as another member", number);
        drop_membership(number);
        add_membership(number);
    } else {
        tell(*known, true);
    }
    decide();
}

void World::add_membership(NodeNumber number) {
    const Node& node = nodes_[static_cast<std::size_t>(number)];
    if (!manager_up_ || !node.greeted || !node.up || node.removed || membership(number) != nullptr) {
        return;
    }
    memberships_.push_back({.node = number,
                            .id = MembershipId(next_membership_++),
                            .since = Revision(revision_.value + 1),
                            .boot = node.boot,
                            .address = node.address});
    log("node {} joins as {} at {}", number, memberships_.back().id, memberships_.back().since);
    announce();
    decide();
}

void World::drop_membership(NodeNumber number) {
    std::erase_if(memberships_, [&](const Membership& one) { return one.node == number; });
    left_at_[number] = revision_;
}

void World::announce() {
    revision_.value += 1;
    for (const Membership& one : memberships_) {
        const Node& node = nodes_[static_cast<std::size_t>(one.node)];
        if (node.connected && node.greeted) {
            tell(one, one.since == revision_);
        }
    }
}

void World::tell(const Membership& membership, bool snapshot) {
    const keymgr::Member self = member(membership);
    Update update{.revision = revision_,
                  .self = membership.node,
                  .epochs = keymgr::held_epochs(state_, self),
                  .active = state_.active,
                  .acks = snapshot ? keymgr::snapshot_acks(state_, self, members()) : keymgr::announced_acks(state_)};
    for (const keymgr::HeldEpoch& epoch : update.epochs) {
        update.secrets[epoch.number] = secrets_.at(epoch.number);
    }
    for (const Membership& one : memberships_) {
        update.members[one.node] = {.end = {.id = one.id, .since = one.since}, .address = one.address};
    }
    send_down(membership.node, [this, number = membership.node, update = std::move(update)](Agent& agent) {
        check_secrets(number, update);
        agent.take(update);
    });
}

void World::acknowledged(NodeNumber number, const keymgr::PeerAck& ack) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    const Membership* const known = membership(number);
    const Revision before = node.acked_id == ack.member ? node.acked : Revision{};
    if (known == nullptr || known->id != ack.member || ack.acked <= before) {
        return;
    }
    node.acked_id = ack.member;
    node.acked = ack.acked;
    const auto all = members();
    for (const keymgr::Member& listener : keymgr::ack_listeners(all, member(*known), before)) {
        const auto peer = std::ranges::find(memberships_, listener.id, &Membership::id);
        if (peer->node != number && nodes_[static_cast<std::size_t>(peer->node)].greeted) {
            send_down(peer->node, [ack](Agent& agent) { agent.take(ack); });
        }
    }
    decide();
    check_removals();
}

void World::sa_lost(NodeNumber number, Epoch epoch) {
    if (nodes_[static_cast<std::size_t>(number)].up) {
        send_up(number, [this, epoch] { ask(keymgr::Reason::kSaLost, epoch); });
    }
}

void World::ask(keymgr::Reason reason, Epoch about) {
    if (!manager_up_) {
        return;
    }
    auto asked = keymgr::request(state_, reason, settings_, manager_now(), about);
    if (!keymgr::is_optional(reason)) {
        owed_ = std::max(owed_, asked.target);
    }
    if (asked.state != state_) {
        log("asked for a rotation: {}, target {}", name(reason), asked.target);
    }
    state_ = std::move(asked.state);
    decide();
}

void World::decide() {
    if (!manager_up_ || broken_) {
        return;
    }
    auto decision = keymgr::step(state_, members(), settings_, manager_now(), Revision(revision_.value + 1), random_());
    if (decision.state) {
        store(decision);
    }
    check_state();
    if (decision.wakeup) {
        after(std::max(*decision.wakeup - manager_now(), Duration(1)), [this] { decide(); });
    }
}

// What the manager writes in one transaction, and then tells.
void World::store(const keymgr::Decision& decision) {
    state_ = *decision.state;
    if (decision.make) {
        make_secret(*decision.make);
    }
    for (const Epoch epoch : decision.forget) {
        secrets_.erase(epoch);
    }
    if (decision.announce) {
        announce();
    }
    note(decision);
}

void World::make_secret(Epoch epoch) {
    SecretBytes& secret = secrets_[epoch];
    for (std::uint8_t& byte : secret) {
        byte = static_cast<std::uint8_t>(random_());
    }
}

void World::note(const keymgr::Decision& decision) {
    if (decision.make) {
        if (*decision.make <= last_made_) {
            fail(fmt::format("epoch number {} given again", *decision.make));
        }
        last_made_ = *decision.make;
        made_at_[last_made_] = now_;
    }
    for (const keymgr::Event& event : decision.events) {
        log("revision {}: epoch {} {} ({})", revision_, event.epoch, name(event.kind), fmt::join(event.members, ", "));
        if (event.kind == keymgr::EventKind::kActivated) {
            rotations_ += 1;
            check_activation(event);
        }
        if (event.kind == keymgr::EventKind::kCutOff) {
            for (const MembershipId id : event.members) {
                cut_below_[id] = std::max(cut_below_[id], Epoch(event.epoch.value + 1));
            }
        }
    }
}

}  // namespace warren::sim
