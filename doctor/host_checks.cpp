#include "doctor/host_checks.h"

#include <fmt/format.h>
#include <sys/timex.h>

#include <algorithm>

#include "base/files.h"
#include "base/text.h"

namespace warren::doctor {

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Certificates are good from five minutes before they are issued.
constexpr base::Duration kWrongClock = minutes(5);
constexpr base::Duration kOddClock = seconds(5);

std::optional<std::uint16_t> parse_port(std::string_view text) {
    const auto number = base::parse_unsigned(text);
    return number && *number <= 65535 ? std::optional(static_cast<std::uint16_t>(*number)) : std::nullopt;
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\n");
    return first == std::string_view::npos ? "" : text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

bool takes(const LocalPorts& ports, std::uint16_t port) {
    return port >= ports.low && port <= ports.high && std::ranges::none_of(ports.reserved, [port](const auto& range) {
               return port >= range.first && port <= range.second;
           });
}

}  // namespace

std::optional<bool> clock_synchronised() {
    timex request{};
    const int state = ::adjtimex(&request);
    return state < 0 ? std::nullopt : std::optional(state != TIME_ERROR && (request.status & STA_UNSYNC) == 0);
}

Finding check_clock(const ClockSight& sight) {
    Finding finding{.check = "clock", .verdict = Verdict::kOk, .detail = {}, .remedy = {}};
    const std::string_view set = "set the clock, and let NTP keep it: timedatectl set-ntp true";
    if (sight.ahead) {
        const auto off = std::chrono::abs(*sight.ahead);
        finding.detail = off < seconds(1) ? "the manager's, to a second"
                                          : fmt::format("{} {} the manager's", base::format_age(off),
                                                        *sight.ahead > base::Duration::zero() ? "ahead of" : "behind");
        if (off >= kOddClock) {
            finding.verdict = off >= kWrongClock ? Verdict::kWrong : Verdict::kWarning;
            finding.remedy = set;
        }
    } else {
        finding.verdict = Verdict::kUnknown;
        finding.detail = "not compared with the manager's yet";
    }
    if (sight.synchronised == false) {
        finding.detail += "; not synchronised by NTP, as the kernel says";
        if (finding.verdict == Verdict::kOk) {
            finding.remedy = "certificates depend on it: let NTP keep it, timedatectl set-ntp true";
        }
    }
    return finding;
}

std::optional<LocalPorts> parse_local_ports(std::string_view range, std::string_view reserved) {
    range = trimmed(range);
    const auto gap = range.find_first_of(" \t");
    if (gap == std::string_view::npos) {
        return std::nullopt;
    }
    const auto low = parse_port(range.substr(0, gap));
    const auto high = parse_port(trimmed(range.substr(gap)));
    if (!low || !high) {
        return std::nullopt;
    }
    LocalPorts ports{.low = *low, .high = *high, .reserved = {}};
    for (const auto part : base::split(trimmed(reserved), ',')) {
        if (part.empty()) {
            continue;
        }
        const auto dash = part.find('-');
        const auto first = parse_port(part.substr(0, dash));
        const auto last = dash == std::string_view::npos ? first : parse_port(part.substr(dash + 1));
        if (!first || !last) {
            return std::nullopt;
        }
        ports.reserved.emplace_back(*first, *last);
    }
    return ports;
}

std::optional<LocalPorts> read_local_ports() {
    const auto range = base::read_file("/proc/sys/net/ipv4/ip_local_port_range");
    const auto reserved = base::read_file("/proc/sys/net/ipv4/ip_local_reserved_ports");
    return range && reserved ? parse_local_ports(*range, *reserved) : std::nullopt;
}

Finding check_local_ports(const std::optional<LocalPorts>& ports, const std::vector<NeededPort>& needed) {
    Finding finding{.check = "local ports", .verdict = Verdict::kUnknown, .detail = {}, .remedy = {}};
    if (!ports) {
        finding.detail = "net.ipv4.ip_local_port_range can't be read";
        return finding;
    }
    finding.verdict = Verdict::kOk;
    std::string list;
    for (const auto& [port, owner] : needed) {
        if (takes(*ports, port)) {
            finding.detail += fmt::format("{}{} of {}", finding.detail.empty() ? "" : ", ", port, owner);
            list += fmt::format(",{}", port);
        }
    }
    if (list.empty()) {
        finding.detail =
            fmt::format("none of ours is among those that the kernel gives away, {} to {}", ports->low, ports->high);
        return finding;
    }
    finding.verdict = Verdict::kWarning;
    finding.detail += fmt::format(
        ": among those that the kernel gives to any program, net.ipv4.ip_local_port_range {} to {}; after a restart "
        "another may have it",
        ports->low, ports->high);
    std::string reserved;
    for (const auto& [first, last] : ports->reserved) {
        reserved += first == last ? fmt::format(",{}", first) : fmt::format(",{}-{}", first, last);
    }
    finding.remedy = fmt::format("add them to what is reserved: sysctl -w net.ipv4.ip_local_reserved_ports={}",
                                 (reserved + list).substr(1));
    return finding;
}

Finding check_underlay(const UnderlaySight& underlay) {
    const std::string check = "underlay";
    if (!underlay.mtu) {
        return {.check = check,
                .verdict = Verdict::kWrong,
                .detail = fmt::format("no interface has the data address {}", underlay.address),
                .remedy = fmt::format("give it back to {}: ip address add {}/LENGTH dev {}", underlay.device,
                                      underlay.address, underlay.device)};
    }
    return {.check = check,
            .verdict = Verdict::kOk,
            .detail = fmt::format("{} with {}, MTU {}", underlay.device, underlay.address, *underlay.mtu),
            .remedy = {}};
}

}  // namespace warren::doctor
