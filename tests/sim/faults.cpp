#include <algorithm>
#include <utility>

#include "tests/sim/world.h"

namespace warren::sim {

using base::Time;
using keymgr::Reason;
using std::chrono::milliseconds;

void World::next_fault() {
    after(span(1, 600), [this] {
        if (faults_) {
            fault();
            next_fault();
        }
    });
    for (int i = 0; i < 5; ++i) {
        after(span(1, 300), [this] { send_packet(); });
    }
}

void World::fault() {
    const auto kind = dice(20);
    if (kind < 4) {
        ask(Reason::kCommand);
    } else if (kind == 4) {
        ask(Reason::kLimit, state_.active);
    } else if (kind == 5) {
        restart_manager();
    } else if (kind == 6 && jumpy_clock_) {
        set_clock(span(-60000, 60000) / (dice(2) == 0 ? 1 : 20));
    } else if (kind == 7 && manager_up_) {
        if (auto aborted = keymgr::abort(state_, settings_, manager_now(), base::Revision(revision_.value + 1))) {
            log("abort");
            store(*aborted);
            decide();
        }
    } else if (kind == 8 && dice(6) == 0) {
        if (const auto number = pick_node()) {
            remove(*number);
        }
    } else if (kind == 9 && dice(2) == 0) {
        change_parameters();
    } else if (kind > 9) {
        if (const auto number = pick_node()) {
            node_fault(*number);
        }
    }
}

void World::node_fault(NodeNumber number) {
    Node& node = nodes_[static_cast<std::size_t>(number)];
    switch (dice(11)) {
        case 0:
            log("node {} cut off", number);
            node.partitioned = true;
            cut_session(number, span(0, 2000));
            after(span(100, 15000), [this, number] {
                nodes_[static_cast<std::size_t>(number)].partitioned = false;
                connect(number);
            });
            break;
        case 1:
            log("session of node {} breaks", number);
            cut_session(number, span(0, 500));
            break;
        case 2:
            log("daemon of node {} restarts", number);
            node.agent->restart_daemon();
            cut_session(number, span(0, 100));
            break;
        case 3:
            log("node {} reboots", number);
            node.boot += 1;
            node.agent->reboot();
            cut_session(number, span(0, 2000));
            break;
        case 4:
            if (node.up) {
                log("node {} changes its address", number);
                node.address += 1;
                cut_session(number, span(0, 100));
            }
            break;
        case 5:
            if (membership(number) != nullptr && node.greeted && node.up && manager_up_) {
                log("node {} leaves", number);
                drop_membership(number);
                announce();
                send_down(number, [](Agent& agent) { agent.leave(); });
                ask(Reason::kMemberLeft);
            }
            break;
        case 6:
            log("node {} hangs", number);
            node.frozen_until = now_ + span(100, 8000);
            break;
        case 7:
            flushed(number, node.agent->flush_one(random_()));
            break;
        case 8:
        case 9:
            kernel_fault(number);
            break;
        default:
            add_membership(number);
            break;
    }
}

// Of the daemon's next change of its kernel, or of the kernel itself.
void World::kernel_fault(NodeNumber number) {
    Agent& agent = *nodes_[static_cast<std::size_t>(number)].agent;
    const std::size_t operations = dice(8);
    switch (dice(5)) {
        case 0:
            log("daemon of node {} will be killed after {} operations", number, operations);
            agent.kill_after(operations);
            break;
        case 1:
            log("kernel of node {} will refuse operation {}", number, operations);
            agent.refuse_after(operations);
            break;
        case 2:
            log("kernel of node {} will not answer operation {}", number, operations);
            agent.lose_answer_after(operations);
            break;
        case 3:
            agent.lose_events();
            break;
        default:
            if (dice(4) == 0) {
                flushed(number, agent.flush_all());
            }
            break;
    }
}

void World::flushed(NodeNumber number, const std::vector<SaName>& gone) {
    for (const SaName& sa : gone) {
        lose(number, sa);
    }
    after(span(10, 2000), [this, number] { schedule_apply(number); });  // its sweep
}

void World::change_parameters() {
    settings_.parameters = {.cipher = static_cast<keymgr::Cipher>(1 + dice(3)),
                            .replay_window = dice(2) == 0 ? 1024U : 4096U};
    log("the cipher becomes {}", name(settings_.parameters.cipher));
    ask(Reason::kParameters);
}

void World::set_clock(base::Duration by) {
    clock_error_ += by;
    log("the manager's clock is wrong by {} ms", clock_error_.count());
    if (!manager_up_) {
        return;
    }
    state_ = keymgr::clock_set(std::move(state_), by);
    for (Node& node : nodes_) {
        node.last_seen += by;
    }
    decide();
}

void World::restart_manager() {
    if (!manager_up_) {
        return;
    }
    log("the manager crashes");
    manager_up_ = false;
    for (NodeNumber number = 0; number < static_cast<NodeNumber>(nodes_.size()); ++number) {
        Node& node = nodes_[static_cast<std::size_t>(number)];
        node.up = node.greeted = node.connected = false;
        node.session += 1;
        node.acked = {};
        node.acked_id = {};
    }
    after(span(10, 4000), [this] {
        log("the manager starts");
        manager_up_ = true;
        state_ = keymgr::resumed(std::move(state_), manager_now());
        for (NodeNumber number = 0; number < static_cast<NodeNumber>(nodes_.size()); ++number) {
            nodes_[static_cast<std::size_t>(number)].last_seen = manager_now();
            after(span(1, 1000), [this, number] { connect(number); });
        }
        decide();
    });
}

void World::remove(NodeNumber number) {
    if (!manager_up_) {
        return;
    }
    Node& node = nodes_[static_cast<std::size_t>(number)];
    node.removed = true;
    node.up = node.connected = node.greeted = false;
    node.session += 1;
    if (membership(number) == nullptr) {
        return;
    }
    log("node {} is removed", number);
    drop_membership(number);
    removals_.emplace_back(number, state_.next_epoch);
    announce();
    ask(Reason::kNodeRemoved);
}

void World::heal() {
    log("faults cease");
    faults_ = false;
    settings_.interval = base::Duration::zero();
    for (NodeNumber number = 0; number < static_cast<NodeNumber>(nodes_.size()); ++number) {
        Node& node = nodes_[static_cast<std::size_t>(number)];
        node.partitioned = false;
        node.frozen_until = now_;
        after(span(1, 1000), [this, number] { connect(number); });
        for (int sweep = 1; sweep <= 8; ++sweep) {
            after(milliseconds(500 * sweep), [this, number] { schedule_apply(number); });
        }
    }
}

// A packet that is on its way while SAs change.
void World::send_packet() {
    const Node& sender = nodes_[dice(nodes_.size())];
    const auto out = sender.agent->outbound();
    if (out.empty()) {
        return;
    }
    const Agent::Sent& sent = out[dice(out.size())];
    const SaName sa = sent.name;
    if (!is_current(sa) || is_excused(sa)) {
        return;
    }
    after(span(1, static_cast<int>(settings_.grace.count()) / 4), [this, sa, state = *sent.state] {
        const Node& receiver = nodes_[static_cast<std::size_t>(sa.receiver)];
        if (is_current(sa) && !is_excused(sa) && sa.epoch >= state_.revoked_below && !receiver.agent->accepts(state)) {
            fail(fmt::format("a packet on its way was lost: {}", text(sa)));
        }
    });
}

}  // namespace warren::sim
