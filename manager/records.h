#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "keymgr/key_schedule.h"
#include "proto/state.pb.h"

// The keys under which a manager keeps its records (proto/state.proto), and the way between their raw fields and
// values.
namespace warren::manager {

namespace key {

inline constexpr std::string_view kCluster = "cluster";
inline constexpr std::string_view kNodes = "nodes/";
inline constexpr std::string_view kNetworks = "networks/";
inline constexpr std::string_view kMembers = "members/";
inline constexpr std::string_view kEndpoints = "endpoints/";
inline constexpr std::string_view kKeys = "keys/";
inline constexpr std::string_view kAllocations = "alloc/";
// Written by every change that adds or removes a node or a network and compared by it: names, numbers and subnets are
// given out by one such change at a time, whoever makes it.
inline constexpr std::string_view kGuard = "guard";

[[nodiscard]] std::string node(const base::NodeId& id);
[[nodiscard]] std::string network(const base::NetworkId& id);
[[nodiscard]] std::string members(const base::NetworkId& id);
[[nodiscard]] std::string endpoints(const base::NetworkId& network);
[[nodiscard]] std::string endpoint(const base::NetworkId& network, const base::EndpointId& id);
[[nodiscard]] std::string keys(const base::NetworkId& id);

enum class Kind : std::uint8_t { kNodeIndex, kNetworkIndex, kVni };
[[nodiscard]] std::string allocation(Kind kind, std::uint32_t number);

}  // namespace key

// Ids and addresses in records and messages. Malformed ones become a zero id or nullopt: the caller decides what that
// means; a record of ours is never malformed.
template <typename IdType>
[[nodiscard]] IdType id_of(std::string_view raw) {
    IdType id;
    if (raw.size() == id.bytes.size()) {
        std::copy(raw.begin(), raw.end(), id.bytes.begin());
    }
    return id;
}
template <typename IdType>
[[nodiscard]] std::string raw(const IdType& id) {
    return {id.bytes.begin(), id.bytes.end()};
}
[[nodiscard]] std::string raw(const base::IpAddress& ip);
[[nodiscard]] std::string raw(const base::MacAddress& mac);
[[nodiscard]] std::optional<base::IpAddress> ip_of(std::string_view raw);
[[nodiscard]] std::optional<base::MacAddress> mac_of(std::string_view raw);
[[nodiscard]] base::Prefix subnet_of(const v1::NetworkRecord& network);

[[nodiscard]] std::int64_t unix_ms(base::Time time);
[[nodiscard]] base::Time time_of(std::int64_t unix_ms);

}  // namespace warren::manager
