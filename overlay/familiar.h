#pragma once

#include <map>

#include "base/ids.h"
#include "base/result.h"
#include "netlink/link.h"
#include "netlink/namespace.h"
#include "overlay/desired.h"
#include "overlay/diff.h"

namespace warren::overlay {

// What was seen in containers where nothing was to do, so that a host with a thousand need not look into each for the
// sake of one. A container counts as unchanged while its path leads to the same namespace and the pair's end out here
// is as it was: it shows when the one in the container is deleted or moved, and that it was down. What else happens in
// a container, an address that goes, say, stays unseen until forget(). Pure.
class Familiar {
  public:
    // Null: look. `port` is the pair's end out here, null if there is none; `there` is where the container's path
    // leads.
    [[nodiscard]] const SeenNamespace* find(const WantedPair& pair, const netlink::Link* port,
                                            const base::Result<netlink::NamespaceIdentity>& there) const;
    void remember(const WantedPair& pair, const netlink::Link& port, const netlink::NamespaceIdentity& there,
                  const SeenNamespace& seen);
    void forget(const base::EndpointId& endpoint) { all_.erase(endpoint); }
    void forget() { all_.clear(); }

  private:
    struct Seen {
        WantedPair pair;
        netlink::Link port;
        netlink::NamespaceIdentity there;
        SeenNamespace container;
    };
    std::map<base::EndpointId, Seen> all_;
};

}  // namespace warren::overlay
