#pragma once

#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "manager/cluster.h"
#include "overlay/ipam.h"
#include "proto/control.pb.h"

// Which subnets a new network gets, and which of them an endpoint's addresses come from. Decisions only.
namespace warren::manager {

// A part of a network is what shares a bridge: one IPv4 subnet, with IPv6 one of that, too.
struct NetworkPart {
    overlay::AddressPool ipv4;
    std::optional<overlay::AddressPool> ipv6;
};
// The n-th IPv4 and the n-th IPv6 subnet of the request are one part; those that were left to the manager are taken so
// that they overlap nothing that the cluster and its hosts have. Errors name the option.
[[nodiscard]] base::Result<std::vector<NetworkPart>> choose_parts(const Cluster& cluster,
                                                                  const v1::NetworkCreateRequest& request);
// With the parts' VNIs, in their order.
void set_subnets(v1::NetworkRecord& record, const std::vector<NetworkPart>& parts,
                 const std::vector<std::uint32_t>& vnis);

// The prefix that IPv6 subnets come out of when nobody gives one: unique local ones with the cluster's id for the
// random part (RFC 4193).
[[nodiscard]] base::Prefix local_prefix(const base::ClusterId& cluster);

// Of an endpoint: by its place among the record's subnets, so in the order of the addresses.
struct ChosenAddresses {
    struct One {
        int subnet = 0;
        base::IpAddress ip;
        bool allocated = false;  // nobody asked for this one
    };
    std::vector<One> list;
};
// One in each subnet of one part: those that are asked for, and of the others the next free ones. Without any, of the
// first part that has some left. `rests`: not given out by themselves.
[[nodiscard]] base::Result<ChosenAddresses> choose_addresses(const NetworkState& network,
                                                             const std::vector<base::IpAddress>& asked,
                                                             const overlay::Taken& taken, const overlay::Taken& rests);

}  // namespace warren::manager
