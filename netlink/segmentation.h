#pragma once

#include <string_view>

#include "base/result.h"
#include "netlink/namespace.h"

namespace warren::netlink {

// Whether packets may reach the device before they are cut into segments (GSO, TSO). Off is what
// `ethtool -K DEV gso off tso off` does: the cure for kernels that cut VXLAN inside transport-mode ESP wrongly.
// kNotFound: no such device in `where`.
[[nodiscard]] base::Result<bool> segmentation(const Namespace& where, std::string_view ifname);
[[nodiscard]] base::Status set_segmentation(const Namespace& where, std::string_view ifname, bool on);

}  // namespace warren::netlink
