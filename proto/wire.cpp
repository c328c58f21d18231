#include "proto/wire.h"

#include <vector>

namespace warren::proto {

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

std::int64_t unix_ms(base::Time time) {
    return time.time_since_epoch().count();
}

base::Time time_of(std::int64_t unix_ms) {
    return base::Time(base::Duration(unix_ms));
}

}  // namespace warren::proto
