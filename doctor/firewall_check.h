#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "doctor/finding.h"

// Whether the rules of this host's own firewall (firewalld, ufw, Docker, somebody's nftables) let pass what Warren
// needs: for encrypted networks ESP from other nodes, and the VXLAN that was in it, which passes the firewall a second
// time; for containers the way out over the gateway bridge. Pure.
namespace warren::doctor {

// What encrypted networks need to come in.
struct NeededPorts {
    std::vector<base::UdpPort> decrypted;  // of the networks
    std::set<base::UdpPort> carriers;      // of ESP in UDP; 0: ESP on its own
};

// `answered`: frames from peers have been seen to come through, so that what may be dropped is not.
[[nodiscard]] std::vector<Finding> check_firewall(const base::Result<std::string>& ruleset, const std::string& device,
                                                  base::Family family, const NeededPorts& needed, bool answered);

// What goes from the gateway bridge out on `device` and, if a port is published, in.
[[nodiscard]] std::vector<Finding> check_forwarding(const base::Result<std::string>& ruleset, const std::string& device,
                                                    bool published);

// Rules that nft does not list: `tables` is /proc/net/ip_tables_names, where the old iptables has its own. Nothing if
// there are none.
[[nodiscard]] std::vector<Finding> check_legacy_tables(const std::string& tables);

}  // namespace warren::doctor
