#include "netlink/requester.h"

#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "base/process.h"
#include "base/text.h"

namespace warren::netlink {

namespace {

// Format: net/netlink/af_netlink.c, netlink_native_seq_show: "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode".
std::optional<std::uint64_t> find_inode(Protocol protocol, std::uint32_t port) {
    std::ifstream table("/proc/thread-self/net/netlink");
    std::string line;
    std::getline(table, line);  // the heading
    while (std::getline(table, line)) {
        std::istringstream words(line);
        std::string socket, family, owner, skipped, inode;
        words >> socket >> family >> owner;
        for (int i = 0; i < 6; ++i) {
            words >> skipped;
        }
        words >> inode;
        if (base::parse_unsigned(family) == static_cast<std::uint64_t>(protocol) &&
            base::parse_unsigned(owner) == port) {
            return base::parse_unsigned(inode);
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> find_requester(Protocol protocol, std::uint32_t port) {
    // libnl puts the number of the socket above the process's id, which is at most 2^22 (linux/threads.h).
    constexpr std::uint32_t kPidMask = (1U << 22U) - 1;
    // Those that the kernel invents when a process's own is taken.
    constexpr std::uint32_t kInvented = 1U << 31U;
    if (port == 0) {
        return std::nullopt;
    }
    if (const auto inode = find_inode(protocol, port)) {
        return base::find_socket_holder(*inode);
    }
    if (port >= kInvented || (port & kPidMask) == 0) {
        return std::nullopt;
    }
    return fmt::format("process {}, which is gone", port & kPidMask);
}

}  // namespace warren::netlink
