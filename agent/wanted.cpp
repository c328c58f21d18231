#include "agent/wanted.h"

#include <vector>

#include "probe/probe_frame.h"

namespace warren::agent {

namespace {

xfrm::Member member_of(const base::NodeId& node, const MemberView& member) {
    return {.node = node, .index = member.index, .vtep = member.vtep, .membership = member.membership};
}

keymgr::End end_of(const MemberView& member) {
    return {.id = member.membership, .since = member.since};
}

std::set<base::UdpPort> encap_ports_from(const NetworkView& view, base::Epoch first) {
    std::set<base::UdpPort> ports;
    for (const auto& [number, epoch] : view.epochs) {
        if (number >= first && epoch.held.parameters.encap != base::UdpPort{}) {
            ports.insert(epoch.held.parameters.encap);
        }
    }
    return ports;
}

}  // namespace

base::Result<xfrm::Network> wanted_keys(const NetworkView& view, const Self& self, const SentEpochs& sent) {
    const auto own = view.members.find(self.node);
    if (own == view.members.end()) {
        return base::fail(base::Code::kInternal, "network {}: the manager does not count this node as a member",
                          view.name);
    }
    xfrm::Network network{.cluster = self.cluster,
                          .id = view.id,
                          .index = view.index,
                          .port = view.port,
                          .self = member_of(self.node, own->second),
                          .limits = limits_of(view),
                          .epochs = {},
                          .peers = {}};
    std::vector<keymgr::HeldEpoch> held;
    for (const auto& [number, epoch] : view.epochs) {
        held.push_back(epoch.held);
        network.epochs.push_back({.number = number,
                                  .slot = epoch.held.slot,
                                  .cipher = epoch.held.parameters.cipher,
                                  .replay_window = epoch.held.parameters.replay_window,
                                  .encap = epoch.held.parameters.encap,
                                  .secret = &epoch.secret});
    }
    for (const auto& [node, member] : view.members) {
        if (node == self.node) {
            continue;
        }
        const auto peer = end_of(member);
        const auto before = sent.find(member.membership);
        const auto in_use = before == sent.end() ? base::Epoch{} : before->second;
        network.peers.push_back(
            {.member = member_of(node, member),
             .send = keymgr::tx_epoch(view.active, held, end_of(own->second), peer, view.acks.acked(peer), in_use),
             .receive = keymgr::rx_epochs(held, end_of(own->second), peer)});
    }
    return network;
}

overlay::Network wanted_links(const NetworkView& view, const Self& self) {
    overlay::Network network{.cluster = self.cluster,
                             .id = view.id,
                             .name = view.name,
                             .subnets = view.subnets,
                             .port = view.port,
                             .encrypted = view.encrypted,
                             .segmentation = self.segmentation || !view.encrypted,
                             .mtu = view.mtu,
                             .vtep = self.vtep,
                             .local = {},
                             .remote = {},
                             .multicast = view.multicast,
                             .peers = {}};
    for (const auto& [node, member] : view.members) {
        if (node != self.node) {
            network.peers.push_back({.vtep = member.vtep, .mac = probe::source_mac(member.index)});
        }
    }
    for (const auto& [id, endpoint] : view.endpoints) {
        if (endpoint.node != self.node) {
            const auto member = view.members.find(endpoint.node);
            if (member != view.members.end()) {
                network.remote.push_back(
                    {.id = id, .ips = endpoint.ips, .mac = endpoint.mac, .vtep = member->second.vtep});
            }
            continue;
        }
        const auto attachment = view.attachments.find(id);
        if (attachment != view.attachments.end() && !attachment->second.replaced) {
            network.local.push_back({.id = id,
                                     .name = endpoint.name,
                                     .ips = endpoint.ips,
                                     .mac = endpoint.mac,
                                     .netns = attachment->second.netns,
                                     .ifname = attachment->second.ifname});
        }
    }
    return network;
}

xfrm::SoftLimits limits_of(const NetworkView& view) {
    return {.packets = view.rekey_after_packets, .bytes = view.rekey_after_bytes};
}

std::set<base::UdpPort> encap_ports(const NetworkView& view) {
    return encap_ports_from(view, base::Epoch{});
}

std::set<base::UdpPort> needed_encap_ports(const NetworkView& view) {
    return encap_ports_from(view, view.active);
}

base::UdpPort active_encap(const NetworkView& view) {
    const auto epoch = view.epochs.find(view.active);
    return epoch == view.epochs.end() ? base::UdpPort{} : epoch->second.held.parameters.encap;
}

overlay::Protection protection(const NetworkView& view) {
    return view.encrypted ? overlay::esp_protection(active_encap(view)) : overlay::Protection::kPlain;
}

overlay::ProtectedPort protected_port(const NetworkView& view) {
    return {.reqid = xfrm::make_reqid(view.index).value, .port = view.port};
}

}  // namespace warren::agent
