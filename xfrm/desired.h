#pragma once

#include <array>
#include <vector>

#include "xfrm/model.h"

// What the kernel should have for one network: pure functions of the network's view.
namespace warren::xfrm {

// Four, whatever the number of peers: allow out, allow in (both only with ESP of the network's own reqid), block in,
// block out. The allow policies name this node's VTEP; the block policies name no address, so that a packet whose
// address was rewritten by NAT falls on them.
[[nodiscard]] std::array<Policy, 4> desired_policies(const Network& network);

struct WantedSa {
    Direction direction = Direction::kIn;
    keymgr::SaIdentity identity;
    SaLocation location;
    Reqid reqid;
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::uint32_t replay_window = 0;
    base::UdpPort encap{};  // 0: plain ESP
    base::NodeId peer;

    auto operator<=>(const WantedSa&) const = default;
};

// For every peer: inbound one SA per epoch it may still send in, outbound the SA of the one epoch to send in. An epoch
// that the view does not hold gives none, nor does a peer whose VTEP is of the other address family.
[[nodiscard]] std::vector<WantedSa> desired_states(const Network& network);

// The kernel's SA has all that is wanted of it but the key, which cannot be seen, and the soft limits, which the sweep
// checks by counters.
[[nodiscard]] bool matches(const WantedSa& wanted, const Sa& sa);

}  // namespace warren::xfrm
