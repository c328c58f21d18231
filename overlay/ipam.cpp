#include "overlay/ipam.h"

#include <algorithm>

namespace warren::overlay {

namespace {

using base::Code;
using base::fail;
using base::IpAddress;
using base::Prefix;

// More than anybody will ever use of an IPv6 subnet.
constexpr std::uint64_t kMostCounted = std::uint64_t{1} << 63U;

// How many addresses, or kMostCounted.
std::uint64_t size_of(const Prefix& prefix) {
    const unsigned bits = prefix.address.bits() - prefix.length;
    return bits < 63 ? std::uint64_t{1} << bits : kMostCounted;
}

// How far behind the first address; nullopt: not among the kMostCounted first ones.
std::optional<std::uint64_t> offset_in(const Prefix& prefix, const IpAddress& ip) {
    const auto offset = ip.low() - prefix.network().low();
    const bool near = prefix.contains(ip) && offset < size_of(prefix) && prefix.network().plus(offset) == ip;
    return near ? std::optional(offset) : std::nullopt;
}

Prefix range_of(const char* text, std::uint8_t length) {
    return {.address = base::parse_ip("", text).value(), .length = length};
}

// Ranges that no container can be reached in (RFC 6890, RFC 1112, RFC 4291).
struct ForbiddenRange {
    Prefix prefix;
    std::string_view what;
};
const std::vector<ForbiddenRange>& forbidden_ranges() {
    static const std::vector<ForbiddenRange> ranges{
        {range_of("0.0.0.0", 8), "\"this network\""}, {range_of("127.0.0.0", 8), "loopback"},
        {range_of("169.254.0.0", 16), "link-local"},  {range_of("224.0.0.0", 4), "multicast"},
        {range_of("240.0.0.0", 4), "reserved"},       {range_of("::", 8), "reserved"},
        {range_of("fe80::", 10), "link-local"},       {range_of("ff00::", 8), "multicast"},
    };
    return ranges;
}

base::Status check_range(std::string_view what, const Prefix& prefix) {
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

base::Status check_length(std::string_view what, const Prefix& prefix) {
    const auto lengths = subnet_lengths(prefix.address.family);
    if (prefix.length < lengths.widest || prefix.length > lengths.narrowest) {
        return fail(Code::kInvalid, "{} {}: the prefix length must be {} to {}", what, prefix, lengths.widest,
                    lengths.narrowest);
    }
    return {};
}

// The last address of an IPv6 subnet is one as others; of the first see RFC 4291 section 2.6.1.
std::optional<std::string_view> role_in(const Prefix& subnet, const IpAddress& ip) {
    if (ip == subnet.network()) {
        return ip.family == base::Family::kIpv4 ? "network address" : "subnet-router anycast address";
    }
    return ip.family == base::Family::kIpv4 && ip == subnet.last() ? std::optional("broadcast address") : std::nullopt;
}

std::optional<std::string_view> role_in(const AddressPool& pool, const IpAddress& ip) {
    return ip == pool.gateway ? std::optional("gateway") : role_in(pool.subnet, ip);
}

// Which piece of the pool an address is in; pieces have prefix length `size`.
std::uint64_t piece_of(const Prefix& pool, std::uint8_t size, const IpAddress& ip) {
    std::uint64_t number = 0;
    for (unsigned bit = pool.length; bit < size; ++bit) {
        number = number << 1U | (static_cast<unsigned>(ip.bytes[bit / 8]) >> (7 - bit % 8) & 1U);
    }
    return number;
}

Prefix piece(const Prefix& pool, std::uint8_t size, std::uint64_t number) {
    Prefix out{.address = pool.network(), .length = size};
    for (unsigned bit = size; bit-- > pool.length; number >>= 1U) {
        const auto one = static_cast<unsigned>(number & 1U) << (7 - bit % 8);
        out.address.bytes[bit / 8] = static_cast<std::uint8_t>(out.address.bytes[bit / 8] | one);
    }
    return out;
}

}  // namespace

SubnetLengths subnet_lengths(base::Family family) {
    return family == base::Family::kIpv4 ? SubnetLengths{.widest = 8, .narrowest = 29}
                                         : SubnetLengths{.widest = 48, .narrowest = 124};
}

base::Status check_subnet(std::string_view what, const Prefix& subnet, std::span<const UsedSubnet> used) {
    WARREN_TRY(check_range(what, subnet));
    WARREN_TRY(check_length(what, subnet));
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
    WARREN_TRY(check_length(what, pool));
    const auto narrowest = subnet_lengths(pool.address.family).narrowest;
    if (size < pool.length || size > narrowest) {
        return fail(Code::kInvalid, "{} {}: cannot be cut into subnets of /{}: the size must be {} to {}", what, pool,
                    size, pool.length, narrowest);
    }
    return {};
}

base::Result<Prefix> allocate_subnet(const Prefix& pool, std::uint8_t size, std::span<const UsedSubnet> used) {
    WARREN_TRY(check_pool("subnet pool", pool, size));
    const std::uint64_t count = std::uint64_t{1} << std::min<unsigned>(size - pool.length, 63U);
    std::vector<Prefix> taken;
    for (const auto& other : used) {
        if (other.prefix.overlaps(pool)) {
            taken.push_back(other.prefix);
        }
    }
    std::sort(taken.begin(), taken.end(), [](const Prefix& a, const Prefix& b) { return a.network() < b.network(); });
    std::uint64_t at = 0;
    for (const auto& other : taken) {
        const bool wider = other.contains(pool.network());
        if (!wider && piece_of(pool, size, other.network()) > at) {
            break;
        }
        const bool to_the_end = !pool.contains(other.last());
        at = std::max(at, to_the_end ? count : piece_of(pool, size, other.last()) + 1);
    }
    if (at >= count) {
        return fail(Code::kExhausted, "the subnet pool {} has no free /{} left: give a subnet, or remove a network",
                    pool, size);
    }
    return piece(pool, size, at);
}

IpAddress default_gateway(const Prefix& subnet) {
    return subnet.network().plus(1);
}

base::Status check_gateway(std::string_view what, const Prefix& subnet, const IpAddress& gateway) {
    if (!subnet.contains(gateway) || role_in(subnet, gateway)) {
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
    if (const auto role = role_in(pool, ip)) {
        return fail(Code::kInvalid, "{} {}: is the {} of the subnet {}", what, ip, *role, pool.subnet);
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
    const std::uint64_t from = (last ? offset_in(range, *last) : std::nullopt).value_or(size - 1);
    for (std::uint64_t step = 1; step <= size; ++step) {
        const IpAddress ip = range.network().plus((from + step) % size);
        if (!role_in(pool, ip) && !pool.reserved.contains(ip) && !taken(ip)) {
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
