#pragma once

#include "manager/cluster.h"
#include "manager/key_traffic.h"
#include "manager/session_hub.h"
#include "proto/control.pb.h"

// The cluster's state as the control API shows it. Pure.
namespace warren::manager {

[[nodiscard]] v1::Node present_node(const Cluster& cluster, const SessionHub& hub, const base::NodeId& id);
// Without endpoints and members, as a listing has it.
[[nodiscard]] v1::Network present_network(const Cluster& cluster, const NetworkState& network);
// With all of it.
[[nodiscard]] v1::Network present_network_whole(const Cluster& cluster, const SessionHub& hub,
                                                const NetworkState& network, base::Time now);
[[nodiscard]] v1::Endpoint present_endpoint(const Cluster& cluster, const NetworkState& network,
                                            const v1::StoredEndpoint& endpoint);
// Where the state of a network's keys is found.
struct KeySources {
    const Cluster& cluster;
    const SessionHub& hub;
    const KeyTraffic& traffic;
};
[[nodiscard]] v1::KeyNetwork present_keys(const KeySources& sources, const NetworkState& network,
                                          const keymgr::Settings& settings, base::Time now);
// The live epochs of a network.
[[nodiscard]] std::vector<v1::EpochInfo> present_epochs(const Cluster& cluster, const NetworkState& network);

}  // namespace warren::manager
