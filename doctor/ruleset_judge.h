#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"

// What the rules of this host's firewalls make of a packet. Pure.
namespace warren::doctor {

// What comes in from the underlay, or is forwarded.
struct Arriving {
    std::string device;
    base::Family family = base::Family::kIpv4;
    bool esp = false;      // the ESP itself; else the UDP that was in it
    base::UdpPort port{};  // of the UDP that was in it, or of that which ESP is in; 0: ESP on its own

    // A packet of a connection by TCP, its first one or an answer, with nothing of the above.
    struct Forwarded {
        std::string to;          // the device that it goes out on
        bool published = false;  // a rule of ours has changed its destination
        bool answer = false;
    };
    std::optional<Forwarded> forwarded{};

    [[nodiscard]] bool udp() const { return !forwarded && (!esp || port != base::UdpPort{}); }
};

struct ChainVerdict {
    std::string family;  // of the table: ip, ip6, inet
    std::string table;
    std::string chain;
    // What may become of it there: one of them, or both when rules ask for what is not known here.
    bool may_accept = false;
    bool may_drop = false;

    bool operator==(const ChainVerdict&) const = default;
};

// What every chain at the hook of each packet (forward for what is forwarded, else input) does with it, our own tables
// left out. `ruleset` is what `nft --json list ruleset` prints. kInvalid: it is not that.
[[nodiscard]] base::Result<std::vector<std::vector<ChainVerdict>>> judge(std::string_view ruleset,
                                                                         std::span<const Arriving> packets);

}  // namespace warren::doctor
