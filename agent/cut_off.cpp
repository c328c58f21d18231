#include "agent/cut_off.h"

namespace warren::agent {

std::vector<std::string> cut_off_peers(const NetworkView& view, const base::NodeId& self) {
    std::vector<std::string> lines;
    const auto own = view.members.find(self);
    const auto active = view.epochs.find(view.active);
    if (own == view.members.end() || active == view.epochs.end()) {
        return lines;
    }
    std::vector<keymgr::HeldEpoch> held;
    for (const auto& [number, epoch] : view.epochs) {
        held.push_back(epoch.held);
    }
    const keymgr::End here{.id = own->second.membership, .since = own->second.since};
    const auto since = active->second.held.since;
    for (const auto& [node, member] : view.members) {
        const keymgr::End peer{.id = member.membership, .since = member.since};
        const auto acked = view.acks.acked(peer);
        const bool missed = node != self && peer.since <= since && acked < since;
        if (missed && keymgr::tx_epoch(view.active, held, here, peer, acked, {}) == base::Epoch{}) {
            lines.push_back(fmt::format(
                "node {} at {} is cut off: it has missed key rotations and what keys it had are retired; it "
                "gets new ones once its warrend has a session with a manager",
                node, member.vtep));
        }
    }
    return lines;
}

}  // namespace warren::agent
