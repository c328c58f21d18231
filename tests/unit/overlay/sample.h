#pragma once

#include <cstdint>
#include <string>

#include "overlay/model.h"

// Values that several tests of this room use.
namespace warren::overlay {

template <typename IdType>
IdType id_of(std::uint32_t number) {
    IdType id;
    for (std::size_t i = 0; i < 4; ++i) {
        id.bytes[i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    }
    id.bytes[15] = 1;
    return id;
}

inline base::IpAddress ip(const std::string& text) {
    return base::parse_ip("test", text).value();
}
inline base::Prefix prefix(const std::string& text) {
    return base::parse_prefix("test", text).value();
}
inline base::MacAddress mac_of(std::uint32_t number) {
    return {{0x02, 0x57, static_cast<std::uint8_t>(number >> 24U), static_cast<std::uint8_t>(number >> 16U),
             static_cast<std::uint8_t>(number >> 8U), static_cast<std::uint8_t>(number)}};
}

// 10.1.0.0/16 on VNI 0x570000, nobody in it.
inline Network sample_network() {
    return {.cluster = id_of<base::ClusterId>(1),
            .id = id_of<base::NetworkId>(0x4e000002),
            .name = "blue",
            .subnets = {{.prefix = prefix("10.1.0.0/16"), .gateway = ip("10.1.0.1"), .vni = base::Vni(0x570000)}},
            .port = base::UdpPort(4789),
            .mtu = base::Mtu(1450),
            .vtep = ip("192.0.2.1")};
}
inline LocalEndpoint sample_local(std::uint32_t number, const std::string& netns = "/nowhere") {
    return {.id = id_of<base::EndpointId>(number),
            .name = fmt::format("local{}", number),
            .ips = {base::IpAddress::v4(0x0a010000 + number)},
            .mac = mac_of(number),
            .netns = netns};
}
inline RemoteEndpoint sample_remote(std::uint32_t number, const std::string& vtep = "192.0.2.2") {
    return {.id = id_of<base::EndpointId>(number),
            .ips = {base::IpAddress::v4(0x0a010000 + number)},
            .mac = mac_of(number),
            .vtep = ip(vtep)};
}

}  // namespace warren::overlay
