#include "overlay/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::overlay {

base::MacAddress gateway_mac(const base::NetworkId& network, std::size_t bridge) {
    base::MacAddress mac;
    std::copy_n(network.bytes.begin(), mac.bytes.size(), mac.bytes.begin());
    mac.bytes.front() =
        static_cast<std::uint8_t>((mac.bytes.front() & 0xfcU) | 0x02U);  // unicast, locally administered
    mac.bytes.back() = static_cast<std::uint8_t>(mac.bytes.back() + bridge);
    return mac;
}

std::string network_mark(const base::ClusterId& cluster, const base::NetworkId& network) {
    return fmt::format("warren:{}:{}", cluster, network);
}

std::string endpoint_mark(const base::ClusterId& cluster, const base::NetworkId& network,
                          const base::EndpointId& endpoint) {
    return fmt::format("warren:{}:{}:{}", cluster, network, endpoint);
}

}  // namespace warren::overlay
