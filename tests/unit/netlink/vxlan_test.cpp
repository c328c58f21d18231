// Packets through devices made by this room: two hosts, a network namespace on each, a container on each.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "netlink/segmentation.h"
#include "scratch.h"

namespace warren::netlink {
namespace {

constexpr std::uint16_t kPort = 7000;
constexpr std::size_t kBurst = 1U << 20U;

base::IpAddress underlay(unsigned host) {
    return base::IpAddress::v4(0xc0000200U + host);
}
base::IpAddress inner(unsigned host) {
    return base::IpAddress::v4(0x0a800000U + host);
}
base::MacAddress inner_mac(unsigned host) {
    return {{2, 0x42, 0x0a, 0x80, 0, static_cast<std::uint8_t>(host)}};
}

// A node with one network and one container in it.
struct Node {
    Scratch host;
    Scratch network;
    Scratch container;

    void set_up(unsigned self, unsigned peer) {
        must(host.route.request(set_link("under", {.up = true})));
        const auto under = host.link("under").index;
        must(host.route.request(add_address({.link = under, .prefix = {.address = underlay(self), .length = 24}})));
        const Vxlan options{.vni = base::Vni(0x570001),
                            .local = underlay(self),
                            .port = base::UdpPort(10007),
                            .source_low = base::UdpPort(512),
                            .source_high = base::UdpPort(1023),
                            .learning = false,
                            .udp_checksum = false};
        must(host.route.request(create_vxlan({.name = "vx0", .mtu = base::Mtu(1450), .into = &network.ns}, options)));
        must(network.route.request(create_bridge({.name = "br0", .mtu = base::Mtu(1450)}, {})));
        must(network.route.request(
            create_veth({.name = "ep0", .mtu = base::Mtu(1450)},
                        {.name = "eth0", .mac = inner_mac(self), .mtu = base::Mtu(1450), .into = &container.ns})));
        const auto bridge = network.link("br0").index;
        must(network.route.request(set_link("vx0", {.master = bridge, .up = true})));
        must(network.route.request(set_link("ep0", {.master = bridge, .up = true})));
        must(network.route.request(set_link("br0", {.up = true})));
        must(network.route.request(
            put_fdb({.link = network.link("vx0").index, .mac = inner_mac(peer), .destination = underlay(peer)})));
        must(container.route.request(set_link("eth0", {.up = true})));
        const auto eth = container.link("eth0").index;
        must(container.route.request(add_address({.link = eth, .prefix = {.address = inner(self), .length = 24}})));
        must(container.route.request(put_neighbour({.link = eth, .ip = inner(peer), .mac = inner_mac(peer)})));
    }
};

struct Pair {
    Node a;
    Node b;
    Pair() {
        must(a.host.route.request(create_veth({.name = "under"}, {.name = "under", .into = &b.host.ns})));
        a.set_up(1, 2);
        b.set_up(2, 1);
    }
};

sockaddr_in address(const base::IpAddress& ip) {
    return {.sin_family = AF_INET, .sin_port = htons(kPort), .sin_addr = {.s_addr = htonl(ip.as_v4())}};
}

base::UniqueFd socket_in(const Namespace& where, int domain, int type, int protocol = 0) {
    return must(run_in(where, [&]() -> base::Result<base::UniqueFd> {
        base::UniqueFd fd(::socket(domain, type | SOCK_CLOEXEC, protocol));
        const timeval patience{.tv_sec = 10, .tv_usec = 0};
        if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
            return base::fail_errno("socket", errno);
        }
        return fd;
    }));
}

bool bind_to(const base::UniqueFd& fd, const base::IpAddress& ip) {
    const auto self = address(ip);
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&self), sizeof self) == 0;
}

bool connect_to(const base::UniqueFd& fd, const base::IpAddress& ip) {
    const auto peer = address(ip);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&peer), sizeof peer) == 0;
}

// Sees every frame on a host's underlay device, and how large it was.
class Tap {
  public:
    explicit Tap(Node& node) : fd_(socket_in(node.host.ns, AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
        const int size = 64 << 20;
        EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size), 0);
    }
    std::size_t largest() {
        std::array<char, 64> head{};
        std::size_t most = 0;
        for (ssize_t got = 0; got >= 0; got = ::recv(fd_.get(), head.data(), head.size(), MSG_TRUNC)) {
            most = std::max(most, static_cast<std::size_t>(got));
        }
        return most;
    }

    // The first UDP over IPv4 frame seen, or as much of it as headers take.
    std::vector<std::uint8_t> first_ipv4() {
        std::vector<std::uint8_t> frame(64);
        while (::recv(fd_.get(), frame.data(), frame.size(), 0) >= 0) {
            if (frame[12] == 0x08 && frame[13] == 0x00 && frame[23] == IPPROTO_UDP) {
                return frame;
            }
        }
        return {};
    }

  private:
    base::UniqueFd fd_;
};

// Sends kBurst bytes from a's container to b's over TCP; how many arrived.
std::size_t tcp_burst(Pair& pair) {
    const auto listener = socket_in(pair.b.container.ns, AF_INET, SOCK_STREAM);
    const auto sender = socket_in(pair.a.container.ns, AF_INET, SOCK_STREAM);
    EXPECT_TRUE(bind_to(listener, inner(2)));
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_TRUE(connect_to(sender, inner(2)));
    const base::UniqueFd receiver(::accept(listener.get(), nullptr, nullptr));
    std::thread writer([&sender] {
        const std::string data(kBurst, 'x');
        EXPECT_EQ(::send(sender.get(), data.data(), data.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kBurst));
        ::shutdown(sender.get(), SHUT_WR);
    });
    std::size_t total = 0;
    std::array<char, 65536> buffer{};
    for (ssize_t got = 1; got > 0; total += static_cast<std::size_t>(std::max<ssize_t>(got, 0))) {
        got = ::recv(receiver.get(), buffer.data(), buffer.size(), 0);
    }
    writer.join();
    return total;
}

// One large UDP write that the kernel may keep whole until the last device (UDP_SEGMENT, as QUIC servers do); the
// number of datagrams that arrived.
int udp_burst(Pair& pair) {
    constexpr std::size_t kDatagrams = 10;
    const int size = 1200;
    const auto receiver = socket_in(pair.b.container.ns, AF_INET, SOCK_DGRAM);
    const auto sender = socket_in(pair.a.container.ns, AF_INET, SOCK_DGRAM);
    EXPECT_TRUE(bind_to(receiver, inner(2)));
    EXPECT_TRUE(connect_to(sender, inner(2)));
    EXPECT_EQ(::setsockopt(sender.get(), SOL_UDP, UDP_SEGMENT, &size, sizeof size), 0);
    const std::string data(kDatagrams * size, 'x');
    EXPECT_EQ(::send(sender.get(), data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
    int arrived = 0;
    std::array<char, 65536> buffer{};
    while (arrived < static_cast<int>(kDatagrams) && ::recv(receiver.get(), buffer.data(), buffer.size(), 0) == size) {
        ++arrived;
    }
    return arrived;
}

// The frame of a full-sized inner packet: an MTU of 1500 on the underlay and its Ethernet header.
constexpr std::size_t kFullFrame = 1514;

TEST(VxlanTraffic, LeavesFromTheHostThoughTheDeviceIsElsewhere) {
    Pair pair;
    Tap tap(pair.b);
    EXPECT_EQ(tcp_burst(pair), kBurst);
    const auto frame = tap.first_ipv4();
    ASSERT_GE(frame.size(), 42U);
    const auto be16 = [&frame](std::size_t at) { return frame[at] << 8U | frame[at + 1]; };
    EXPECT_EQ(std::vector<std::uint8_t>(frame.begin() + 26, frame.begin() + 34),
              (std::vector<std::uint8_t>{192, 0, 2, 1, 192, 0, 2, 2}));
    EXPECT_GE(be16(34), 512);
    EXPECT_LE(be16(34), 1023);
    EXPECT_EQ(be16(36), 10007);
    EXPECT_EQ(be16(40), 0) << "no UDP checksum";
}

TEST(VxlanTraffic, IsCutBeforeTheDeviceOnlyWhereSegmentationIsOff) {
    Pair pair;
    Tap tap(pair.b);
    EXPECT_EQ(tcp_burst(pair), kBurst);
    EXPECT_GT(tap.largest(), kFullFrame) << "else this test shows nothing";
    EXPECT_EQ(udp_burst(pair), 10);
    EXPECT_GT(tap.largest(), kFullFrame) << "else this test shows nothing";

    ASSERT_TRUE(ok(set_segmentation(pair.a.network.ns, "vx0", false)));
    ASSERT_TRUE(ok(set_segmentation(pair.b.network.ns, "vx0", false)));
    EXPECT_EQ(tcp_burst(pair), kBurst);
    EXPECT_LE(tap.largest(), kFullFrame);
    EXPECT_EQ(udp_burst(pair), 10);
    EXPECT_LE(tap.largest(), kFullFrame);

    ASSERT_TRUE(ok(set_segmentation(pair.a.network.ns, "vx0", true)));
    EXPECT_EQ(tcp_burst(pair), kBurst);
    EXPECT_GT(tap.largest(), kFullFrame);
}

// The part that can be set in a batch and is seen in every dump does it alone for packets of the host's own sockets.
TEST(VxlanTraffic, IsCutBeforeADeviceThatTakesOneSegment) {
    Pair pair;
    Tap tap(pair.b);
    ASSERT_TRUE(ok(pair.a.network.route.request(set_link("vx0", {.gso_max_segs = 1}))));
    EXPECT_EQ(udp_burst(pair), 10);
    EXPECT_LE(tap.largest(), kFullFrame);
}

}  // namespace
}  // namespace warren::netlink
