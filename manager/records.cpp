#include "manager/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace warren::manager {

namespace key {

std::string node(const base::NodeId& id) {
    return fmt::format("{}{}", kNodes, id);
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

std::string raw(const base::IpAddress& ip) {
    const auto bytes = ip.raw();
    return {bytes.begin(), bytes.end()};
}

std::string raw(const base::MacAddress& mac) {
    return {mac.bytes.begin(), mac.bytes.end()};
}

std::optional<base::IpAddress> ip_of(std::string_view raw) {
    const std::vector<std::uint8_t> bytes(raw.begin(), raw.end());
    return base::IpAddress::from_bytes(bytes);
}

std::optional<base::MacAddress> mac_of(std::string_view raw) {
    base::MacAddress mac;
    if (raw.size() != mac.bytes.size()) {
        return std::nullopt;
    }
    std::copy(raw.begin(), raw.end(), mac.bytes.begin());
    return mac;
}

base::Prefix subnet_of(const v1::NetworkRecord& network) {
    return {.address = ip_of(network.subnet()).value_or(base::IpAddress{}),
            .length = static_cast<std::uint8_t>(network.subnet_length())};
}

std::int64_t unix_ms(base::Time time) {
    return time.time_since_epoch().count();
}

base::Time time_of(std::int64_t unix_ms) {
    return base::Time(base::Duration(unix_ms));
}

}  // namespace warren::manager
