#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "xfrm/diff.h"
#include "xfrm/install_record.h"
#include "xfrm/kernel_port.h"
#include "xfrm/model.h"

namespace warren::xfrm {

struct EngineOptions {
    std::filesystem::path run_dir;  // holds the install record, `sa-record`
};

// What an apply or remove did. Counts are of kernel objects.
struct Outcome {
    std::size_t kept = 0;  // found right and not touched
    std::size_t added = 0;
    std::size_t updated = 0;
    std::size_t deleted = 0;
    std::vector<LostSa> lost;         // wanted, but only a rotation of the network brings them back
    std::vector<base::Error> failed;  // try again later, with backoff

    // The kernel has all that was asked for.
    [[nodiscard]] bool complete() const { return lost.empty() && failed.empty(); }
    [[nodiscard]] bool changed() const { return added + updated + deleted > 0; }
};

// An SA that reached a soft limit: its network has to rotate.
struct LimitReached {
    base::NetworkIndex network;
    SaLocation location;
    base::Epoch epoch;  // 0: nobody knows

    auto operator<=>(const LimitReached&) const = default;
};

// What was sent under one outbound SA.
struct SentUnder {
    base::NetworkIndex network;
    base::Epoch epoch;
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;

    auto operator<=>(const SentUnder&) const = default;
};

// What events or a sweep found. Networks are named whose objects are no longer as the engine last saw them, by somebody
// else's doing: apply them again.
struct Findings {
    std::set<base::NetworkIndex> states;
    std::set<base::NetworkIndex> policies;
    std::set<LimitReached> limits;
    std::vector<SentUnder> closed;   // outbound SAs that are no more, whoever deleted them, with their last counters
    std::vector<std::string> notes;  // one line each for the log: what was found
    // The netlink port of who changed states and policies; 0: of several, or nobody knows.
    std::uint32_t by = 0;

    [[nodiscard]] bool empty() const { return states.empty() && policies.empty() && limits.empty(); }
};

struct SaStatus {
    base::NetworkIndex network;
    std::optional<Direction> direction;
    std::optional<keymgr::SaIdentity> identity;  // neither: nobody's, will be deleted
    Sa sa;
};

// Brings the kernel's SAs and policies of encrypted networks to what the caller wants, by the smallest change, and
// watches them. It acts on the networks that it is told about and on nothing else.
//
// Owner: the agent; lives until shutdown and leaves the kernel as it is.
// Thread: the agent's, for every call. Nothing here waits longer than the kernel's answers.
// Cost: a call for one network depends on that network only: it is compared with a mirror of the kernel's state, which
// is read whole at open() and resync() and kept by the engine's own changes and the events of others. Failure: an
// operation that failed is in Outcome::failed with its cause, and the mirror knows: call again. If the kernel's answer
// was lost, the next call reads the kernel first.
class Engine {
  public:
    // Opens the install record and reads the kernel. kInternal: the record is damaged or not writable.
    [[nodiscard]] static base::Result<std::unique_ptr<Engine>> open(EngineOptions options, KernelPort& kernel);

    // The four policies. Before the VXLAN device exists, and again whenever findings name the network.
    [[nodiscard]] Outcome apply_policies(const Network& network);
    // All four are there, as of the last dump or event.
    [[nodiscard]] bool has_policies(const Network& network) const {
        return diff_policies(network, policies_).steps.empty();
    }
    // The SAs, in an order that loses no packet. An epoch without its secret fails only where an SA has to be added.
    [[nodiscard]] Outcome apply_states(const Network& network);

    // All SAs of a network that this node has left; its policies, once the VXLAN device is gone.
    [[nodiscard]] Outcome remove_states(base::NetworkIndex network);
    [[nodiscard]] Outcome remove_policies(base::NetworkIndex network);
    // SAs and policies of every network of ours that is not in `known`: what a daemon that is no more has left.
    [[nodiscard]] Outcome remove_unknown(const std::set<base::NetworkIndex>& known);
    // The networks of which the kernel has anything of ours.
    [[nodiscard]] std::set<base::NetworkIndex> present() const;

    // Reads the kernel whole, and compares every counter with the limits: the kernel's event comes once and may be
    // lost.
    [[nodiscard]] base::Result<Findings> resync();

    // Readable when handle_events() has something to do.
    [[nodiscard]] int event_fd() const;
    [[nodiscard]] base::Result<Findings> handle_events();

    // The SAs of one network or, without one, all of ours, with the kernel's counters of now (one dump).
    [[nodiscard]] base::Result<std::vector<SaStatus>> status(std::optional<base::NetworkIndex> network = std::nullopt);

    // The outbound SAs that are there, as of the last look at the kernel.
    [[nodiscard]] std::vector<SentUnder> sent() const;

    // The newest epoch that each peer, by its membership, was ever sent to in under this node's membership `self`: what
    // keymgr::tx_epoch() must not go back behind, also after a restart.
    [[nodiscard]] std::map<base::MembershipId, base::Epoch> sent_epochs(const base::NetworkId& network,
                                                                        base::MembershipId self) const {
        return record_.history().sent(network, self);
    }

    // Every policy of the namespace, foreign ones too, as of the last dump or event: for check_foreign_policies().
    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }

  private:
    Engine(EngineOptions options, KernelPort& kernel, InstallRecord record);

    [[nodiscard]] base::Status refresh();  // reads the kernel if an answer was lost
    [[nodiscard]] base::Status reload(Findings& findings);
    [[nodiscard]] base::Status reload_policies(Findings& findings);
    // What has to be read again because of events, and by whose doing.
    struct ToRead {
        bool states = false;
        bool policies = false;
        std::set<std::uint32_t> by;
    };
    void note_change(const Told& told, ToRead& read, Findings& findings) const;
    void check_limits(Findings& findings) const;
    [[nodiscard]] LimitReached limit_reached(base::NetworkIndex network, const SaLocation& location) const;
    void note_closed(const SaGone& gone, Findings& findings) const;
    [[nodiscard]] const Sa* find(const SaLocation& location, Reqid reqid) const;

    void run_policy_steps(const PolicyPlan& plan, Outcome& outcome);
    void clear_places(const StatePlan& plan, Outcome& outcome, std::vector<bool>& cleared);
    void run_installs(const Network& network, const StatePlan& plan, Outcome& outcome, std::vector<bool>& done);
    void settle_installs(std::span<const Answer> answers, std::span<const std::size_t> of, const StatePlan& plan,
                         Outcome& outcome, std::vector<bool>& done);
    void run_removals(base::NetworkIndex network, std::span<const Removal> removals, Outcome& outcome);
    bool settle(const Answer& answer, const std::string& what, Outcome& outcome);
    void prune(const Network& network, Outcome& outcome);

    EngineOptions options_;
    KernelPort* kernel_;
    InstallRecord record_;
    std::map<base::NetworkIndex, SaTable> states_;
    std::map<base::NetworkIndex, SoftLimits> limits_;  // of the networks that were applied
    std::vector<Policy> policies_;
    Findings pending_;    // found while something else was being done; the next resync() or handle_events() tells
    bool stale_ = false;  // an answer of the kernel was lost: read it before the next decision
};

}  // namespace warren::xfrm
