#include "netlink/segmentation.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "netlink/link.h"

namespace warren::netlink {

namespace {

constexpr std::uint32_t kOneSegment = 1;
constexpr std::uint32_t kAnySegments = 65535;  // GSO_MAX_SEGS, what a device starts with

// One ETHTOOL_G*/S* command with a value, in the calling thread's namespace.
base::Result<bool> ethtool(std::string_view ifname, std::uint32_t command, bool value) {
    const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) {
        return base::fail_errno("open a socket", errno);
    }
    ethtool_value argument{.cmd = command, .data = value ? 1U : 0U};
    ifreq request{};
    std::copy(ifname.begin(), ifname.end(), request.ifr_name);
    request.ifr_data = reinterpret_cast<char*>(&argument);
    if (::ioctl(socket.get(), SIOCETHTOOL, &request) != 0) {
        return base::fail_errno(fmt::format("segmentation of {}", ifname), errno);
    }
    return argument.data != 0;
}

}  // namespace

base::Result<bool> segmentation(const Namespace& where, std::string_view ifname) {
    WARREN_TRY(check_ifname("interface", ifname));
    return run_in(where, [ifname]() -> base::Result<bool> {
        WARREN_TRY_ASSIGN(auto socket, Socket::open(Protocol::kRoute));
        WARREN_TRY_ASSIGN(const auto link, read_link(socket, ifname));
        WARREN_TRY_ASSIGN(const bool generic, ethtool(ifname, ETHTOOL_GGSO, false));
        WARREN_TRY_ASSIGN(const bool tcp, ethtool(ifname, ETHTOOL_GTSO, false));
        return link.gso_max_segs != kOneSegment || generic || tcp;
    });
}

base::Status set_segmentation(const Namespace& where, std::string_view ifname, bool on) {
    WARREN_TRY(check_ifname("interface", ifname));
    return run_in(where, [ifname, on]() -> base::Status {
        WARREN_TRY_ASSIGN(auto socket, Socket::open(Protocol::kRoute));
        auto set = socket.request(set_link(ifname, {.gso_max_segs = on ? kAnySegments : kOneSegment}));
        if (!set) {
            return base::fail_in(fmt::format("segmentation of {}", ifname), std::move(set));
        }
        WARREN_TRY(ethtool(ifname, ETHTOOL_SGSO, on));
        WARREN_TRY(ethtool(ifname, ETHTOOL_STSO, on));
        return {};
    });
}

}  // namespace warren::netlink
