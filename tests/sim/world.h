#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "keymgr/rotation.h"
#include "tests/sim/agent.h"

namespace warren::sim {

// One network, its manager and its nodes, in simulated time, under faults drawn from a seed. The manager's decisions
// and the agents' choices are the real ones; stores, sessions and kernels are models. What must hold is checked after
// every change of any kernel and every decision; the same seed gives the same run.
class World {
  public:
    // With `tracing` a failure tells what led to it; a run without one is the same, and faster.
    World(std::uint64_t seed, bool tracing);

    // What broke, with the events that led there; nullopt when all held.
    [[nodiscard]] std::optional<std::string> run();

    [[nodiscard]] std::size_t rotations() const { return rotations_; }

  private:
    using Event = std::function<void()>;
    struct Timer {
        base::Time at;
        std::uint64_t order = 0;
        Event event;
        bool operator<(const Timer& other) const { return std::tie(other.at, other.order) < std::tie(at, order); }
    };

    struct Node {  // what is true of a node, and its session
        std::unique_ptr<Agent> agent;
        bool removed = false;
        int boot = 1;
        int address = 1;
        base::Time frozen_until;
        bool applying = false;

        bool partitioned = false;
        bool up = false;       // the session works
        bool greeted = false;  // the manager has had its hello and sent a snapshot
        int session = 0;
        base::Time down_last;
        base::Time up_last;

        bool connected = false;  // as the manager believes
        base::Time last_seen;
        base::MembershipId acked_id;
        base::Revision acked;
    };
    struct Membership {  // in the store
        NodeNumber node = 0;
        base::MembershipId id;
        base::Revision since;
        int boot = 0;
        int address = 0;
    };

    // Time and chance.
    std::mt19937_64 random_;
    base::Time now_{};
    std::priority_queue<Timer> timers_;
    std::uint64_t order_ = 0;
    base::Duration clock_error_{};
    bool jumpy_clock_ = false;
    bool faults_ = true;
    bool tracing_;
    std::deque<std::string> trace_;
    std::optional<std::string> broken_;

    // The manager: store, then what a restart loses (in Node).
    keymgr::Settings settings_;
    keymgr::KeyState state_;
    base::Revision revision_{1};
    std::vector<Membership> memberships_;  // by since
    std::uint64_t next_membership_ = 1;
    bool manager_up_ = true;
    base::Epoch last_made_{1};
    std::size_t rotations_ = 0;

    std::vector<Node> nodes_;

    std::map<base::Epoch, SecretBytes> secrets_;

    // What the checks remember.
    std::map<std::vector<std::uint8_t>, SaName> used_outbound_;  // by key
    std::map<NodeNumber, base::Revision> left_at_;               // was a member until then
    std::map<std::pair<NodeNumber, NodeNumber>, SaName> established_;
    std::set<SaName> lost_;  // see lose()
    std::map<std::pair<base::MembershipId, base::MembershipId>, base::Epoch>
        makes_do_;                                         // the newest lost by the sender
    std::map<base::MembershipId, base::Epoch> cut_below_;  // was told to have lost the epochs below
    std::map<base::Epoch, base::Time> made_at_;
    std::vector<std::pair<NodeNumber, base::Epoch>> removals_;  // who, and the target of the rotation that followed
    base::Epoch owed_;  // a rotation up to here was asked for, and not just by command or schedule

    // world.cpp: time, sessions, the manager.
    [[nodiscard]] std::uint64_t dice(std::uint64_t sides) { return random_() % sides; }
    [[nodiscard]] base::Duration span(int from_ms, int to_ms);
    [[nodiscard]] base::Time manager_now() const { return now_ + clock_error_; }
    void at(base::Time time, Event event);
    void after(base::Duration span, Event event) { at(now_ + span, std::move(event)); }
    template <typename... Args>
    void log(fmt::format_string<Args...> format, Args&&... args) {
        if (tracing_) {
            trace(fmt::format(format, std::forward<Args>(args)...));
        }
    }
    void trace(const std::string& line);
    [[nodiscard]] std::optional<NodeNumber> pick_node();
    void run_until(base::Time end);
    void connect(NodeNumber number);
    void cut_session(NodeNumber number, base::Duration until_noticed);
    void notice_cut(NodeNumber number);
    void send_down(NodeNumber number, std::function<void(Agent&)> message);
    void send_up(NodeNumber number, Event message);
    void hello(NodeNumber number, int boot, int address);
    void acknowledged(NodeNumber number, const keymgr::PeerAck& ack);
    void schedule_apply(NodeNumber number);
    void sa_lost(NodeNumber number, base::Epoch epoch);
    void flushed(NodeNumber number, const std::vector<SaName>& gone);
    void change_parameters();
    [[nodiscard]] Membership* membership(NodeNumber number);
    [[nodiscard]] keymgr::Member member(const Membership& membership) const;
    [[nodiscard]] std::vector<keymgr::Member> members() const;
    void add_membership(NodeNumber number);
    void drop_membership(NodeNumber number);
    void announce();
    void tell(const Membership& membership, bool snapshot);
    void ask(keymgr::Reason reason, base::Epoch about = {});
    void decide();
    void store(const keymgr::Decision& decision);
    void make_secret(base::Epoch epoch);
    void note(const keymgr::Decision& decision);

    // faults.cpp: what happens to the nodes and the manager.
    void next_fault();
    void fault();
    void node_fault(NodeNumber number);
    void kernel_fault(NodeNumber number);
    void set_clock(base::Duration by);
    void restart_manager();
    void remove(NodeNumber number);
    void heal();
    void send_packet();

    // checks.cpp: what must hold.
    void fail(const std::string& what);
    void check_kernel(NodeNumber number);
    void check_pair(NodeNumber sender, NodeNumber receiver);
    void lose(NodeNumber number, const SaName& sa);
    void check_key(const SaName& sa, const std::vector<std::uint8_t>& key, bool outbound);
    void check_secrets(NodeNumber number, const Update& update);
    void check_activation(const keymgr::Event& event);
    void check_state();
    void check_removals();
    void check_quiet();
    [[nodiscard]] bool is_current(const SaName& sa);
    [[nodiscard]] bool is_excused(const SaName& sa) const;
};

}  // namespace warren::sim
