#include "manager/addressing.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <span>

namespace warren::manager {

namespace {

using base::Code;
using base::fail;
using base::Family;
using overlay::AddressPool;
using overlay::UsedSubnet;

// A route for much more than the subnet (10.0.0.0/8 into a company's network, say) is no conflict: whoever chooses a
// subnet of that knows that it is free, and without such a choice the other ones come first. Wider than these are:
constexpr std::uint8_t kWideRoute4 = 16;
constexpr std::uint8_t kWideRoute6 = 48;
constexpr std::uint8_t kLocalPrefix = 48;
constexpr std::uint8_t kLocalSubnet = 64;

std::vector<UsedSubnet> subnets_in_use(const Cluster& cluster) {
    std::vector<UsedSubnet> used;
    for (const auto& [id, network] : cluster.networks()) {
        for (const auto& subnet : network.record().subnets()) {
            used.push_back({.prefix = subnet_of(subnet), .user = fmt::format("network {}", network.record().name())});
        }
    }
    return used;
}

// What the nodes' hosts have themselves. A container could not reach it past a network of the same addresses.
std::vector<UsedSubnet> host_networks(const Cluster& cluster) {
    std::vector<UsedSubnet> used;
    for (const auto& [id, node] : cluster.nodes()) {
        for (const auto& text : node.record.host_networks()) {
            const auto blank = text.find(' ');
            const auto prefix = base::parse_prefix("host network", text.substr(0, blank));
            if (prefix && blank != std::string::npos) {
                used.push_back({.prefix = {.address = prefix->network(), .length = prefix->length},
                                .user = fmt::format("{} of node {}", text.substr(blank + 1), node.record.name())});
            }
        }
    }
    return used;
}

void add_narrow(std::vector<UsedSubnet>& used, const std::vector<UsedSubnet>& more, std::uint8_t length) {
    std::ranges::copy_if(more, std::back_inserter(used), [&](const UsedSubnet& it) {
        const auto wide = it.prefix.address.family == Family::kIpv4 ? kWideRoute4 : kWideRoute6;
        return it.prefix.length >= std::min(length, wide);
    });
}

// Gives out subnets of one network, which must not overlap one another either.
class Subnets {
  public:
    explicit Subnets(const Cluster& cluster)
        : cluster_(cluster), used_(subnets_in_use(cluster)), hosts_(host_networks(cluster)) {}

    base::Result<base::Prefix> check(const std::string& text) {
        WARREN_TRY_ASSIGN(const auto subnet, base::parse_prefix("--subnet", text));
        auto used = used_;
        add_narrow(used, hosts_, subnet.length);
        WARREN_TRY(overlay::check_subnet("--subnet", subnet, used));
        return take(subnet);
    }

    base::Result<base::Prefix> next(Family family) {
        if (family == Family::kIpv6) {
            return next(local_prefix(cluster_.id()), kLocalSubnet);
        }
        WARREN_TRY_ASSIGN(const auto pool, base::parse_prefix("subnet pool", cluster_.settings().subnet_pool()));
        return next(pool, static_cast<std::uint8_t>(cluster_.settings().subnet_size()));
    }

  private:
    base::Result<base::Prefix> next(const base::Prefix& pool, std::uint8_t size) {
        auto avoided = used_;
        avoided.insert(avoided.end(), hosts_.begin(), hosts_.end());
        auto free = overlay::allocate_subnet(pool, size, avoided);
        if (!free) {
            avoided = used_;
            add_narrow(avoided, hosts_, size);
            free = overlay::allocate_subnet(pool, size, avoided);
        }
        WARREN_TRY_ASSIGN(const auto subnet, std::move(free));
        return take(subnet);
    }

    base::Prefix take(const base::Prefix& subnet) {
        used_.push_back({.prefix = subnet, .user = "the same command"});
        return subnet;
    }

    const Cluster& cluster_;
    std::vector<UsedSubnet> used_;
    std::vector<UsedSubnet> hosts_;
};

AddressPool pool_with(const base::Prefix& subnet) {
    return {.subnet = subnet, .gateway = overlay::default_gateway(subnet)};
}

base::Result<std::vector<NetworkPart>> pair_up(const Cluster& cluster, const v1::NetworkCreateRequest& request) {
    Subnets subnets(cluster);
    std::vector<base::Prefix> ipv4;
    std::vector<base::Prefix> ipv6;
    for (const auto& text : request.subnets()) {
        WARREN_TRY_ASSIGN(const auto subnet, subnets.check(text));
        (subnet.address.family == Family::kIpv4 ? ipv4 : ipv6).push_back(subnet);
    }
    if (ipv4.empty()) {
        WARREN_TRY_ASSIGN(const auto subnet, subnets.next(Family::kIpv4));
        ipv4.push_back(subnet);
    }
    if (ipv6.size() > ipv4.size()) {
        return fail(Code::kInvalid,
                    "--subnet {}: has no IPv4 subnet to go with: the first one of IPv6 goes with the first one of "
                    "IPv4, and so on; give as many of each",
                    ipv6[ipv4.size()]);
    }
    while (request.ipv6() && ipv6.size() < ipv4.size()) {
        WARREN_TRY_ASSIGN(const auto subnet, subnets.next(Family::kIpv6));
        ipv6.push_back(subnet);
    }
    std::vector<NetworkPart> parts;
    for (std::size_t i = 0; i < ipv4.size(); ++i) {
        parts.push_back(
            {.ipv4 = pool_with(ipv4[i]), .ipv6 = i < ipv6.size() ? std::optional(pool_with(ipv6[i])) : std::nullopt});
    }
    return parts;
}

std::vector<AddressPool*> pools_of(std::vector<NetworkPart>& parts) {
    std::vector<AddressPool*> pools;
    for (auto& part : parts) {
        pools.push_back(&part.ipv4);
        if (part.ipv6) {
            pools.push_back(&*part.ipv6);
        }
    }
    return pools;
}

std::string list_of(const std::vector<base::Prefix>& subnets) {
    std::string text;
    for (const auto& subnet : subnets) {
        text += fmt::format("{}{}", text.empty() ? "" : ", ", subnet);
    }
    return text;
}

base::Error in_no_subnet(std::string_view what, const base::IpAddress& ip, const std::vector<base::Prefix>& subnets) {
    return {Code::kInvalid,
            subnets.size() == 1
                ? fmt::format("{} {}: must be in the network's subnet {}", what, ip, subnets.front())
                : fmt::format("{} {}: must be in one of the network's subnets {}", what, ip, list_of(subnets))};
}

// The subnet that an option is about.
base::Result<AddressPool*> pool_about(std::string_view what, const base::IpAddress& ip,
                                      const std::vector<AddressPool*>& pools) {
    std::vector<base::Prefix> subnets;
    for (auto* pool : pools) {
        if (pool->subnet.contains(ip)) {
            return pool;
        }
        subnets.push_back(pool->subnet);
    }
    return tl::unexpected(in_no_subnet(what, ip, subnets));
}

base::Status take_gateways(const v1::NetworkCreateRequest& request, const std::vector<AddressPool*>& pools) {
    std::vector<const AddressPool*> given;
    for (const auto& text : request.gateways()) {
        WARREN_TRY_ASSIGN(const auto ip, base::parse_ip("--gateway", text));
        WARREN_TRY_ASSIGN(auto* const pool, pool_about("--gateway", ip, pools));
        WARREN_TRY(overlay::check_gateway("--gateway", pool->subnet, ip));
        if (std::find(given.begin(), given.end(), pool) != given.end()) {
            return fail(Code::kInvalid, "--gateway {}: the subnet {} has one already", ip, pool->subnet);
        }
        given.push_back(pool);
        pool->gateway = ip;
    }
    return {};
}

base::Status take_ranges(const v1::NetworkCreateRequest& request, const std::vector<AddressPool*>& pools) {
    for (const auto& text : request.ip_ranges()) {
        WARREN_TRY_ASSIGN(const auto range, base::parse_prefix("--ip-range", text));
        const auto found = std::find_if(pools.begin(), pools.end(),
                                        [&](const AddressPool* pool) { return pool->subnet.contains(range.address); });
        auto* const pool = found == pools.end() ? pools.front() : *found;
        WARREN_TRY(overlay::check_address_range("--ip-range", pool->subnet, range));
        if (pool->range) {
            return fail(Code::kInvalid, "--ip-range {}: the subnet {} has one already", range, pool->subnet);
        }
        pool->range = range;
    }
    return {};
}

base::Status take_reserved(const v1::NetworkCreateRequest& request, const std::vector<AddressPool*>& pools) {
    for (const auto& text : request.aux_addresses()) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            return fail(Code::kInvalid, "--aux-address '{}': must be NAME=IP", text);
        }
        const auto name = text.substr(0, equals);
        WARREN_TRY_ASSIGN(const auto ip, base::parse_ip("--aux-address", text.substr(equals + 1)));
        WARREN_TRY_ASSIGN(auto* const pool, pool_about("--aux-address", ip, pools));
        WARREN_TRY(overlay::check_reserved("--aux-address", *pool, ip));
        const bool named = std::any_of(pool->reserved.begin(), pool->reserved.end(),
                                       [&](const auto& other) { return other.second == name; });
        if (named) {
            return fail(Code::kInvalid, "--aux-address {}={}: the name is given twice", name, ip);
        }
        if (!pool->reserved.emplace(ip, name).second) {
            return fail(Code::kInvalid, "--aux-address {}: given twice", ip);
        }
    }
    return {};
}

// Where nothing is left, no endpoint would ever get an address.
base::Status check_some_left(const AddressPool& pool) {
    const auto nobody = [](const base::IpAddress& /*ip*/) { return false; };
    if (overlay::allocate_address(pool, nobody, std::nullopt)) {
        return {};
    }
    return fail(Code::kInvalid,
                "{} {}: must have an address to give out, beside the network, broadcast, gateway and reserved ones; "
                "choose a larger one",
                pool.range ? "--ip-range" : "--subnet", pool.range.value_or(pool.subnet));
}

// What is about a subnet makes sense only with the subnet.
base::Status check_about_given(const v1::NetworkCreateRequest& request) {
    const auto check = [&](std::string_view what, int count) -> base::Status {
        if (request.subnets().empty() && count > 0) {
            return fail(Code::kInvalid, "{}: needs the --subnet that it belongs to", what);
        }
        return {};
    };
    WARREN_TRY(check("--gateway", request.gateways_size()));
    WARREN_TRY(check("--ip-range", request.ip_ranges_size()));
    return check("--aux-address", request.aux_addresses_size());
}

void set_subnet(v1::SubnetRecord& record, const AddressPool& pool, std::uint32_t vni) {
    record.set_subnet(raw(pool.subnet.address));
    record.set_length(pool.subnet.length);
    record.set_gateway(raw(pool.gateway));
    record.set_vni(vni);
    if (pool.range) {
        record.set_range(raw(pool.range->address));
        record.set_range_length(pool.range->length);
    }
    for (const auto& [ip, name] : pool.reserved) {
        (*record.mutable_reserved())[name] = raw(ip);
    }
}

// The part that the addresses are in, by its VNI; nullopt: none is asked for.
base::Result<std::optional<std::uint32_t>> part_of(const v1::NetworkRecord& network,
                                                   const std::vector<base::IpAddress>& asked) {
    std::optional<std::uint32_t> part;
    std::optional<base::IpAddress> first;
    for (const auto& ip : asked) {
        const auto* subnet = subnet_with(network, ip);
        if (subnet == nullptr) {
            std::vector<base::Prefix> subnets;
            for (const auto& it : network.subnets()) {
                subnets.push_back(subnet_of(it));
            }
            return tl::unexpected(in_no_subnet("--ip", ip, subnets));
        }
        if (first && first->family == ip.family) {
            return fail(Code::kInvalid, "--ip {}: a second one of this family after {}: an endpoint has one of each",
                        ip, *first);
        }
        if (part && *part != subnet->vni()) {
            return fail(Code::kInvalid,
                        "--ip {}: is not beside {}: see 'network inspect' for the subnets that go together", ip,
                        *first);
        }
        part = subnet->vni();
        first = ip;
    }
    return part;
}

base::Result<ChosenAddresses> choose_in_part(const NetworkState& network, std::uint32_t vni,
                                             const std::vector<base::IpAddress>& asked, const overlay::Taken& taken,
                                             const overlay::Taken& rests) {
    const auto& members = network.members.record;
    ChosenAddresses chosen;
    for (int i = 0; i < network.record().subnets_size(); ++i) {
        const auto& subnet = network.record().subnets(i);
        if (subnet.vni() != vni) {
            continue;
        }
        const auto pool = pool_of(subnet);
        const auto wanted =
            std::find_if(asked.begin(), asked.end(), [&](const auto& ip) { return pool.subnet.contains(ip); });
        if (wanted != asked.end()) {
            WARREN_TRY(overlay::check_address("--ip", pool, taken, *wanted));
            chosen.list.push_back({.subnet = i, .ip = *wanted});
            continue;
        }
        const auto last = i < members.last_ips_size() ? ip_of(members.last_ips(i)) : std::nullopt;
        WARREN_TRY_ASSIGN(const auto ip, overlay::allocate_address(
                                             pool, [&](const auto& it) { return rests(it) || taken(it); }, last));
        chosen.list.push_back({.subnet = i, .ip = ip, .allocated = true});
    }
    return chosen;
}

}  // namespace

base::Prefix local_prefix(const base::ClusterId& cluster) {
    base::Prefix prefix{.address = {.family = Family::kIpv6, .bytes = {0xfd}}, .length = kLocalPrefix};
    std::copy_n(cluster.bytes.begin(), 5, prefix.address.bytes.begin() + 1);
    return prefix;
}

base::Result<std::vector<NetworkPart>> choose_parts(const Cluster& cluster, const v1::NetworkCreateRequest& request) {
    WARREN_TRY(check_about_given(request));
    WARREN_TRY_ASSIGN(auto parts, pair_up(cluster, request));
    const auto pools = pools_of(parts);
    WARREN_TRY(take_gateways(request, pools));
    WARREN_TRY(take_ranges(request, pools));
    WARREN_TRY(take_reserved(request, pools));
    for (const auto* pool : pools) {
        WARREN_TRY(check_some_left(*pool));
    }
    return parts;
}

void set_subnets(v1::NetworkRecord& record, const std::vector<NetworkPart>& parts,
                 const std::vector<std::uint32_t>& vnis) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
        set_subnet(*record.add_subnets(), parts[i].ipv4, vnis[i]);
        if (parts[i].ipv6) {
            set_subnet(*record.add_subnets(), *parts[i].ipv6, vnis[i]);
        }
    }
}

base::Result<ChosenAddresses> choose_addresses(const NetworkState& network, const std::vector<base::IpAddress>& asked,
                                               const overlay::Taken& taken, const overlay::Taken& rests) {
    WARREN_TRY_ASSIGN(const auto part, part_of(network.record(), asked));
    if (part) {
        return choose_in_part(network, *part, asked, taken, rests);
    }
    base::Result<ChosenAddresses> chosen = fail(Code::kInternal, "the network has no subnet");
    for (const auto vni : vnis_of(network.record())) {
        if (chosen = choose_in_part(network, vni, asked, taken, rests); chosen) {
            break;
        }
    }
    return chosen;
}

}  // namespace warren::manager
