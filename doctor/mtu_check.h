#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "doctor/finding.h"
#include "overlay/mtu.h"
#include "overlay/underlay_mtu.h"

namespace warren::doctor {

// A network's MTU, and what this host's underlay carries of it.
struct MtuSight {
    std::string network;
    base::Mtu mtu;
    overlay::Protection protection = overlay::Protection::kPlain;
    base::Family family = base::Family::kIpv4;  // of the underlay
    base::Mtu underlay;                         // the narrowest of this host that the network's packets go through
    std::string by;                             // that is so: "device eth0"
    // Who makes the MTU less than what was asked for or than others carry, as the manager says.
    struct Culprit {
        std::string node;
        bool here = false;
        base::Mtu underlay;
        std::optional<base::IpAddress> peer{};  // the route to which is so narrow
    };
    std::optional<Culprit> culprit{};
    std::vector<overlay::LearnedMtu> learned{};  // on the way to its members
};

// Why the host can't carry the network's packets uncut; nullopt: it can.
[[nodiscard]] std::optional<std::string> mtu_problem(const MtuSight& sight);
[[nodiscard]] std::vector<Finding> check_mtu(const MtuSight& sight);

}  // namespace warren::doctor
