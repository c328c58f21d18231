#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "xfrm/install_record.h"
#include "xfrm/kernel_port.h"
#include "xfrm/model.h"

namespace warren::xfrm {

struct EngineOptions {
    std::filesystem::path run_dir;  // holds the install record, `sa-record`
    SoftLimits limits;
};

// An SA that was handed to the kernel once and is not there any more (or not as it was). It is not made again, since
// its key may have been used: the network has to rotate.
struct LostSa {
    Direction direction = Direction::kIn;
    keymgr::SaIdentity identity;
    SaLocation location;

    bool operator==(const LostSa&) const = default;
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

    auto operator<=>(const LimitReached&) const = default;
};

// What events or a sweep found. Networks are named whose objects are no longer as the engine last saw them, by somebody
// else's doing: apply them again.
struct Findings {
    std::set<base::NetworkIndex> states;
    std::set<base::NetworkIndex> policies;
    std::set<LimitReached> limits;
    std::vector<std::string> notes;  // one line each for the log: what was found

    [[nodiscard]] bool empty() const { return states.empty() && policies.empty() && limits.empty(); }
};

struct SaStatus {
    base::NetworkIndex network;
    Direction direction = Direction::kIn;
    std::optional<keymgr::SaIdentity> identity;  // nullopt: nobody's, will be deleted
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

    // Every policy of the namespace, foreign ones too, as of the last dump or event: for check_foreign_policies().
    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }

  private:
    using SaTable = std::map<SaLocation, Sa>;

    Engine(EngineOptions options, KernelPort& kernel, InstallRecord record);

    EngineOptions options_;
    KernelPort* kernel_;
    InstallRecord record_;
    std::map<base::NetworkIndex, SaTable> states_;
    std::vector<Policy> policies_;
    bool stale_ = false;  // an answer of the kernel was lost: read it before the next decision
};

}  // namespace warren::xfrm
