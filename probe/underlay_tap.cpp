#include "probe/underlay_tap.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace warren::probe {

namespace {

using base::fail_errno;
using base::Result;
using base::Status;
using base::UniqueFd;

constexpr std::size_t kFramesAtOnce = 64;
// A probe in VXLAN in UDP in IPv6.
constexpr std::uint32_t kSeen = 256;

// Documentation/networking/filter.rst. Each test jumps over as many as it says: when it holds, when it does not.
std::vector<sock_filter> filter_for(base::UdpPort port, base::Mtu esp_size) {
    constexpr std::uint16_t kByte = BPF_LD | BPF_B | BPF_ABS;
    constexpr std::uint16_t kHalf = BPF_LD | BPF_H | BPF_ABS;
    constexpr std::uint16_t kIs = BPF_JMP | BPF_JEQ | BPF_K;
    return {
        BPF_STMT(kHalf, 12),
        BPF_JUMP(kIs, ETH_P_IP, 0, 8),
        BPF_STMT(kByte, 23),  // IPv4: the protocol
        BPF_JUMP(kIs, IPPROTO_ESP, 0, 2),
        BPF_STMT(kHalf, 16),  // total length
        BPF_JUMP(kIs, esp_size.value, 12, 13),
        BPF_JUMP(kIs, IPPROTO_UDP, 0, 12),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),  // destination port
        BPF_JUMP(kIs, port.value, 8, 9),
        BPF_JUMP(kIs, ETH_P_IPV6, 0, 8),
        BPF_STMT(kByte, 20),  // IPv6: the next header
        BPF_JUMP(kIs, IPPROTO_ESP, 0, 2),
        BPF_STMT(kHalf, 18),  // payload length
        BPF_JUMP(kIs, esp_size.value - 40, 3, 4),
        BPF_JUMP(kIs, IPPROTO_UDP, 0, 3),
        BPF_STMT(kHalf, 56),  // destination port
        BPF_JUMP(kIs, port.value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, kSeen),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
}

}  // namespace

Result<UnderlayTap> UnderlayTap::open(const std::string& device, base::UdpPort port, base::Mtu esp_size) {
    const auto fail = [&](std::string_view what) {
        return fail_errno(fmt::format("watch {}: {}", device, what), errno);
    };
    // Of no protocol yet, so that nothing comes in before the filter is there.
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail("socket");
    }
    auto code = filter_for(port, esp_size);
    const sock_fprog program{.len = static_cast<unsigned short>(code.size()), .filter = code.data()};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
        return fail("attach a filter");
    }
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(device.c_str()));
    if (address.sll_ifindex == 0 ||
        ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail("bind");
    }
    socklen_t size = sizeof address;
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return fail("getsockname");
    }
    if (address.sll_hatype != ARPHRD_ETHER) {
        return base::fail(base::Code::kPrecondition, "watch {}: it carries no Ethernet frames", device);
    }
    return UnderlayTap(std::move(fd));
}

Result<std::vector<UnderlayTap::Frame>> UnderlayTap::receive() {
    std::vector<Frame> frames;
    for (std::size_t i = 0; i < kFramesAtOnce; ++i) {
        Frame frame{.out = false, .bytes = std::vector<std::uint8_t>(kSeen)};
        sockaddr_ll address{};
        socklen_t address_size = sizeof address;
        const auto size = ::recvfrom(fd_.get(), frame.bytes.data(), frame.bytes.size(), 0,
                                     reinterpret_cast<sockaddr*>(&address), &address_size);
        if (size < 0 && errno == EAGAIN) {
            break;
        }
        if (size < 0) {
            return fail_errno("watch the underlay", errno);
        }
        frame.out = address.sll_pkttype == PACKET_OUTGOING;
        frame.bytes.resize(static_cast<std::size_t>(size));
        frames.push_back(std::move(frame));
    }
    return frames;
}

Status UnderlayTap::send(std::span<const std::uint8_t> frame) {
    return ::send(fd_.get(), frame.data(), frame.size(), 0) < 0 ? fail_errno("send a forged frame", errno) : Status{};
}

}  // namespace warren::probe
