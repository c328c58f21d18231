#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"
#include "netlink/namespace.h"
#include "overlay/bring.h"
#include "overlay/link_watch.h"
#include "overlay/model.h"

namespace warren::overlay {

// Brings the kernel's objects of networks to what the caller wants: namespace, bridge, VXLAN device, forwarding and
// neighbour entries, veth pairs. Every call looks at the kernel and makes the smallest change, so it heals what is
// missing, adopts what a former process left, and writes nothing when all is right. What does not carry our mark is
// never touched.
//
// The caller orders things around it: both barriers of an encrypted network stand before its first apply() and until
// its remove() has returned.
//
// Owner: the agent. Thread: the agent's. The VXLAN sockets live in the namespace of the thread that calls open().
// Lifetime: the objects stay when the builder goes. Failure: an operation that failed is in Outcome, and calling again
// repeats just that.
class Builder {
  public:
    // Namespaces are pinned at <run_dir>/netns/<network id>. `run_dir` is absolute.
    [[nodiscard]] static base::Result<Builder> open(const std::filesystem::path& run_dir);

    // In a container where all was right it sees only what shows outside, until doubt() was called
    // (overlay/familiar.h).
    [[nodiscard]] Outcome apply(const Network& network);
    // The next apply() of each network looks into all of its containers.
    void doubt() { familiar_.clear(); }

    // Takes the network's VXLAN devices out of their bridges, so that no frame leaves or comes in until the next
    // apply(). They stay up: to what is decrypted and finds no socket the kernel answers with an ICMP error that quotes
    // it. Fine if there is nothing.
    [[nodiscard]] base::Status stop(const base::NetworkId& network);

    // Takes away everything that the network has on this node, the interfaces in containers included. Fine if there is
    // nothing.
    [[nodiscard]] base::Status remove(const base::NetworkId& network);

    // A network's namespace. kNotFound: it has none (any more).
    [[nodiscard]] base::Result<netlink::Namespace> home(const base::NetworkId& network) const {
        return namespaces_.open(network.text());
    }

    // The networks that have a namespace in run_dir.
    [[nodiscard]] base::Result<std::vector<base::NetworkId>> found() const;

    // Readable when something changed in the namespace of a network that was applied. In a container's namespace
    // nobody listens.
    [[nodiscard]] int event_fd() const { return watch_.fd(); }
    // The networks in question: apply them again. Our own changes are among what happened.
    [[nodiscard]] std::set<base::NetworkId> handle_events() { return watch_.take(); }

  private:
    Builder(netlink::Socket host, netlink::PinnedNamespaces namespaces, LinkWatch watch)
        : host_(std::move(host)), namespaces_(std::move(namespaces)), watch_(std::move(watch)) {}

    netlink::Socket host_;
    netlink::PinnedNamespaces namespaces_;
    LinkWatch watch_;
    std::map<base::NetworkId, Familiar> familiar_;
};

}  // namespace warren::overlay
