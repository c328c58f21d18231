#pragma once

#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/attributes.h"
#include "netlink/kernel_socket.h"
#include "netlink/message.h"

// Addresses of network devices. Pure but for read_addresses().
namespace warren::netlink {

struct Address {
    base::IfIndex link;
    base::Prefix prefix;           // the interface's own address with the subnet's length
    bool host_scope = false;       // RT_SCOPE_HOST, as on loopback; else global, or link for link-local ones
    bool no_prefix_route = false;  // IFA_F_NOPREFIXROUTE: no connected route comes with it
    bool no_dad = false;           // IPv6: usable at once, no duplicate address detection
    bool permanent = true;         // false: has a lifetime (SLAAC, DHCP); only seen, never sent
    bool operator==(const Address&) const = default;
};

[[nodiscard]] Message add_address(const Address& address);  // EEXIST if it is there
[[nodiscard]] Message replace_address(const Address& address);
[[nodiscard]] Message delete_address(const Address& address);  // EADDRNOTAVAIL if it is not there

[[nodiscard]] Message dump_addresses(std::optional<base::IfIndex> link = std::nullopt);  // both families
// From RTM_NEWADDR or RTM_DELADDR; nullopt for a family that is not IP.
[[nodiscard]] base::Result<std::optional<Address>> decode_address(const Received& received);

[[nodiscard]] base::Result<std::vector<Address>> read_addresses(Socket& socket,
                                                                std::optional<base::IfIndex> link = std::nullopt);

}  // namespace warren::netlink
