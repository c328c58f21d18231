#pragma once

#include <map>
#include <set>

#include "agent/view.h"
#include "overlay/barrier.h"
#include "overlay/model.h"
#include "overlay/mtu.h"
#include "xfrm/model.h"

// From what the manager told to what the kernel is to have. Pure.
namespace warren::agent {

// What a node knows of itself.
struct Self {
    base::ClusterId cluster;
    base::NodeId node;
    base::IpAddress vtep;
    bool segmentation = true;  // the kernel cuts VXLAN in ESP rightly
};

// By a peer's membership: the newest epoch that it was ever sent to in.
using SentEpochs = std::map<base::MembershipId, base::Epoch>;

// The SAs of an encrypted network. Secrets are borrowed from `view`. kInternal: the view lacks this node.
[[nodiscard]] base::Result<xfrm::Network> wanted_keys(const NetworkView& view, const Self& self,
                                                      const SentEpochs& sent);
[[nodiscard]] overlay::Network wanted_links(const NetworkView& view, const Self& self);
// What SAs may carry before a rotation is asked for.
[[nodiscard]] xfrm::SoftLimits limits_of(const NetworkView& view);
// The ports of ESP in UDP that the network's epochs have.
[[nodiscard]] std::set<base::UdpPort> encap_ports(const NetworkView& view);
// Those of the active epoch and of what comes after it: without them the node must not say that it is ready. Of an
// older epoch what comes is lost, and that it has ended has to be said all the same.
[[nodiscard]] std::set<base::UdpPort> needed_encap_ports(const NetworkView& view);
// That of the epoch to send in; 0: plain ESP.
[[nodiscard]] base::UdpPort active_encap(const NetworkView& view);
// What packets of the network are wrapped in.
[[nodiscard]] overlay::Protection protection(const NetworkView& view);
[[nodiscard]] overlay::ProtectedPort protected_port(const NetworkView& view);

}  // namespace warren::agent
