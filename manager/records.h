#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "keymgr/key_schedule.h"
#include "overlay/ipam.h"
#include "proto/state.pb.h"
#include "proto/wire.h"

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
inline constexpr std::string_view kRemoved = "removed/";
inline constexpr std::string_view kOperators = "operators/";
inline constexpr std::string_view kHistory = "history/";
inline constexpr std::string_view kAllocations = "alloc/";
inline constexpr std::string_view kEvents = "events/";
// Written by every change that adds or removes a node or a network and compared by it: names, numbers and subnets are
// given out by one such change at a time, whoever makes it.
inline constexpr std::string_view kGuard = "guard";

[[nodiscard]] std::string node(const base::NodeId& id);
[[nodiscard]] std::string removed(const base::NodeId& id);
[[nodiscard]] std::string operators(const base::NodeId& id);
[[nodiscard]] std::string network(const base::NetworkId& id);
[[nodiscard]] std::string members(const base::NetworkId& id);
[[nodiscard]] std::string endpoints(const base::NetworkId& network);
[[nodiscard]] std::string endpoint(const base::NetworkId& network, const base::EndpointId& id);
[[nodiscard]] std::string keys(const base::NetworkId& id);
[[nodiscard]] std::string event(std::uint64_t sequence);
[[nodiscard]] std::string history(const base::NetworkId& id);

enum class Kind : std::uint8_t { kNodeIndex, kNetworkIndex, kVni };
[[nodiscard]] std::string allocation(Kind kind, std::uint32_t number);

}  // namespace key

using proto::id_of;
using proto::ip_of;
using proto::mac_of;
using proto::raw;
using proto::time_of;
using proto::unix_ms;

[[nodiscard]] base::Prefix subnet_of(const v1::SubnetRecord& subnet);
[[nodiscard]] overlay::AddressPool pool_of(const v1::SubnetRecord& subnet);
// The VNIs of a network, each once.
[[nodiscard]] std::vector<std::uint32_t> vnis_of(const v1::NetworkRecord& network);
// The subnet that an address of the network is in; null: none.
[[nodiscard]] const v1::SubnetRecord* subnet_with(const v1::NetworkRecord& network, const base::IpAddress& ip);
// An endpoint's addresses for people: "10.1.0.2, fd00::2".
[[nodiscard]] std::string addresses_text(const v1::StoredEndpoint& endpoint);

}  // namespace warren::manager
