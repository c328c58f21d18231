#include "overlay/familiar.h"

namespace warren::overlay {

const SeenNamespace* Familiar::find(const WantedPair& pair, const netlink::Link* port,
                                    const base::Result<netlink::NamespaceIdentity>& there) const {
    const auto found = all_.find(pair.endpoint);
    const bool same = found != all_.end() && port != nullptr && there && *there == found->second.there &&
                      *port == found->second.port && pair == found->second.pair;
    return same ? &found->second.container : nullptr;
}

void Familiar::remember(const WantedPair& pair, const netlink::Link& port, const netlink::NamespaceIdentity& there,
                        const SeenNamespace& seen) {
    all_.insert_or_assign(pair.endpoint, Seen{.pair = pair, .port = port, .there = there, .container = seen});
}

}  // namespace warren::overlay
