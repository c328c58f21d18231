#pragma once

#include <functional>
#include <map>
#include <set>

#include "base/ids.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "netlink/kernel_socket.h"
#include "netlink/namespace.h"

namespace warren::overlay {

// Listens in the namespaces of networks to what changes there: links, addresses, permanent neighbour and forwarding
// entries. It says only where something changed, by whoever's doing, our own included; what is right is for
// Builder::apply() to see, which writes nothing when all is.
//
// Owner: Builder. One thread. A namespace lives at least as long as it is listened to.
class LinkWatch {
  public:
    [[nodiscard]] static base::Result<LinkWatch> open();

    // Listens there from now on, instead of in the namespace that the network had before. `concerns` is asked about an
    // event, too, whether it matters.
    using Concerns = std::function<bool(const netlink::Received&)>;
    [[nodiscard]] base::Status watch(const base::NetworkId& network, const netlink::Namespace& where,
                                     Concerns concerns = {});
    void forget(const base::NetworkId& network) { watched_.erase(network); }

    [[nodiscard]] int fd() const { return ready_.get(); }  // readable when take() has something
    // Where something changed since the last call. A namespace whose events were lost or can't be read is one.
    [[nodiscard]] std::set<base::NetworkId> take();

  private:
    struct Watched {
        netlink::NamespaceIdentity where;
        netlink::Subscription events;
        Concerns concerns;  // empty: all do
    };

    explicit LinkWatch(base::UniqueFd ready) : ready_(std::move(ready)) {}

    base::UniqueFd ready_;  // of epoll, over all subscriptions
    std::map<base::NetworkId, Watched> watched_;
};

}  // namespace warren::overlay
