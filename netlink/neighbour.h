#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "netlink/attributes.h"
#include "netlink/kernel_socket.h"
#include "netlink/message.h"

// ARP/ND neighbours and forwarding database entries. Pure but for the two read functions.
namespace warren::netlink {

struct Neighbour {
    base::IfIndex link;
    base::IpAddress ip;
    base::MacAddress mac;   // zero while unresolved
    bool permanent = true;  // NUD_PERMANENT; false: the kernel's own, of whatever state
    bool operator==(const Neighbour&) const = default;
};

[[nodiscard]] Message put_neighbour(const Neighbour& neighbour);     // makes or replaces
[[nodiscard]] Message delete_neighbour(const Neighbour& neighbour);  // ENOENT if it is not there; the MAC is ignored
[[nodiscard]] Message dump_neighbours(base::IfIndex link);
// From RTM_NEWNEIGH or RTM_DELNEIGH of an IP family; nullopt for others (the FDB shares the message type).
[[nodiscard]] base::Result<std::optional<Neighbour>> decode_neighbour(const Received& received);

// Which of the two tables a device that is both, as a VXLAN device in a bridge, has an entry in.
enum class FdbTable : std::uint8_t {
    kDevice,  // NTF_SELF: the VXLAN device's own, MAC → VTEP
    kBridge,  // NTF_MASTER: the bridge's, MAC → port
};
enum class FdbState : std::uint8_t {
    kPermanent,  // NUD_PERMANENT: VXLAN: never ages. Bridge: the host's own address ("local")
    kStatic,     // NUD_NOARP: bridge: never ages
    kDynamic,    // learned, ages
};

struct FdbEntry {
    base::IfIndex link;
    base::MacAddress mac;  // all zero in kDevice: the default destination of broadcast, unknown unicast and multicast
    FdbTable table = FdbTable::kDevice;
    FdbState state = FdbState::kPermanent;
    std::optional<base::IpAddress> destination;  // kDevice of a VXLAN device: the remote VTEP
    std::uint16_t vlan = 0;                      // 0 = none
    auto operator<=>(const FdbEntry&) const = default;
};

[[nodiscard]] Message put_fdb(const FdbEntry& entry);  // makes or replaces (the VTEP of that MAC; EOPNOTSUPP for zero)
// Adds one more destination to a zero or multicast MAC, which may have many; one it has is no error. A dump has an
// entry for each, and delete_fdb() takes away the one it names.
[[nodiscard]] Message append_fdb(const FdbEntry& entry);
[[nodiscard]] Message delete_fdb(const FdbEntry& entry);  // ENOENT if it is not there
// Both tables' entries of one device.
[[nodiscard]] Message dump_fdb(base::IfIndex link);
// From RTM_NEWNEIGH or RTM_DELNEIGH of AF_BRIDGE; nullopt for others.
[[nodiscard]] base::Result<std::optional<FdbEntry>> decode_fdb(const Received& received);

[[nodiscard]] base::Result<std::vector<Neighbour>> read_neighbours(Socket& socket, base::IfIndex link);
[[nodiscard]] base::Result<std::vector<FdbEntry>> read_fdb(Socket& socket, base::IfIndex link);

}  // namespace warren::netlink
