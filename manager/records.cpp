#include "manager/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace warren::manager {

namespace key {

std::string node(const base::NodeId& id) {
    return fmt::format("{}{}", kNodes, id);
}
std::string removed(const base::NodeId& id) {
    return fmt::format("{}{}", kRemoved, id);
}
std::string operators(const base::NodeId& id) {
    return fmt::format("{}{}", kOperators, id);
}
std::string network(const base::NetworkId& id) {
    return fmt::format("{}{}", kNetworks, id);
}
std::string members(const base::NetworkId& id) {
    return fmt::format("{}{}", kMembers, id);
}
std::string endpoints(const base::NetworkId& network) {
    return fmt::format("{}{}/", kEndpoints, network);
}
std::string endpoint(const base::NetworkId& network, const base::EndpointId& id) {
    return fmt::format("{}{}/{}", kEndpoints, network, id);
}
std::string keys(const base::NetworkId& id) {
    return fmt::format("{}{}", kKeys, id);
}
// Ordered by bytes as by number.
std::string event(std::uint64_t sequence) {
    return fmt::format("{}{:016x}", kEvents, sequence);
}

std::string history(const base::NetworkId& id) {
    return fmt::format("{}{}", kHistory, id);
}

namespace {

std::string_view name(Kind kind) {
    switch (kind) {
        case Kind::kNodeIndex:
            return "node";
        case Kind::kNetworkIndex:
            return "network";
        case Kind::kVni:
            return "vni";
    }
    return "";
}

}  // namespace

std::string allocation(Kind kind, std::uint32_t number) {
    return fmt::format("{}{}/{:08x}", kAllocations, name(kind), number);
}

}  // namespace key

base::Prefix subnet_of(const v1::NetworkRecord& network) {
    return {.address = ip_of(network.subnet()).value_or(base::IpAddress{}),
            .length = static_cast<std::uint8_t>(network.subnet_length())};
}

std::optional<base::Prefix> range_of(const v1::NetworkRecord& network) {
    const auto first = ip_of(network.range());
    return first ? std::optional(
                       base::Prefix{.address = *first, .length = static_cast<std::uint8_t>(network.range_length())})
                 : std::nullopt;
}

overlay::AddressPool pool_of(const v1::NetworkRecord& network) {
    overlay::AddressPool pool{.subnet = subnet_of(network),
                              .gateway = ip_of(network.gateway()).value_or(base::IpAddress{}),
                              .range = range_of(network)};
    for (const auto& [name, ip] : network.reserved()) {
        pool.reserved.emplace(ip_of(ip).value_or(base::IpAddress{}), name);
    }
    return pool;
}

}  // namespace warren::manager
