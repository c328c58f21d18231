#include "overlay/gateway_bridge.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "overlay/diff.h"
#include "overlay/ipam.h"
#include "overlay/sysctl.h"
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

// False too where the kernel has no such thing.
bool bridges_hand_to_iptables() {
    return read_sysctl("bridge/bridge-nf-call-iptables").value_or(std::nullopt) == "1";
}

Status prepare_host(const Gateway& gateway) {
    WARREN_TRY_ASSIGN(const bool forwards, set_sysctl("ipv4/ip_forward", "1"));
    if (forwards) {
        kLog.warn("net.ipv4.ip_forward was 0 and is 1 now: containers need it to get out of this host");
    }
    WARREN_TRY(set_sysctl(fmt::format("ipv4/conf/{}/route_localnet", kGatewayBridge),
                          publishes_on_loopback(gateway) ? "1" : "0"));
    return {};
}

}  // namespace

Result<GatewayBridge> GatewayBridge::open() {
    WARREN_TRY_ASSIGN(auto home, open_namespace(netlink::Namespace::current()));
    WARREN_TRY_ASSIGN(auto watch, LinkWatch::open());
    WARREN_TRY_ASSIGN(auto table, NftTable::open(kGatewayTable, {kGatewayFamilies.begin(), kGatewayFamilies.end()}));
    return GatewayBridge(std::move(home), std::move(watch), std::move(table));
}

// What of it is there.
Status GatewayBridge::look(const std::vector<netlink::Link>& links) {
    found_.clear();
    links_.clear();
    for (const auto& link : links) {
        if (const auto owner = parse_pair_mark(cluster_, link.alias)) {
            found_.emplace(link.alias, *owner);
            links_.insert(link.index);
        }
        if (link.alias != gateway_mark(cluster_)) {
            continue;
        }
        links_.insert(link.index);
        WARREN_TRY_ASSIGN(const auto addresses, netlink::read_addresses(home_.socket, link.index));
        for (const auto& address : addresses) {
            if (!subnet_ && address.prefix.address.family == base::Family::kIpv4) {
                subnet_ = base::Prefix{.address = address.prefix.network(), .length = address.prefix.length};
            }
        }
    }
    return {};
}

Status GatewayBridge::choose_subnet(const Wanted& wanted) {
    std::vector<UsedSubnet> used;
    for (const auto& network : wanted.networks) {
        used.push_back({.prefix = network, .user = "a network"});
    }
    for (const auto& ip : wanted.needed) {
        used.push_back(
            {.prefix = {.address = ip, .length = static_cast<std::uint8_t>(ip.bits())}, .user = "this host"});
    }
    if (subnet_ &&
        std::none_of(used.begin(), used.end(), [this](const auto& other) { return other.prefix.overlaps(*subnet_); })) {
        return {};
    }
    WARREN_TRY_ASSIGN(const auto routes, host_routes());
    used.insert(used.end(), routes.begin(), routes.end());
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

// As late as possible one that was freed: others' connections to it may still be remembered.
Result<base::IpAddress> GatewayBridge::free_address() {
    const auto taken = [this](const base::IpAddress& ip) {
        const auto has = [&](const auto& entry) { return entry.second.ip == ip; };
        return std::any_of(places_.begin(), places_.end(), has) || std::any_of(found_.begin(), found_.end(), has);
    };
    WARREN_TRY_ASSIGN(const auto ip,
                      allocate_address({.subnet = *subnet_, .gateway = gateway_address(*subnet_)}, taken, last_));
    last_ = ip;
    return ip;
}

void GatewayBridge::place(const Wanted& wanted, Report& report) {
    std::map<std::string, PairOwner> kept;
    for (const auto& container : wanted.containers) {
        if (auto known = places_.extract(container.netns)) {
            kept.insert(std::move(known));
        }
    }
    places_ = std::move(kept);
    for (const auto& container : wanted.containers) {
        const auto known = places_.find(container.netns);
        const auto there = netlink::identity_at(container.netns);
        if (known != places_.end() && there && *there == known->second.identity) {
            continue;
        }
        const auto opened = netlink::Namespace::open_path(container.netns);
        if (!opened) {
            report.container_errors.emplace(container.netns,
                                            base::Error(opened.error()).in(fmt::format("endpoint {}", container.name)));
            continue;
        }
        const auto found = std::find_if(found_.begin(), found_.end(), [&](const auto& entry) {
            return entry.second.identity == opened->identity() && subnet_->contains(entry.second.ip);
        });
        if (found != found_.end()) {
            places_.insert_or_assign(container.netns, found->second);
            continue;
        }
        auto ip = known != places_.end() ? Result<base::IpAddress>(known->second.ip) : free_address();
        if (!ip) {
            report.container_errors.emplace(container.netns, std::move(ip).error().in(kGatewayBridge));
            continue;
        }
        places_.insert_or_assign(
            container.netns,
            PairOwner{.pair = base::random_id<base::EndpointId>(), .ip = *ip, .identity = opened->identity()});
    }
}

// Pairs that are there and that nobody is known to have.
std::vector<PairOwner> GatewayBridge::strangers() const {
    std::vector<PairOwner> list;
    for (const auto& [alias, owner] : found_) {
        const bool known = std::any_of(places_.begin(), places_.end(),
                                       [&pair = owner.pair](const auto& entry) { return entry.second.pair == pair; });
        if (!known) {
            list.push_back(owner);
        }
    }
    return list;
}

Status GatewayBridge::write_rules(const Gateway& gateway, Report& report) {
    auto ruleset = gateway_ruleset(gateway);
    WARREN_TRY_ASSIGN(const bool intact, table_.intact());
    if (intact && ruleset == ruleset_) {
        return {};
    }
    if (!intact) {
        report.changed_by = std::exchange(rules_changed_by_, {});
    }
    ruleset_.clear();
    if (auto put = table_.put(ruleset, ruleset); !put) {
        return base::fail_in(fmt::format("put the tables {}", kGatewayTable), std::move(put));
    }
    ruleset_ = std::move(ruleset);
    ++report.changes;
    return {};
}

GatewayBridge::Report GatewayBridge::apply(const Wanted& wanted) {
    Report report;
    const auto note = [&](const Status& status) {
        if (!status) {
            report.problems.push_back(status.error().message());
        }
        return static_cast<bool>(status);
    };
    if (wanted.containers.empty()) {
        if (there_) {
            note(remove());
        }
        return report;
    }
    there_ = true;
    cluster_ = wanted.cluster;
    // Before the look, so that no change is missed.
    note(watch_.watch(kHost, home_.ns, [this](const auto& event) { return concerns(event); }));
    const auto links = netlink::read_links(home_.socket);
    if (!links) {
        report.problems.push_back(links.error().message());
        return report;
    }
    if (!note(look(*links)) || !note(choose_subnet(wanted))) {
        return report;
    }
    place(wanted, report);
    const auto uplink = default_underlay();
    Gateway gateway{.cluster = wanted.cluster,
                    .subnet = *subnet_,
                    .mtu = uplink ? std::min(uplink->mtu, kEthernet) : kEthernet,
                    .containers = {},
                    .plain_port = wanted.plain_port,
                    .bridge_netfilter = bridges_hand_to_iptables()};
    Subject subject{.what = "the host", .want = {}, .names = {}, .passing_name = {}, .port = {}};
    for (const auto& container : wanted.containers) {
        if (const auto found = places_.find(container.netns); found != places_.end()) {
            gateway.containers.push_back({.pair = found->second.pair,
                                          .name = container.name,
                                          .netns = container.netns,
                                          .identity = found->second.identity,
                                          .ip = found->second.ip,
                                          .published = container.published});
            subject.names.emplace(found->second.pair, container.name);
        }
    }
    if (!report.container_errors.empty()) {
        gateway.strangers = strangers();  // one may be his whose namespace can't be opened
    }
    if ((gateway.containers.empty() && gateway.strangers.empty()) || !note(write_rules(gateway, report))) {
        return report;
    }
    subject.want = desired(gateway);
    const auto outcome = bring(home_.socket, home_, subject, familiar_);
    report.changes += outcome.changes;
    report.of_containers = outcome.of_endpoints;
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
        note(prepare_host(gateway));
    }
    if (outcome.changes > 0) {
        note(look(outcome.links));  // whose events matter from now on
    }
    return report;
}

Status GatewayBridge::remove() {
    watch_.forget(kHost);
    familiar_.forget();
    WARREN_TRY_ASSIGN(const auto links, netlink::read_links(home_.socket));
    std::vector<netlink::Message> messages;
    for (const auto& link : links) {
        if (is_of(link, kGatewaySubject)) {
            messages.push_back(netlink::delete_link(link.index));
        }
    }
    for (const auto& result : home_.socket.transact(messages)) {
        if (!result && result.error().sys_errno() != ENODEV) {
            return tl::unexpected(base::Error(result.error()).in(fmt::format("take down {}", kGatewayBridge)));
        }
    }
    WARREN_TRY_ASSIGN(const auto rules, table_.listing());
    if (!rules.empty()) {
        WARREN_TRY(table_.run(gateway_removal()));
    }
    ruleset_.clear();
    places_.clear();
    found_.clear();
    links_.clear();
    subnet_.reset();
    last_.reset();
    there_ = false;
    return {};
}

// Whether it may be about an object of ours: the host's namespace is full of others'.
bool GatewayBridge::concerns(const netlink::Received& event) const {
    if (const auto entry = netlink::decode_fdb(event); entry && *entry) {
        return links_.contains((*entry)->link);
    }
    if (const auto neighbour = netlink::decode_neighbour(event); neighbour && *neighbour) {
        return links_.contains((*neighbour)->link);
    }
    if (const auto address = netlink::decode_address(event); address && *address) {
        return links_.contains((*address)->link) && !(*address)->prefix.address.is_link_local();
    }
    const auto link = netlink::decode_link(event);
    return !link || !*link || links_.contains((*link)->index) || (*link)->name == kGatewayBridge ||
           is_of(**link, kGatewaySubject);
}

bool GatewayBridge::handle_events() {
    const bool links = !watch_.take().empty();
    const auto rules = table_.take_events();
    if (rules && *rules && !(*rules)->empty()) {
        rules_changed_by_ = **rules;
    }
    return there_ && (links || !rules || *rules);
}

}  // namespace warren::overlay
