#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "xfrm/desired.h"
#include "xfrm/install_history.h"
#include "xfrm/kernel_port.h"

// From what is wanted and what is there to the smallest change, as pure functions. Equal sides give an empty plan.
namespace warren::xfrm {

using PolicyStep = std::variant<AddPolicy, UpdatePolicy, DeletePolicy>;
struct PolicyPlan {
    std::size_t kept = 0;
    std::vector<PolicyStep> steps;  // in this order; what is not wanted any more goes last

    bool operator==(const PolicyPlan&) const = default;
};
// Looks only at the policies that are the network's own by their reqid.
[[nodiscard]] PolicyPlan diff_policies(const Network& network, std::span<const Policy> observed);

// An SA that was handed to the kernel once and is not there any more, or not as it was. It is not made again, since its
// key may have been used: the network has to rotate.
struct LostSa {
    Direction direction = Direction::kIn;
    keymgr::SaIdentity identity;
    SaLocation location;

    auto operator<=>(const LostSa&) const = default;
};

struct Install {
    WantedSa sa;
    bool replaces = false;  // another key sits under the same SPI: delete it first

    bool operator==(const Install&) const = default;
};
struct Removal {
    SaLocation location;
    Direction direction = Direction::kIn;
    std::optional<std::size_t> after;  // only if this install was done: it takes the traffic over

    bool operator==(const Removal&) const = default;
};

// All installs, then all removals. Installs: inbound before outbound, so that nothing of ours is sent that the same
// step could not answer. Removals: outbound before inbound.
struct StatePlan {
    std::size_t kept = 0;
    std::vector<Install> installs;
    std::vector<Removal> removals;
    std::vector<Installed> spend;  // to be recorded before the steps, beside the installs: keys that may be in use
    std::vector<LostSa> lost;

    [[nodiscard]] bool empty() const { return installs.empty() && removals.empty(); }
    bool operator==(const StatePlan&) const = default;
};

using SaTable = std::map<SaLocation, Sa, KernelOrder>;

// `observed`: the SAs that carry the network's reqid, without larval ones. An SA counts as the wanted one if the
// history says that this identity was the last to be handed over under its location, and if it looks as wanted; under a
// location that the history does not know the key cannot be known, so the SA goes and the wanted one is lost.
[[nodiscard]] StatePlan diff_states(const Network& network, std::span<const WantedSa> wanted, const SaTable& observed,
                                    const InstallHistory& history);

}  // namespace warren::xfrm
