#pragma once

#include <map>
#include <memory>
#include <set>

#include "agent/view.h"
#include "fdstore/fd_store.h"
#include "xfrm/encap_socket.h"

namespace warren::agent {

// The sockets by which this host takes ESP in UDP: one for each port that an epoch of some network has, whichever of
// them uses it. They are in a store that outlives the daemon, so that a restart loses no packet.
//
// Owner: the fabric. Thread: the loop's.
class EncapSockets {
  public:
    // Takes what a former daemon left, and closes none of it before keep_only().
    explicit EncapSockets(std::unique_ptr<fdstore::FdStore> store);

    // What a network needs from now on. The error says who has the port. One that can't be put into the store is open
    // all the same, and the log says that a restart will lose packets.
    [[nodiscard]] base::Status want(const base::NetworkId& network, std::set<xfrm::EncapPort> ports);
    void forget(const base::NetworkId& network);
    // What all networks of this node need, before want() opens what is not there: of what a former daemon left, all
    // else is closed.
    using Needs = std::map<base::NetworkId, std::set<xfrm::EncapPort>>;
    void keep_only(Needs needs);

  private:
    std::unique_ptr<fdstore::FdStore> store_;
    std::map<xfrm::EncapPort, base::UniqueFd> open_;
    Needs wanted_;
    std::set<xfrm::EncapPort> left_;  // by a former daemon, and wanted by nobody yet

    [[nodiscard]] base::Status open(const xfrm::EncapPort& port);
    void keep(const xfrm::EncapPort& port, int fd);
    [[nodiscard]] bool is_wanted(const xfrm::EncapPort& port) const;
    void close_others();
};

}  // namespace warren::agent
