#include "testbed.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cstring>

namespace warren::overlay {

namespace {

base::UniqueFd packet_socket(const netlink::Namespace& where, const std::string& ifname) {
    base::UniqueFd fd;
    must(netlink::run_in(where, [&]() -> base::Status {
        fd = base::UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(ETH_P_ALL)));
        sockaddr_ll address{};
        address.sll_family = AF_PACKET;
        address.sll_protocol = htons(ETH_P_ALL);
        address.sll_ifindex = static_cast<int>(::if_nametoindex(ifname.c_str()));
        if (address.sll_ifindex == 0 ||
            ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            return base::fail_errno("packet socket on " + ifname, errno);
        }
        return {};
    }));
    return fd;
}

}  // namespace

Sniffer::Sniffer(const netlink::Namespace& where, const std::string& ifname) : fd_(packet_socket(where, ifname)) {}

std::vector<std::vector<std::uint8_t>> Sniffer::frames() {
    std::vector<std::vector<std::uint8_t>> out;
    std::array<std::uint8_t, 65536> buffer{};
    while (true) {
        const ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (size < 0) {
            return out;
        }
        out.emplace_back(buffer.begin(), buffer.begin() + size);
    }
}

std::size_t Sniffer::count(const std::string& text) {
    const auto all = frames();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](const auto& frame) {
        return std::search(frame.begin(), frame.end(), text.begin(), text.end()) != frame.end();
    }));
}

void send_frame(const netlink::Namespace& where, const std::string& ifname, const base::MacAddress& to,
                const base::MacAddress& from, const std::string& text) {
    std::vector<std::uint8_t> frame(to.bytes.begin(), to.bytes.end());
    frame.insert(frame.end(), from.bytes.begin(), from.bytes.end());
    frame.insert(frame.end(), {0x88, 0xb5});  // IEEE 802: for local experiments
    frame.insert(frame.end(), text.begin(), text.end());
    frame.resize(std::max<std::size_t>(frame.size(), 60));
    const base::UniqueFd fd = packet_socket(where, ifname);
    if (::send(fd.get(), frame.data(), frame.size(), 0) != static_cast<ssize_t>(frame.size())) {
        must(base::Status(base::fail_errno("send a frame", errno)));
    }
}

Udp::Udp(const netlink::Namespace& where, std::uint16_t port) {
    must(netlink::run_in(where, [&]() -> base::Status {
        fd_ = base::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        const sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
        return ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
                   ? base::Status()
                   : base::fail_errno("bind", errno);
    }));
}

void Udp::send(const std::string& to, std::uint16_t port) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port)};
    ::inet_pton(AF_INET, to.c_str(), &address.sin_addr);
    // EPERM is what a dropping netfilter hook on the way out gives.
    (void)::sendto(fd_.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::size_t Udp::received(std::size_t expected) {
    char byte = 0;
    std::size_t count = 0;
    pollfd waiting{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    while (count < expected && ::poll(&waiting, 1, 2000) == 1) {
        count += ::recv(fd_.get(), &byte, 1, 0) == 1 ? 1U : 0U;
    }
    while (::recv(fd_.get(), &byte, 1, 0) == 1) {
        ++count;
    }
    return count;
}

}  // namespace warren::overlay
