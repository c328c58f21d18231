#include "xfrm/desired.h"

#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <tuple>

namespace warren::xfrm {
namespace {

base::Prefix host(const base::IpAddress& address) {
    return {.address = address, .length = static_cast<std::uint8_t>(address.bits())};
}

base::Prefix any(base::Family family) {
    return {.address = {.family = family}, .length = 0};
}

const EpochView* find_epoch(const Network& network, base::Epoch number) {
    const auto found = std::find_if(network.epochs.begin(), network.epochs.end(),
                                    [&](const EpochView& epoch) { return epoch.number == number; });
    return found == network.epochs.end() ? nullptr : &*found;
}

WantedSa make_sa(const Network& network, const Member& sender, const Member& receiver, const EpochView& epoch) {
    const Direction direction = &sender == &network.self ? Direction::kOut : Direction::kIn;
    return {.direction = direction,
            .identity = {.network = network.id,
                         .epoch = epoch.number,
                         .sender = sender.node,
                         .sender_membership = sender.membership,
                         .receiver = receiver.node,
                         .receiver_membership = receiver.membership},
            .location = {.destination = receiver.vtep,
                         .spi = make_spi({.slot = epoch.slot, .sender = sender.index, .network = network.index}),
                         .source = sender.vtep},
            .reqid = make_reqid(network.index),
            .cipher = epoch.cipher,
            .replay_window = epoch.replay_window,
            .encap = epoch.encap,
            .peer = direction == Direction::kOut ? receiver.node : sender.node};
}

}  // namespace

std::array<Policy, 4> desired_policies(const Network& network) {
    const base::Family family = network.self.vtep.family;
    const Selector everything{.family = family,
                              .source = any(family),
                              .destination = any(family),
                              .protocol = IPPROTO_UDP,
                              .destination_port = {.port = network.port.value, .mask = 0xffff}};
    Selector from_vxlan = everything;
    from_vxlan.source_port = {.port = kSourcePort, .mask = kSourcePortMask};
    Selector from_us = from_vxlan;
    from_us.source = host(network.self.vtep);
    Selector to_us = from_vxlan;
    to_us.destination = host(network.self.vtep);

    const Template esp{.reqid = make_reqid(network.index), .protocol = IPPROTO_ESP, .mode = Mode::kTransport};
    const auto policy = [&](Direction direction, const Selector& selector, Action action) {
        return Policy{.direction = direction,
                      .selector = selector,
                      .action = action,
                      .priority = action == Action::kAllow ? kAllowPriority : kBlockPriority,
                      .templates = {esp}};
    };
    // The blocks first: there is no instant at which one direction is open.
    return {policy(Direction::kIn, everything, Action::kBlock), policy(Direction::kOut, from_vxlan, Action::kBlock),
            policy(Direction::kOut, from_us, Action::kAllow), policy(Direction::kIn, to_us, Action::kAllow)};
}

std::vector<WantedSa> desired_states(const Network& network) {
    std::map<SaLocation, WantedSa, KernelOrder> wanted;
    // Two SAs cannot share a location. Two epochs in one slot or two peers behind one VTEP are a passing state of the
    // cluster, and the newer one wins.
    const auto want = [&](const WantedSa& sa) {
        const auto [place, fresh] = wanted.emplace(sa.location, sa);
        if (!fresh &&
            std::tie(place->second.identity.epoch, place->second.peer) < std::tie(sa.identity.epoch, sa.peer)) {
            place->second = sa;
        }
    };
    for (const Peer& peer : network.peers) {
        if (peer.member.node == network.self.node || peer.member.vtep.family != network.self.vtep.family) {
            continue;
        }
        for (const base::Epoch number : peer.receive) {
            if (const EpochView* epoch = find_epoch(network, number)) {
                want(make_sa(network, peer.member, network.self, *epoch));
            }
        }
        if (const EpochView* epoch = find_epoch(network, peer.send)) {
            want(make_sa(network, network.self, peer.member, *epoch));
        }
    }
    std::vector<WantedSa> list;
    list.reserve(wanted.size());
    for (const auto& [location, sa] : wanted) {
        list.push_back(sa);
    }
    return list;
}

bool matches(const WantedSa& wanted, const Sa& sa) {
    const AeadName name = aead(wanted.cipher);
    return sa.location == wanted.location && sa.reqid == wanted.reqid && sa.protocol == IPPROTO_ESP &&
           sa.mode == Mode::kTransport && sa.aead == name.kernel && sa.icv_bits == name.icv_bits &&
           sa.key_bits == name.key_bits && sa.esn && sa.replay_window == wanted.replay_window &&
           sa.encap == wanted.encap && !sa.restricted;
}

}  // namespace warren::xfrm
