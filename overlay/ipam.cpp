#include "overlay/ipam.h"

#include <algorithm>

namespace warren::overlay {

namespace {

using base::Code;
using base::fail;
using base::IpAddress;
using base::Prefix;

std::uint64_t size_of(const Prefix& prefix) {
    return std::uint64_t{1} << (prefix.address.bits() - prefix.length);
}

Prefix v4_prefix(const char* text, std::uint8_t length) {
    return {.address = base::parse_ip("", text).value(), .length = length};
}

// IPv4 ranges that no container can be reached in (RFC 6890, RFC 1112).
struct ForbiddenRange {
    Prefix prefix;
    std::string_view what;
};
const std::vector<ForbiddenRange>& forbidden_ranges() {
    static const std::vector<ForbiddenRange> ranges{
        {v4_prefix("0.0.0.0", 8), "\"this network\""}, {v4_prefix("127.0.0.0", 8), "loopback"},
        {v4_prefix("169.254.0.0", 16), "link-local"},  {v4_prefix("224.0.0.0", 4), "multicast"},
        {v4_prefix("240.0.0.0", 4), "reserved"},
    };
    return ranges;
}

base::Status check_range(std::string_view what, const Prefix& prefix) {
    if (prefix.address.family != base::Family::kIpv4) {
        return fail(Code::kInvalid, "{} {}: must be an IPv4 subnet", what, prefix);
    }
    if (!prefix.is_subnet()) {
        return fail(Code::kInvalid, "{} {}: has bits set behind the prefix; the subnet is {}", what, prefix,
                    Prefix{.address = prefix.network(), .length = prefix.length});
    }
    for (const auto& range : forbidden_ranges()) {
        if (range.prefix.overlaps(prefix)) {
            return fail(Code::kInvalid, "{} {}: must not be in the {} range {}", what, prefix, range.what,
                        range.prefix);
        }
    }
    return {};
}

base::Status check_length(std::string_view what, const Prefix& prefix, std::uint8_t narrowest) {
    if (prefix.length < kWidestSubnet || prefix.length > narrowest) {
        return fail(Code::kInvalid, "{} {}: the prefix length must be {} to {}", what, prefix, kWidestSubnet,
                    narrowest);
    }
    return {};
}

bool has_role(const AddressPool& pool, const IpAddress& ip) {
    return ip == pool.gateway || ip == pool.subnet.network() || ip == pool.subnet.last();
}

std::string_view role_of(const AddressPool& pool, const IpAddress& ip) {
    return ip == pool.gateway ? "gateway" : ip == pool.subnet.network() ? "network address" : "broadcast address";
}

}  // namespace

base::Status check_subnet(std::string_view what, const Prefix& subnet, std::span<const UsedSubnet> used) {
    WARREN_TRY(check_range(what, subnet));
    WARREN_TRY(check_length(what, subnet, kNarrowestSubnet));
    for (const auto& other : used) {
        if (other.prefix.overlaps(subnet)) {
            return fail(Code::kConflict, "{} {}: overlaps {} of {}; choose another one", what, subnet, other.prefix,
                        other.user);
        }
    }
    return {};
}

base::Status check_pool(std::string_view what, const Prefix& pool, std::uint8_t size) {
    WARREN_TRY(check_range(what, pool));
    WARREN_TRY(check_length(what, pool, kNarrowestSubnet));
    if (size < pool.length || size > kNarrowestSubnet) {
        return fail(Code::kInvalid, "{} {}: cannot be cut into subnets of /{}: the size must be {} to {}", what, pool,
                    size, pool.length, kNarrowestSubnet);
    }
    return {};
}

base::Result<Prefix> allocate_subnet(const Prefix& pool, std::uint8_t size, std::span<const UsedSubnet> used) {
    WARREN_TRY(check_pool("subnet pool", pool, size));
    const std::uint64_t end = std::uint64_t{pool.network().as_v4()} + size_of(pool);
    std::vector<Prefix> taken;
    for (const auto& other : used) {
        if (other.prefix.overlaps(pool)) {
            taken.push_back(other.prefix);
        }
    }
    std::sort(taken.begin(), taken.end(), [](const Prefix& a, const Prefix& b) { return a.network() < b.network(); });
    std::uint64_t at = pool.network().as_v4();
    for (const auto& other : taken) {
        const std::uint64_t begin = other.network().as_v4();
        const std::uint64_t piece = std::uint64_t{1} << (32U - size);
        if (begin >= at + piece) {
            break;
        }
        // The next piece that begins behind the taken one.
        const std::uint64_t behind = (begin + size_of(other) + piece - 1) / piece * piece;
        at = std::max(at, behind);
    }
    if (at >= end) {
        return fail(Code::kExhausted, "the subnet pool {} has no free /{} left: give a subnet, or remove a network",
                    pool, size);
    }
    return Prefix{.address = IpAddress::v4(static_cast<std::uint32_t>(at)), .length = size};
}

IpAddress default_gateway(const Prefix& subnet) {
    return IpAddress::v4(subnet.network().as_v4() + 1);
}

base::Status check_gateway(std::string_view what, const Prefix& subnet, const IpAddress& gateway) {
    if (!subnet.contains(gateway) || gateway == subnet.network() || gateway == subnet.last()) {
        return fail(Code::kInvalid, "{} {}: must be a host address of the subnet {}", what, gateway, subnet);
    }
    return {};
}

base::Status check_address_range(std::string_view what, const Prefix& subnet, const Prefix& range) {
    if (!range.is_subnet() || !subnet.contains(range.network()) || !subnet.contains(range.last())) {
        return fail(Code::kInvalid, "{} {}: must be a part of the subnet {}", what, range, subnet);
    }
    return {};
}

base::Status check_reserved(std::string_view what, const AddressPool& pool, const IpAddress& ip) {
    if (!pool.subnet.contains(ip)) {
        return fail(Code::kInvalid, "{} {}: must be in the network's subnet {}", what, ip, pool.subnet);
    }
    if (has_role(pool, ip)) {
        return fail(Code::kInvalid, "{} {}: is the {} of the subnet {}", what, ip, role_of(pool, ip), pool.subnet);
    }
    return {};
}

base::Status check_address(std::string_view what, const AddressPool& pool, const Taken& taken, const IpAddress& ip) {
    WARREN_TRY(check_reserved(what, pool, ip));
    if (const auto reserved = pool.reserved.find(ip); reserved != pool.reserved.end()) {
        return fail(Code::kConflict, "{} {}: is reserved for '{}' (--aux-address); choose another one", what, ip,
                    reserved->second);
    }
    if (taken(ip)) {
        return fail(
            Code::kConflict,
            "{} {}: is taken by another endpoint of the network; choose another one, or none for the next that is free",
            what, ip);
    }
    return {};
}

base::Result<IpAddress> allocate_address(const AddressPool& pool, const Taken& taken,
                                         const std::optional<IpAddress>& last) {
    const Prefix range = pool.range.value_or(pool.subnet);
    const std::uint64_t size = size_of(range);
    const std::uint32_t first = range.network().as_v4();
    const std::uint64_t from = last && range.contains(*last) ? std::uint64_t{last->as_v4()} - first : size - 1;
    for (std::uint64_t step = 1; step <= size; ++step) {
        const IpAddress ip = IpAddress::v4(first + static_cast<std::uint32_t>((from + step) % size));
        if (!has_role(pool, ip) && !pool.reserved.contains(ip) && !taken(ip)) {
            return ip;
        }
    }
    return fail(Code::kExhausted, "all addresses of the {} {} are taken", pool.range ? "range" : "subnet", range);
}

base::Result<std::uint32_t> allocate_number(std::string_view what, const NumberRange& range, const NumberUse& use,
                                            base::Time now) {
    std::optional<base::Time> next;
    std::uint64_t candidate = range.first;
    for (auto it = use.lower_bound(range.first); it != use.end() && candidate <= range.last; ++it) {
        const auto& freed = it->second;
        if (it->first > candidate || (freed && now - *freed >= kNumberRest)) {
            break;
        }
        if (freed) {
            next = std::min(next.value_or(*freed + kNumberRest), *freed + kNumberRest);
        }
        candidate = std::uint64_t{it->first} + 1;
    }
    if (candidate <= range.last) {
        return static_cast<std::uint32_t>(candidate);
    }
    if (next) {
        return fail(Code::kExhausted,
                    "all {} numbers {} to {} are in use or were freed within the last day; one is free again in {}",
                    what, range.first, range.last, base::format_age(*next - now));
    }
    return fail(Code::kExhausted, "all {} numbers {} to {} are in use", what, range.first, range.last);
}

std::vector<std::uint32_t> rested_numbers(const NumberUse& use, base::Time now) {
    std::vector<std::uint32_t> out;
    for (const auto& [number, freed] : use) {
        if (freed && now - *freed >= kNumberRest) {
            out.push_back(number);
        }
    }
    return out;
}

}  // namespace warren::overlay
