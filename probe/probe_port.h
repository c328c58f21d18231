#pragma once

#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "netlink/namespace.h"
#include "overlay/model.h"
#include "probe/probe_frame.h"

namespace warren::probe {

// Sends and receives the probe frames of one network. They leave by the same way as the VXLAN device's own datagrams,
// with the source ports that the barriers and policies are about, and come in through the VXLAN device and the bridge.
//
// Owner: the agent. Thread: any one. Lifetime: the network's namespace lives at least as long.
class ProbePort {
  public:
    // In the calling thread's namespace, where the VXLAN sockets are; `home` is the network's. kNotFound: it has no
    // bridge yet.
    [[nodiscard]] static base::Result<ProbePort> open(const overlay::Network& network, const netlink::Namespace& home);

    [[nodiscard]] int fd() const { return in_.get(); }  // readable when receive() has something
    // Some of what has come; again when fd() is still readable. An error: nothing will come any more, for example as
    // the bridge is gone.
    struct Received {
        std::size_t frames = 0;  // whatever was in them
        std::vector<ReceivedProbe> probes;
    };
    [[nodiscard]] base::Result<Received> receive();

    // EMSGSIZE: with probe.whole, larger than the path to there takes, as far as this host knows.
    [[nodiscard]] base::Status send(const Probe& probe, base::Mtu size, const base::IpAddress& vtep);

  private:
    ProbePort(base::UniqueFd in, base::UniqueFd out, const overlay::Network& network);

    base::UniqueFd in_;
    base::UniqueFd out_;
    base::UdpPort port_;
    base::Vni vni_;
    base::MacAddress bridge_;
};

}  // namespace warren::probe
