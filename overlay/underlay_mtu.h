#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "netlink/kernel_socket.h"
#include "overlay/underlay.h"

// How large the packets may be that carry the overlay, as the host's devices and routes are now.
namespace warren::overlay {

// The way to a peer that carries less than the device that has the VTEP address.
struct NarrowWay {
    base::IpAddress to;
    base::Mtu mtu;
    std::string by;  // what is so narrow: "route 192.0.2.0/24 dev eth0", "device eth1"

    auto operator<=>(const NarrowWay&) const = default;
};

struct UnderlayMtu {
    Underlay device;                // that has the VTEP address; over IPv6 with the MTU that IPv6 has on it
    std::vector<NarrowWay> narrow;  // by address

    bool operator==(const UnderlayMtu&) const = default;
};

// Of the calling thread's network namespace; `peers` are VTEP addresses. What somebody has set counts: the MTU of
// devices and of routes. What the kernel has learned on the way does not, see learned_mtus(). A peer that there is no
// route to now has no narrow one.
[[nodiscard]] base::Result<UnderlayMtu> read_underlay_mtu(const base::IpAddress& vtep,
                                                          const std::set<base::IpAddress>& peers);

// Path MTUs that the kernel has learned from ICMP and that are less than what is set. Anybody who knows the addresses
// can make it learn one, it is of one way only, and it is forgotten after some minutes.
struct LearnedMtu {
    base::IpAddress to;
    base::Mtu mtu;

    bool operator==(const LearnedMtu&) const = default;
};
[[nodiscard]] std::vector<LearnedMtu> learned_mtus(const base::IpAddress& vtep, const std::set<base::IpAddress>& peers);

// Says that a device or a route of the host may have changed.
//
// Owner: the agent. One thread.
class UnderlayWatch {
  public:
    // Of the calling thread's network namespace.
    [[nodiscard]] static base::Result<UnderlayWatch> open();

    [[nodiscard]] int fd() const { return events_.fd(); }  // readable when take() has something
    void take();

  private:
    explicit UnderlayWatch(netlink::Subscription events) : events_(std::move(events)) {}

    netlink::Subscription events_;
};

}  // namespace warren::overlay
