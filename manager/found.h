#pragma once

#include <string>

#include "base/ids.h"
#include "base/ip.h"
#include "base/result.h"
#include "base/time.h"
#include "manager/vault.h"
#include "proto/state.pb.h"
#include "store/store.h"

namespace warren::manager {

struct Founding {
    std::string cluster_name;
    v1::ClusterSettings settings;  // zero and empty fields: the defaults
    std::string node_name;
    base::IpAddress data_address;
    base::IpAddress advertise_address;
    std::uint16_t port = 0;
    std::string request_pem;                                      // the first node's certificate request
    base::Duration shortest_leaf = certs::kShortestLeafLifetime;  // only tests have another
};

struct Founded {
    base::ClusterId cluster;
    base::NodeId node;
    std::string certificate_pem;
    std::string roots_pem;
};

// Makes a cluster in an empty store, in one transaction: its CA, tokens, settings, and its first node, a manager.
// kInvalid names a bad setting; kConflict: the store holds a cluster.
[[nodiscard]] base::Result<Founded> found_cluster(store::Store& store, const Vault& vault, const Founding& founding,
                                                  base::Time now);

}  // namespace warren::manager
