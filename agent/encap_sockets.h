#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

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

    // What a network needs from now on, and what of it is not as it should be: a port that is not open, with who has
    // it, or one that is open and could not be put into the store, so that a restart will lose packets.
    struct Failure {
        xfrm::EncapPort port;
        bool open = false;
        base::Error error;
    };
    [[nodiscard]] std::vector<Failure> want(const base::NetworkId& network, std::set<xfrm::EncapPort> ports);
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

    [[nodiscard]] base::Result<base::UniqueFd> open(const xfrm::EncapPort& port);
    [[nodiscard]] base::Status keep(const xfrm::EncapPort& port, int fd);
    [[nodiscard]] bool is_wanted(const xfrm::EncapPort& port) const;
    void close_others();
};

}  // namespace warren::agent
