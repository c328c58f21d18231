#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/published_ports.h"
#include "agent/view.h"
#include "base/time.h"
#include "overlay/gateway_bridge.h"

namespace warren::agent {

// This node's containers that are in a network which is not internal, each once, and what is published of them.
// `container_of` says which paths mean the same namespace.
struct WayOutNeeds {
    std::vector<overlay::WantedContainer> containers;
    std::map<base::EndpointId, std::string> of_endpoint;  // the path of its container among these
    std::set<base::Prefix> networks;                      // that containers of this node are in
    std::set<base::IpAddress> needed;                     // as in GatewayBridge::Wanted
};
[[nodiscard]] WayOutNeeds way_out_needs(const std::vector<const NetworkView*>& networks, const base::NodeId& self,
                                        std::string (*container_of)(const std::string& netns));

// The gateway bridge and the published ports of this node, as its networks need them.
//
// Owner: the agent. Thread: the loop's. Failure: shown by problems(), and tried again once due() says so.
class WayOut {
  public:
    // Without nf_tables there is no way out, and problems() says so while somebody needs one.
    explicit WayOut(base::Result<overlay::GatewayBridge> bridge);

    // Keeps the port for a container that is about to be connected.
    [[nodiscard]] base::Status hold(const overlay::Publication& wanted);

    // What is needed now, by all networks of this node: what a former daemon made for others is taken away. Somebody
    // else's change was put right: who made it, empty if nobody knows; nullopt: there was none.
    std::optional<std::string> want(const base::ClusterId& cluster, base::UdpPort plain_port, WayOutNeeds needs);
    // Something may have changed, in containers, too.
    void look();
    // In a fight: what others change is not put right before.
    void hold_until(base::Moment moment) { held_until_ = moment; }
    // The next want() looks at the kernel even if it wants nothing else.
    [[nodiscard]] bool due(base::Moment now) const;
    [[nodiscard]] base::Status remove();

    [[nodiscard]] std::array<int, 2> event_fds() const;
    // True: something of ours may have changed.
    bool handle_events();

    // Of a local endpoint with these ports: why its container has no way out, or what is in the way of a port; nullopt:
    // it has all.
    [[nodiscard]] std::optional<base::Error> error(const base::EndpointId& endpoint,
                                                   const std::vector<overlay::Publication>& published) const;
    [[nodiscard]] std::vector<std::string> problems() const;
    [[nodiscard]] bool in_use() const { return !wanted_.containers.empty(); }
    [[nodiscard]] bool publishes_any() const;
    // The container's address on the bridge; nullopt: it has none.
    [[nodiscard]] std::optional<base::IpAddress> address(const base::EndpointId& endpoint) const;

  private:
    std::optional<overlay::GatewayBridge> bridge_;
    std::optional<base::Error> no_bridge_;
    PublishedPorts ports_;
    overlay::GatewayBridge::Wanted wanted_;                // last
    std::map<base::EndpointId, std::string> of_endpoint_;  // as in WayOutNeeds
    overlay::GatewayBridge::Report report_;
    std::map<overlay::Publication, base::Error> port_errors_;
    bool stale_ = true;
    int failures_ = 0;
    base::Moment retry_at_;  // after failures
    base::Moment held_until_;

    [[nodiscard]] bool good() const { return report_.good() && port_errors_.empty(); }
};

}  // namespace warren::agent
