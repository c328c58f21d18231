#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "doctor/finding.h"
#include "probe/path_probe.h"

namespace warren::doctor {

// What is known of the way to one peer of an encrypted network.
struct PathSight {
    std::string network;
    std::string peer;
    base::IpAddress vtep;   // the peer's
    base::Mtu mtu;          // of the network
    base::UdpPort encap{};  // of ESP in UDP, which it is sent in; 0: ESP on its own
    probe::PathFound found;
    unsigned keys_out = 0;        // SAs to the peer
    unsigned keys_in = 0;         // from it
    std::uint64_t decrypted = 0;  // packets from it, while it was probed
    // What the peer says when asked through the manager; only when no frame was answered.
    struct Peer {
        std::string error;    // why it can't be asked; then the rest is empty
        unsigned probes = 0;  // how many of ours have come
    };
    std::optional<Peer> told;
};

[[nodiscard]] std::vector<Finding> check_path(const PathSight& sight);

}  // namespace warren::doctor
