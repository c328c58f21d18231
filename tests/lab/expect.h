#pragma once

#include <string>

#include "proto/control.pb.h"
#include "proto/local.pb.h"
#include "tests/lab/lab.h"

// What several tests ask of a cluster.
namespace warren::lab {

// Everything between VTEPs that is neither ESP nor the control plane, as a tcpdump filter.
// Neighbour discovery, and what has a hop-by-hop header, as multicast listeners' reports have, is the underlay's own.
inline constexpr const char* kNotEsp =
    "(ip or ip6) and not esp and not tcp port 7443 and not (icmp6 and ip6[40] >= 133 and ip6[40] <= 137) and not "
    "(ip6[6] == 0)";

inline v1::Network inspect(const Host& host, const std::string& network) {
    return host.ask<v1::Network>({"network", "inspect", network});
}

// The path of the network's namespace on a host that is in it.
inline std::string namespace_of(const Host& host, const std::string& network) {
    return (host.run_dir() / "netns" / inspect(host, network).id()).string();
}

// The host's daemon has its session with a manager and has applied what it was told of all its networks.
inline bool settled(const Host& host) {
    const auto status = host.ask<v1::StatusReply>({"status"});
    for (const auto& network : status.networks()) {
        if (network.revision() != network.applied_revision()) {
            return false;
        }
    }
    return status.manager_connected();
}

// The certificate on the host's disk is not valid any more, by openssl's word and the lab's clock.
inline bool certificate_expired(const Host& host) {
    const auto file = host.state_dir() / "cluster" / "certs" / "node.pem";
    return run({"openssl", "x509", "-checkend", "0", "-noout", "-in", file.string()}).code == 1;
}

}  // namespace warren::lab
