#pragma once

#include <string_view>

#include "base/result.h"
#include "netlink/namespace.h"

namespace warren::netlink {

// Whether packets may reach the device before they are cut into segments. Off is the cure for kernels that cut VXLAN
// inside transport-mode ESP wrongly, and takes two settings that are kept together here:
//   * gso_max_segs 1, seen as Link::gso_max_segs, which cuts everything that knows its number of segments;
//   * `ethtool -K DEV gso off tso off`, which also cuts TCP from a virtual machine's tap device, whose packets do not
//     (kernel net/core/dev.c gso_features_check, net/ipv4/tcp_offload.c), but alone lets large UDP writes of QUIC
//     servers (UDP_SEGMENT) through whole.
// segmentation() is false only if both are off. kNotFound: no such device in `where`.
[[nodiscard]] base::Result<bool> segmentation(const Namespace& where, std::string_view ifname);
[[nodiscard]] base::Status set_segmentation(const Namespace& where, std::string_view ifname, bool on);

}  // namespace warren::netlink
