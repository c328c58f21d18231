#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "doctor/finding.h"

// Whether the rules of this host's own firewall (firewalld, ufw, Docker, somebody's nftables) let in what encrypted
// networks need: ESP from other nodes, and the VXLAN that was in it, which passes the firewall a second time. Pure.
namespace warren::doctor {

// What comes in from the underlay.
struct Arriving {
    std::string device;
    base::Family family = base::Family::kIpv4;
    bool esp = false;      // the ESP itself; else the UDP that was in it
    base::UdpPort port{};  // of the UDP that was in it, or of that which ESP is in; 0: ESP on its own

    [[nodiscard]] bool udp() const { return !esp || port != base::UdpPort{}; }
};

// What encrypted networks need to come in.
struct NeededPorts {
    std::vector<base::UdpPort> decrypted;  // of the networks
    std::set<base::UdpPort> carriers;      // of ESP in UDP; 0: ESP on its own
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

// What every chain at the input hook does with each packet, our own table left out. `ruleset` is what `nft --json list
// ruleset` prints. kInvalid: it is not that.
[[nodiscard]] base::Result<std::vector<std::vector<ChainVerdict>>> judge_input(std::string_view ruleset,
                                                                               std::span<const Arriving> packets);

// `answered`: frames from peers have been seen to come through, so that what may be dropped is not.
[[nodiscard]] std::vector<Finding> check_firewall(const base::Result<std::string>& ruleset, const std::string& device,
                                                  base::Family family, const NeededPorts& needed, bool answered);

}  // namespace warren::doctor
