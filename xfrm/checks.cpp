#include "xfrm/checks.h"

#include <algorithm>

#include "base/files.h"
#include "base/text.h"
#include "xfrm/desired.h"

namespace warren::xfrm {
namespace {

constexpr std::uint64_t kFirstFreePort = 1024;

// nullopt: the kernel does not have it.
base::Result<std::optional<std::uint64_t>> read_sysctl(const std::filesystem::path& root, const std::string& path) {
    auto content = base::read_file(root / path, 64);
    if (!content && content.error().sys_errno() == ENOENT) {
        return std::nullopt;
    }
    if (!content) {
        return base::fail_in("read a sysctl", std::move(content));
    }
    std::string_view text = *content;
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
        text.remove_suffix(1);
    }
    const auto value = base::parse_unsigned(text);
    if (!value) {
        return base::fail(base::Code::kInternal, "sysctl {}: '{}' is not a number", path, text);
    }
    return value;
}

std::string owner_text(const Policy& policy) {
    if (const auto network = owner(policy)) {
        return fmt::format("of encrypted network index {}", *network);
    }
    if (policy.templates.empty()) {
        return "of another program";
    }
    return fmt::format("of another program, reqid {}", policy.templates.front().reqid);
}

}  // namespace

base::Status check_unprivileged_ports(const std::filesystem::path& sysctl_root) {
    WARREN_TRY_ASSIGN(const auto start, read_sysctl(sysctl_root, "net/ipv4/ip_unprivileged_port_start"));
    if (start && *start < kFirstFreePort) {
        return base::fail(
            base::Code::kPrecondition,
            "net.ipv4.ip_unprivileged_port_start is {}: any process could send from ports 512-1023 and have "
            "its packets encrypted as the network's; set it to {} or more",
            *start, kFirstFreePort);
    }
    return {};
}

base::Status check_device(std::string_view ifname, const std::filesystem::path& sysctl_root) {
    for (const std::string_view device : {std::string_view("all"), ifname}) {
        // The kernel takes the value of `all` or of the device, whichever is set.
        for (const std::string_view name :
             {"ipv4/conf/{}/disable_xfrm", "ipv4/conf/{}/disable_policy", "ipv6/conf/{}/disable_policy"}) {
            const std::string path = "net/" + fmt::format(fmt::runtime(name), device);
            WARREN_TRY_ASSIGN(const auto value, read_sysctl(sysctl_root, path));
            if (value.value_or(0) != 0) {
                std::string shown = path;
                std::replace(shown.begin(), shown.end(), '/', '.');
                return base::fail(base::Code::kPrecondition,
                                  "{} is {}: the kernel would ignore the policies that keep the network's traffic "
                                  "encrypted; set it to 0",
                                  shown, *value);
            }
        }
    }
    return {};
}

base::Status check_vtep(const base::IpAddress& vtep) {
    if (vtep.is_link_local()) {
        return base::fail(
            base::Code::kInvalid,
            "VTEP address {}: an encrypted network cannot use a link-local address; give the node another "
            "with --data-addr",
            vtep);
    }
    return {};
}

base::Status check_foreign_policies(const Network& network, std::span<const Policy> policies) {
    const auto ours = desired_policies(network);
    for (const Policy& policy : policies) {
        if (owner(policy) == network.index) {
            continue;
        }
        const bool preferred = std::any_of(ours.begin(), ours.end(), [&](const Policy& own) {
            const bool beats = policy.priority <= own.priority && policy.direction == own.direction;
            const bool agrees = own.action == Action::kBlock && policy.action == Action::kBlock;
            return beats && !agrees && policy.selector.overlaps(own.selector);
        });
        if (preferred) {
            return base::fail(
                base::Code::kConflict,
                "UDP port {}: the IPsec policy '{}' {} would be preferred over the network's own; remove it "
                "or give it a priority number above {}",
                network.port, text(policy), owner_text(policy), kBlockPriority);
        }
    }
    return {};
}

}  // namespace warren::xfrm
