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

base::Prefix subnet_of(const v1::SubnetRecord& subnet) {
    return {.address = ip_of(subnet.subnet()).value_or(base::IpAddress{}),
            .length = static_cast<std::uint8_t>(subnet.length())};
}

overlay::AddressPool pool_of(const v1::SubnetRecord& subnet) {
    overlay::AddressPool pool{.subnet = subnet_of(subnet),
                              .gateway = ip_of(subnet.gateway()).value_or(base::IpAddress{})};
    if (const auto first = ip_of(subnet.range())) {
        pool.range = base::Prefix{.address = *first, .length = static_cast<std::uint8_t>(subnet.range_length())};
    }
    for (const auto& [name, ip] : subnet.reserved()) {
        pool.reserved.emplace(ip_of(ip).value_or(base::IpAddress{}), name);
    }
    return pool;
}

std::vector<std::uint32_t> vnis_of(const v1::NetworkRecord& network) {
    std::vector<std::uint32_t> vnis;
    for (const auto& subnet : network.subnets()) {
        if (vnis.empty() || vnis.back() != subnet.vni()) {
            vnis.push_back(subnet.vni());
        }
    }
    return vnis;
}

const v1::SubnetRecord* subnet_with(const v1::NetworkRecord& network, const base::IpAddress& ip) {
    const auto found = std::find_if(network.subnets().begin(), network.subnets().end(),
                                    [&](const auto& subnet) { return subnet_of(subnet).contains(ip); });
    return found == network.subnets().end() ? nullptr : &*found;
}

std::string addresses_text(const v1::StoredEndpoint& endpoint) {
    std::string text;
    for (const auto& raw_ip : endpoint.ips()) {
        const auto ip = ip_of(raw_ip);
        text += fmt::format("{}{}", text.empty() ? "" : ", ", ip ? ip->text() : "?");
    }
    return text;
}

}  // namespace warren::manager
