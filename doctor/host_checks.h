#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/time.h"
#include "doctor/finding.h"

// What a host must be like for encrypted networks to work on it. Pure, but for the functions that read.
namespace warren::doctor {

struct ClockSight {
    std::optional<base::Duration> ahead;  // of the manager's; nullopt: not heard of it yet
    std::optional<bool> synchronised;     // by NTP or the like, as the kernel says; nullopt: it does not say
};
[[nodiscard]] std::optional<bool> clock_synchronised();
[[nodiscard]] Finding check_clock(const ClockSight& sight);

// Ports from which the kernel takes one for whoever asks for any.
struct LocalPorts {
    std::uint16_t low = 0;
    std::uint16_t high = 0;
    std::vector<std::pair<std::uint16_t, std::uint16_t>> reserved;  // of these none
};
// Of net.ipv4.ip_local_port_range and ip_local_reserved_ports; nullopt: that is not what they look like.
[[nodiscard]] std::optional<LocalPorts> parse_local_ports(std::string_view range, std::string_view reserved);
// Of the calling thread's namespace.
[[nodiscard]] std::optional<LocalPorts> read_local_ports();

struct NeededPort {
    std::uint16_t port = 0;
    std::string owner;  // "network net1", "the manager"
};
[[nodiscard]] Finding check_local_ports(const std::optional<LocalPorts>& ports, const std::vector<NeededPort>& needed);

struct UnderlaySight {
    std::string device;
    std::optional<base::Mtu> mtu;  // nullopt: no device has the data address any more
    base::IpAddress address;
};
[[nodiscard]] Finding check_underlay(const UnderlaySight& underlay);

}  // namespace warren::doctor
