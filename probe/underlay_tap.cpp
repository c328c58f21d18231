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

constexpr std::uint32_t kIpv6Header = 40;
constexpr std::uint32_t kUdpHeader = 8;
// Where the filter keeps what it has read.
constexpr std::uint32_t kSize = 0;  // of the IP packet
constexpr std::uint32_t kProtocol = 1;
constexpr std::uint32_t kPort = 2;  // UDP's destination

constexpr std::uint16_t kLoadByte = BPF_LD | BPF_B | BPF_ABS;
constexpr std::uint16_t kLoadHalf = BPF_LD | BPF_H | BPF_ABS;
constexpr std::uint16_t kRecall = BPF_LD | BPF_MEM;
constexpr std::uint16_t kIs = BPF_JMP | BPF_JEQ | BPF_K;
constexpr std::uint16_t kReturn = BPF_RET | BPF_K;

// Takes the frame if its packet has that size, else not.
void take_if_of_size(std::vector<sock_filter>& code, std::uint32_t size) {
    code.insert(code.end(),
                {BPF_STMT(kRecall, kSize), BPF_JUMP(kIs, size, 0, 1), BPF_STMT(kReturn, kSeen), BPF_STMT(kReturn, 0)});
}

// Documentation/networking/filter.rst. Each test jumps over as many as it says: when it holds, when it does not.
std::vector<sock_filter> filter_for(const Sought& sought) {
    std::vector<sock_filter> code{
        BPF_STMT(kLoadHalf, 12),
        BPF_JUMP(kIs, ETH_P_IP, 0, 8),
        BPF_STMT(kLoadHalf, 16),  // IPv4: the total length
        BPF_STMT(BPF_ST, kSize),
        BPF_STMT(kLoadByte, 23),
        BPF_STMT(BPF_ST, kProtocol),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
        BPF_STMT(BPF_ST, kPort),
        BPF_JUMP(BPF_JMP | BPF_JA, 9, 0, 0),
        BPF_JUMP(kIs, ETH_P_IPV6, 1, 0),
        BPF_STMT(kReturn, 0),
        BPF_STMT(kLoadHalf, 18),  // IPv6: the payload length
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, kIpv6Header),
        BPF_STMT(BPF_ST, kSize),
        BPF_STMT(kLoadByte, 20),
        BPF_STMT(BPF_ST, kProtocol),
        BPF_STMT(kLoadHalf, 56),
        BPF_STMT(BPF_ST, kPort),
        BPF_STMT(kRecall, kProtocol),
        BPF_JUMP(kIs, IPPROTO_ESP, 0, 4),
    };
    take_if_of_size(code, sought.esp_size.value);
    code.insert(code.end(), {BPF_JUMP(kIs, IPPROTO_UDP, 1, 0), BPF_STMT(kReturn, 0), BPF_STMT(kRecall, kPort),
                             BPF_JUMP(kIs, sought.port.value, 0, 1), BPF_STMT(kReturn, kSeen)});
    for (const auto port : sought.encap) {
        code.push_back(BPF_JUMP(kIs, port.value, 0, 4));
        take_if_of_size(code, sought.esp_size.value + kUdpHeader);
    }
    code.push_back(BPF_STMT(kReturn, 0));
    return code;
}

}  // namespace

Result<UnderlayTap> UnderlayTap::open(const std::string& device, const Sought& sought) {
    const auto fail = [&](std::string_view what) {
        return fail_errno(fmt::format("watch {}: {}", device, what), errno);
    };
    // Of no protocol yet, so that nothing comes in before the filter is there.
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        return fail("socket");
    }
    auto code = filter_for(sought);
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
