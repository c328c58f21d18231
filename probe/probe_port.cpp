#include "probe/probe_port.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/sockaddr.h"

namespace warren::probe {

namespace {

using base::fail_errno;
using base::Result;
using base::Status;
using base::UniqueFd;

using overlay::kSourceHigh;
using overlay::kSourceLow;

constexpr std::size_t kFramesAtOnce = 64;
constexpr std::size_t kLargestFrame = 65536;

// Frames of our ethertype only, so that the socket costs the others nothing (net/core/dev.c, ptype_specific).
Result<UniqueFd> open_in(const netlink::Namespace& home) {
    return netlink::run_in(home, []() -> Result<UniqueFd> {
        UniqueFd fd(::socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd) {
            return fail_errno("receive probe frames: socket", errno);
        }
        sockaddr_ll bridge{};
        bridge.sll_family = AF_PACKET;
        bridge.sll_protocol = htons(kProbeEthertype);
        bridge.sll_ifindex = static_cast<int>(::if_nametoindex("br0"));
        if (bridge.sll_ifindex == 0) {
            return base::fail(base::Code::kNotFound, "receive probe frames: the network has no bridge yet");
        }
        if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&bridge), sizeof bridge) != 0) {
            return fail_errno("receive probe frames: bind", errno);
        }
        return fd;
    });
}

Result<UniqueFd> open_out(const overlay::Network& network) {
    UniqueFd fd(::socket(base::socket_family(network.vtep.family), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail_errno("send probe frames: socket", errno);
    }
    int error = EADDRINUSE;
    // From above: what takes a port there at random (bindresvport) begins at 512 to 600.
    for (auto port = kSourceHigh.value; port >= kSourceLow.value && error == EADDRINUSE; --port) {
        const base::Sockaddr own({.ip = network.vtep, .port = network.encrypted ? port : std::uint16_t{0}});
        error = ::bind(fd.get(), own.get(), own.size()) == 0 ? 0 : errno;
    }
    if (error != 0) {
        return fail_errno(fmt::format("send probe frames: bind to a port of {} to {}", kSourceLow, kSourceHigh), error);
    }
    return fd;
}

}  // namespace

ProbePort::ProbePort(UniqueFd in, UniqueFd out, const overlay::Network& network)
    : in_(std::move(in)),
      out_(std::move(out)),
      port_(network.port),
      vni_(network.subnets.front().vni),
      bridge_(overlay::gateway_mac(network.id, 0)) {}

Result<ProbePort> ProbePort::open(const overlay::Network& network, const netlink::Namespace& home) {
    WARREN_TRY_ASSIGN(auto in, open_in(home));
    WARREN_TRY_ASSIGN(auto out, open_out(network));
    return ProbePort(std::move(in), std::move(out), network);
}

Result<ProbePort::Received> ProbePort::receive() {
    Received received;
    std::vector<std::uint8_t> buffer(kLargestFrame);
    for (std::size_t i = 0; i < kFramesAtOnce; ++i) {
        const auto size = ::recv(in_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EAGAIN) {
            break;
        }
        if (size < 0) {
            return fail_errno("receive probe frames", errno);
        }
        ++received.frames;
        if (const auto probe = decode_probe(std::span(buffer).first(static_cast<std::size_t>(size)))) {
            received.probes.push_back(*probe);
        }
    }
    return received;
}

Status ProbePort::send(const Probe& probe, base::Mtu size, const base::IpAddress& vtep) {
    const bool v4 = vtep.family == base::Family::kIpv4;
    // Else as the VXLAN device does: IP cuts what is too large.
    static_assert(IP_PMTUDISC_DO == IPV6_PMTUDISC_DO && IP_PMTUDISC_DONT == IPV6_PMTUDISC_DONT);
    const int cut = probe.whole ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT;
    if (::setsockopt(out_.get(), v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, &cut,
                     sizeof cut) != 0) {
        return fail_errno("send a probe frame: setsockopt", errno);
    }
    const auto datagram = encode_probe(probe, vni_, bridge_, size);
    const base::Sockaddr to({.ip = vtep, .port = port_.value});
    if (::sendto(out_.get(), datagram.data(), datagram.size(), 0, to.get(), to.size()) < 0) {
        return fail_errno(fmt::format("send a probe frame to {}", vtep), errno);
    }
    return {};
}

}  // namespace warren::probe
