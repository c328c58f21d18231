#pragma once

#include <functional>
#include <string>

#include "agent/agent.h"
#include "agent/membership_files.h"
#include "base/result.h"
#include "proto/local.pb.h"

namespace warren::agent {

// The addresses and the name that a node shows to its cluster, from what the user gave or the host offers.
struct NodeAddresses {
    base::IpAddress data;
    base::IpAddress advertise;
    std::string name;
};
[[nodiscard]] base::Result<NodeAddresses> choose_addresses(const std::string& data_addr,
                                                           const std::string& advertise_addr,
                                                           const std::string& node_name);

// Joins a cluster: fetches its roots, believes them if the token pins them, and gets a certificate for a new key. Waits
// for the network, so not on the loop's thread. Writes the membership to `files` only when all went well.
[[nodiscard]] base::Result<Membership> join_cluster(const v1::ClusterJoinRequest& request, const MembershipFiles& files,
                                                    base::Time now);

}  // namespace warren::agent
