#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/ip.h"
#include "base/time.h"

// The raw fields of messages and records, and values. Malformed ids become a zero id, malformed addresses nullopt: the
// caller decides what that means.
namespace warren::proto {

template <typename IdType>
[[nodiscard]] IdType id_of(std::string_view raw) {
    IdType id;
    if (raw.size() == id.bytes.size()) {
        std::copy(raw.begin(), raw.end(), id.bytes.begin());
    }
    return id;
}
template <typename Tag>
[[nodiscard]] std::string raw(const base::Id<Tag>& id) {
    return {id.bytes.begin(), id.bytes.end()};
}
[[nodiscard]] std::string raw(const base::IpAddress& ip);
[[nodiscard]] std::string raw(const base::MacAddress& mac);
[[nodiscard]] std::optional<base::IpAddress> ip_of(std::string_view raw);
[[nodiscard]] std::optional<base::MacAddress> mac_of(std::string_view raw);

[[nodiscard]] std::int64_t unix_ms(base::Time time);
[[nodiscard]] base::Time time_of(std::int64_t unix_ms);

}  // namespace warren::proto
