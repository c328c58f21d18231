#include "overlay/gateway_bridge.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "overlay/diff.h"
#include "overlay/ipam.h"
#include "overlay/underlay.h"

namespace warren::overlay {

namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr base::Log kLog{"gateway"};
constexpr std::uint8_t kSubnetLength = 20;  // 4,093 containers
constexpr base::Mtu kEthernet{1500};
// Of the host's namespace among those that a LinkWatch knows by networks.
constexpr base::NetworkId kHost{};

// Any cluster's; also an end of a pair that a crash left without a mark.
bool is_gateways(const netlink::Link& link) {
    const auto parts = base::split(link.alias, ':');
    return (parts.size() >= 3 && parts[0] == "warren" && parts[2] == "gateway") || is_ours(link, gateway_mark({}));
}

// Writes a sysctl of IPv4 unless it is so already; whether it had to.
Result<bool> set_sysctl(const std::string& name, std::string_view value) {
    const auto path = fmt::format("/proc/sys/net/ipv4/{}", name);
    WARREN_TRY_ASSIGN(const auto now, base::read_file(path));
    if (now == fmt::format("{}\n", value)) {
        return false;
    }
    const base::UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
        return base::fail_errno(fmt::format("set net.ipv4.{} to {}", name, value), errno);
    }
    return true;
}

// False too where the kernel has no such thing.
bool bridges_hand_to_iptables() {
    return base::read_file("/proc/sys/net/bridge/bridge-nf-call-iptables").value_or("") == "1\n";
}

Status prepare_host() {
    WARREN_TRY_ASSIGN(const bool forwards, set_sysctl("ip_forward", "1"));
    if (forwards) {
        kLog.warn("net.ipv4.ip_forward was 0 and is 1 now: containers need it to get out of this host");
    }
    WARREN_TRY(set_sysctl(fmt::format("conf/{}/route_localnet", kGatewayBridge), "1"));
    return {};
}

}  // namespace

Result<GatewayBridge> GatewayBridge::open() {
    WARREN_TRY_ASSIGN(auto home, open_namespace(netlink::Namespace::current()));
    WARREN_TRY_ASSIGN(auto watch, LinkWatch::open());
    WARREN_TRY_ASSIGN(auto table, NftTable::open(kGatewayTable));
    return GatewayBridge(std::move(home), std::move(watch), std::move(table));
}

Status GatewayBridge::choose_subnet(const base::ClusterId& cluster, const std::set<base::Prefix>& networks) {
    const auto taken = [&](const base::Prefix& subnet) {
        return std::any_of(networks.begin(), networks.end(), [&](const auto& other) { return other.overlaps(subnet); });
    };
    if (!subnet_) {
        if (const auto link = netlink::read_link(home_.socket, kGatewayBridge);
            link && link->alias == gateway_mark(cluster)) {
            WARREN_TRY_ASSIGN(const auto addresses, netlink::read_addresses(home_.socket, link->index));
            for (const auto& address : addresses) {
                if (address.prefix.address.family == base::Family::kIpv4) {
                    subnet_ = base::Prefix{.address = address.prefix.network(), .length = address.prefix.length};
                }
            }
        }
    }
    if (subnet_ && !taken(*subnet_)) {
        return {};
    }
    WARREN_TRY_ASSIGN(auto used, host_routes());
    for (const auto& network : networks) {
        used.push_back({.prefix = network, .user = "a network"});
    }
    Result<base::Prefix> found = base::fail(Code::kExhausted, "no pool");
    for (const auto* pool : {"172.16.0.0/12", "192.168.0.0/16"}) {
        WARREN_TRY_ASSIGN(const auto prefix, base::parse_prefix("pool", pool));
        if (found = allocate_subnet(prefix, kSubnetLength, used); found) {
            places_.clear();  // interfaces with addresses of another subnet are made anew
            subnet_ = *found;
            return {};
        }
    }
    return base::fail_in(fmt::format("no subnet is left for {}", kGatewayBridge), std::move(found));
}

// What a former process gave it.
std::optional<GatewayBridge::Place> GatewayBridge::adopt(const base::ClusterId& cluster,
                                                         netlink::Socket& container) const {
    const auto links = netlink::read_links(container);
    const auto addresses = netlink::read_addresses(container);
    if (!links || !addresses) {
        return std::nullopt;
    }
    const auto mark = gateway_mark(cluster) + ":";
    for (const auto& link : *links) {
        const auto pair = link.alias.starts_with(mark)
                              ? base::parse_id<base::EndpointId>("pair", link.alias.substr(mark.size()))
                              : base::fail(Code::kNotFound, "not ours");
        for (const auto& address : *addresses) {
            if (pair && address.link == link.index && subnet_->contains(address.prefix.address)) {
                return Place{.pair = *pair, .ip = address.prefix.address};
            }
        }
    }
    return std::nullopt;
}

Result<base::IpAddress> GatewayBridge::free_address() const {
    AddressSet taken;
    for (const auto& [netns, place] : places_) {
        taken.insert(place.ip);
    }
    return allocate_address({.subnet = *subnet_, .gateway = gateway_address(*subnet_)}, taken, std::nullopt);
}

void GatewayBridge::place(const base::ClusterId& cluster, const std::vector<WantedContainer>& containers,
                          Report& report) {
    std::map<std::string, Place> kept;
    for (const auto& container : containers) {
        if (auto known = places_.extract(container.netns)) {
            kept.insert(std::move(known));
        }
    }
    places_ = std::move(kept);
    std::vector<const WantedContainer*> fresh;
    // Those that have an address already come first, so that nobody new is given it.
    for (const auto& container : containers) {
        if (places_.contains(container.netns)) {
            continue;
        }
        auto opened = open_namespace(netlink::Namespace::open_path(container.netns));
        if (!opened) {
            report.container_errors.emplace(container.netns, std::move(opened).error().in(container.name));
        } else if (const auto place = adopt(cluster, opened->socket)) {
            places_.emplace(container.netns, *place);
        } else {
            fresh.push_back(&container);
        }
    }
    for (const auto* container : fresh) {
        auto ip = free_address();
        if (!ip) {
            report.container_errors.emplace(container->netns, std::move(ip).error().in(kGatewayBridge));
            continue;
        }
        places_.emplace(container->netns, Place{.pair = base::random_id<base::EndpointId>(), .ip = *ip});
    }
}

Status GatewayBridge::write_rules(const Gateway& gateway, Report& report) {
    auto ruleset = gateway_ruleset(gateway);
    WARREN_TRY_ASSIGN(const bool intact, table_.intact());
    if (intact && ruleset == ruleset_) {
        return {};
    }
    if (auto written = table_.run(ruleset); !written) {
        return base::fail_in(fmt::format("put the table inet {}", kGatewayTable), std::move(written));
    }
    ++report.changes;
    WARREN_TRY_ASSIGN(auto now, table_.listing());
    table_.accept(std::move(now));
    ruleset_ = std::move(ruleset);
    return {};
}

GatewayBridge::Report GatewayBridge::apply(const base::ClusterId& cluster,
                                           const std::vector<WantedContainer>& containers,
                                           const std::set<base::Prefix>& networks) {
    Report report;
    const auto note = [&](const Status& status) {
        if (!status) {
            report.problems.push_back(status.error().message());
        }
        return static_cast<bool>(status);
    };
    if (containers.empty()) {
        if (there_) {
            note(remove());
        }
        return report;
    }
    there_ = true;
    if (!listens_) {
        listens_ = note(watch_.watch(kHost, home_.ns));  // before the look, so that no change is missed
    }
    if (!note(choose_subnet(cluster, networks))) {
        return report;
    }
    place(cluster, containers, report);
    const auto uplink = default_underlay();
    Gateway gateway{.cluster = cluster,
                    .subnet = *subnet_,
                    .mtu = uplink ? std::min(uplink->mtu, kEthernet) : kEthernet,
                    .containers = {},
                    .bridge_netfilter = bridges_hand_to_iptables()};
    Subject subject{.what = "the host", .want = {}, .names = {}, .passing_name = {}, .port = {}};
    for (const auto& container : containers) {
        const auto found = places_.find(container.netns);
        if (found != places_.end()) {
            const auto& [pair, ip] = found->second;
            gateway.containers.push_back({.pair = pair,
                                          .name = container.name,
                                          .netns = container.netns,
                                          .ip = ip,
                                          .published = container.published});
            subject.names.emplace(pair, container.name);
        }
    }
    if (!note(write_rules(gateway, report))) {
        return report;
    }
    subject.want = desired(gateway);
    const auto outcome = bring(home_.socket, home_, subject);
    report.changes += outcome.changes;
    for (const auto& error : outcome.errors) {
        report.problems.push_back(error.message());
    }
    for (const auto& container : gateway.containers) {
        if (const auto error = outcome.endpoint_errors.find(container.pair); error != outcome.endpoint_errors.end()) {
            report.container_errors.emplace(container.netns, error->second);
        } else {
            report.addresses.emplace(container.netns, container.ip);
        }
    }
    if (outcome.errors.empty()) {
        note(prepare_host());
    }
    return report;
}

Status GatewayBridge::remove() {
    watch_.forget(kHost);
    listens_ = false;
    WARREN_TRY_ASSIGN(const auto links, netlink::read_links(home_.socket));
    std::vector<netlink::Message> messages;
    for (const auto& link : links) {
        if (is_gateways(link)) {
            messages.push_back(netlink::delete_link(link.index));
        }
    }
    for (const auto& result : home_.socket.transact(messages)) {
        if (!result && result.error().sys_errno() != ENODEV) {
            return tl::unexpected(base::Error(result.error()).in(fmt::format("take down {}", kGatewayBridge)));
        }
    }
    WARREN_TRY_ASSIGN(const auto table, table_.listing());
    if (table) {
        WARREN_TRY(table_.run(gateway_removal()));
    }
    table_.accept_nothing();
    ruleset_.clear();
    places_.clear();
    subnet_.reset();
    there_ = false;
    return {};
}

bool GatewayBridge::handle_events() {
    const bool links = !watch_.take().empty();
    const auto rules = table_.take_events();
    return there_ && (links || !rules || *rules);
}

}  // namespace warren::overlay
