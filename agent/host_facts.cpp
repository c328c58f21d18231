#include "agent/host_facts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "dns/resolvers.h"
#include "overlay/gateway.h"
#include "overlay/underlay.h"
#include "xfrm/probe.h"

namespace warren::agent {

namespace {

base::Result<base::BootId> read_boot_id() {
    WARREN_TRY_ASSIGN(auto text, base::read_file("/proc/sys/kernel/random/boot_id"));
    std::erase_if(text, [](char c) { return c == '-' || c == '\n'; });
    return base::parse_id<base::BootId>("/proc/sys/kernel/random/boot_id", text);
}

}  // namespace

base::Result<HostFacts> probe_host() {
    HostFacts facts;
    WARREN_TRY_ASSIGN(facts.boot, read_boot_id());
    const auto probed = xfrm::probe_esp();
    if (!probed) {
        facts.esp_problem = probed.error().message();
        return facts;
    }
    facts.ciphers = probed->working;
    facts.fast_aes = probed->fast_aes;
    for (const auto& missing : probed->missing) {
        const auto reason = fmt::format("{}: {}", keymgr::name(missing.cipher), missing.reason);
        facts.esp_problem += facts.esp_problem.empty() ? reason : "; " + reason;
    }
    return facts;
}

void probe_segmentation(HostFacts& facts) {
    const auto probed = xfrm::probe_segmentation();
    switch (probed.verdict) {
        case xfrm::SegmentationProbe::Verdict::kFine:
            facts.segmentation = HostFacts::Segmentation::kFine;
            facts.segmentation_note = "fine";
            break;
        case xfrm::SegmentationProbe::Verdict::kBroken:
            facts.segmentation = HostFacts::Segmentation::kBroken;
            facts.segmentation_note = "broken, offload is off on encrypted networks: " + probed.why;
            break;
        case xfrm::SegmentationProbe::Verdict::kNotTestable:
            facts.segmentation = HostFacts::Segmentation::kUnknown;
            facts.segmentation_note = "not testable, offload is off on encrypted networks: " + probed.why;
            break;
    }
}

std::vector<base::IpAddress> host_resolvers(const std::filesystem::path& resolv_conf,
                                            const std::filesystem::path& behind_stub) {
    const auto is_own = [](const base::IpAddress& ip) { return ip.is_loopback(); };
    const auto read = [](const std::filesystem::path& file) {
        return dns::parse_resolv_conf(base::read_file(file).value_or(""));
    };
    auto resolvers = read(resolv_conf);
    if (!resolvers.empty() && std::ranges::all_of(resolvers, is_own)) {
        resolvers = read(behind_stub);
    }
    std::erase_if(resolvers, is_own);
    return resolvers;
}

std::vector<std::string> host_networks(const std::vector<base::IpAddress>& resolvers) {
    constexpr std::size_t kMost = 200;
    constexpr std::uint8_t kWide =
        16;  // routes for more than that keep no network off, see manager/changes_networks.cpp
    std::vector<overlay::UsedSubnet> told;
    for (auto& route : overlay::host_routes().value_or(std::vector<overlay::UsedSubnet>())) {
        const bool inside = std::ranges::any_of(told, [&](const auto& other) {
            return other.prefix.length >= kWide && other.prefix.contains(route.prefix.address);
        });
        // In order of addresses, so what another one is inside of comes first.
        if (!inside && told.size() < kMost && !route.user.ends_with(overlay::kGatewayBridge)) {
            told.push_back(std::move(route));
        }
    }
    std::vector<std::string> networks;
    networks.reserve(told.size());
    for (const auto& route : told) {
        networks.push_back(fmt::format("{} {}", route.prefix, route.user));
    }
    for (const auto& resolver : resolvers) {
        networks.push_back(fmt::format("{}/{} the resolver", resolver, resolver.bits()));
    }
    return networks;
}

}  // namespace warren::agent
