#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/sockaddr.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "netlink/address.h"
#include "netlink/kernel_socket.h"
#include "netlink/link.h"
#include "netlink/namespace.h"
#include "netlink/neighbour.h"
#include "netlink/segmentation.h"
#include "xfrm/desired.h"
#include "xfrm/kernel_port.h"
#include "xfrm/probe.h"

namespace warren::xfrm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* kUnderlay = "u0";
constexpr const char* kOverlay = "x0";
constexpr std::uint16_t kTcpPort = 5700;
constexpr std::size_t kBurst = 1U << 20U;   // enough for a few dozen packets of 64 KiB
constexpr milliseconds kBurstTime{250};     // what gets through is done long before
constexpr milliseconds kConnectTime{2000};  // the first packet may load crypto modules

// One of the two hosts of the probe.
struct Host {
    netlink::Namespace where;
    Member member;
    base::IpAddress inner;
};

base::Result<Host> make_host(base::Family family, std::uint8_t number) {
    WARREN_TRY_ASSIGN(auto where, netlink::Namespace::create_anonymous());
    WARREN_TRY_ASSIGN(const auto vtep,
                      base::parse_ip("probe", family == base::Family::kIpv4 ? fmt::format("192.0.2.{}", number)
                                                                            : fmt::format("2001:db8::{}", number)));
    return Host{.where = std::move(where),
                .member = {.node = base::random_id<base::NodeId>(),
                           .index = base::NodeIndex{number},
                           .vtep = vtep,
                           .membership = base::MembershipId{number}},
                .inner = base::IpAddress::v4(0xc6336400U + number)};  // 198.51.100.n
}

base::Status all_of(const std::vector<base::Status>& results) {
    for (const base::Status& result : results) {
        WARREN_TRY(base::Status(result));
    }
    return {};
}

std::uint8_t subnet_of(const base::IpAddress& address) {
    return address.family == base::Family::kIpv4 ? 24 : 64;
}

base::Status join(const Host& a, const Host& b) {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open_in(a.where, netlink::Protocol::kRoute));
    WARREN_TRY(socket.request(netlink::create_veth({.name = kUnderlay}, {.name = kUnderlay, .into = &b.where})));
    for (const Host* host : {&a, &b}) {
        WARREN_TRY_ASSIGN(auto own, netlink::Socket::open_in(host->where, netlink::Protocol::kRoute));
        WARREN_TRY_ASSIGN(const auto link, netlink::read_link(own, kUnderlay));
        std::vector<netlink::Message> batch;
        batch.push_back(netlink::set_link(link.index, {.up = true}));
        batch.push_back(
            netlink::add_address({.link = link.index,
                                  .prefix = {.address = host->member.vtep, .length = subnet_of(host->member.vtep)},
                                  .no_dad = true}));
        WARREN_TRY(all_of(own.transact(batch)));
    }
    return {};
}

// As the overlay makes it, with the segmentation that is in question.
base::Status make_overlay(const Host& self, const Host& peer, base::UdpPort port, base::Vni vni) {
    WARREN_TRY_ASSIGN(auto socket, netlink::Socket::open_in(self.where, netlink::Protocol::kRoute));
    const bool v4 = self.member.vtep.family == base::Family::kIpv4;
    WARREN_TRY(socket.request(netlink::create_vxlan({.name = kOverlay, .mtu = base::Mtu{v4 ? 1416U : 1396U}},
                                                    {.vni = vni,
                                                     .local = self.member.vtep,
                                                     .port = port,
                                                     .source_low = base::UdpPort{512},
                                                     .source_high = base::UdpPort{1023},
                                                     .udp_checksum = false,
                                                     .udp_zero_checksum6_tx = true,
                                                     .udp_zero_checksum6_rx = true})));
    WARREN_TRY_ASSIGN(const auto link, netlink::read_link(socket, kOverlay));
    std::vector<netlink::Message> batch;
    batch.push_back(netlink::append_fdb({.link = link.index, .destination = peer.member.vtep}));
    batch.push_back(netlink::set_link(link.index, {.up = true}));
    batch.push_back(netlink::add_address({.link = link.index, .prefix = {.address = self.inner, .length = 24}}));
    return all_of(socket.transact(batch));
}

base::Status encrypt(const Host& self, const Host& peer, const Network& common) {
    Network network{.cluster = common.cluster,
                    .id = common.id,
                    .index = common.index,
                    .port = common.port,
                    .self = self.member,
                    .peers = {{.member = peer.member, .send = base::Epoch{1}, .receive = {base::Epoch{1}}}}};
    network.epochs = common.epochs;
    WARREN_TRY_ASSIGN(const auto port, netlink::run_in(self.where, [] { return make_netlink_port(); }));
    std::vector<Operation> operations;
    for (const Policy& policy : desired_policies(network)) {
        operations.emplace_back(AddPolicy{policy});
    }
    for (const WantedSa& sa : desired_states(network)) {
        WARREN_TRY_ASSIGN(
            auto key, keymgr::derive_sa_key(*network.epochs.front().secret, network.cluster, sa.cipher, sa.identity));
        operations.emplace_back(AddSa{.location = sa.location,
                                      .reqid = sa.reqid,
                                      .cipher = sa.cipher,
                                      .replay_window = sa.replay_window,
                                      .key = std::move(key)});
    }
    for (const Answer& answer : port->apply(operations)) {
        if (!answer.done()) {
            return tl::unexpected(*answer.error);
        }
    }
    return {};
}

// Closing it ends the connection at once, whatever is still to be sent.
base::Result<base::UniqueFd> tcp_socket(const netlink::Namespace& where) {
    return netlink::run_in(where, []() -> base::Result<base::UniqueFd> {
        base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        const int yes = 1;
        const linger at_once{.l_onoff = 1, .l_linger = 0};
        if (!fd || ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
            ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) != 0) {
            return base::fail_errno("open a TCP socket", errno);
        }
        return fd;
    });
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    pollfd entry{.fd = fd, .events = events, .revents = 0};
    return left > 0 && ::poll(&entry, 1, static_cast<int>(left)) == 1;
}

struct Connection {
    base::UniqueFd sender;
    base::UniqueFd receiver;
};

base::Result<Connection> connect(const Host& from, const Host& to) {
    WARREN_TRY_ASSIGN(const auto listener, tcp_socket(to.where));
    Connection connection;
    WARREN_TRY_ASSIGN(connection.sender, tcp_socket(from.where));
    const base::Sockaddr address({.ip = to.inner, .port = kTcpPort});
    if (::bind(listener.get(), address.get(), address.size()) != 0 || ::listen(listener.get(), 1) != 0) {
        return base::fail_errno("listen", errno);
    }
    if (::connect(connection.sender.get(), address.get(), address.size()) != 0 && errno != EINPROGRESS) {
        return base::fail_errno("connect", errno);
    }
    if (!wait_for(listener.get(), POLLIN, Clock::now() + kConnectTime)) {
        return base::fail(base::Code::kUnavailable, "no connection through ESP within {} ms", kConnectTime.count());
    }
    connection.receiver.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection.receiver) {
        return base::fail_errno("accept", errno);
    }
    return connection;
}

// What the underlay device refused to send (field 12 of its line in /proc/net/dev).
base::Result<std::uint64_t> transmit_drops(const Host& host) {
    WARREN_TRY_ASSIGN(const std::string table,
                      netlink::run_in(host.where, [] { return base::read_file("/proc/thread-self/net/dev"); }));
    for (const std::string_view line : base::split(table, '\n')) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos || line.substr(0, colon).find(kUnderlay) == std::string_view::npos) {
            continue;
        }
        std::vector<std::string_view> fields = base::split(line.substr(colon + 1), ' ');
        std::erase(fields, std::string_view());
        const auto drops = fields.size() > 11 ? base::parse_unsigned(fields[11]) : std::nullopt;
        if (drops) {
            return *drops;
        }
    }
    return base::fail(base::Code::kInternal, "no counters of the underlay device");
}

struct Burst {
    std::size_t bytes = 0;
    std::uint64_t drops = 0;
    milliseconds time{0};

    [[nodiscard]] std::string text() const {
        return fmt::format("{} KiB in {} ms, {} packets dropped", bytes / 1024, time.count(), drops);
    }
};

// Sends as much as gets through, up to kBurst and kBurstTime.
base::Result<Burst> send_burst(const Host& from, const Connection& connection) {
    static constexpr std::array<char, 65536> kPayload{};
    std::array<char, 65536> sink{};
    WARREN_TRY_ASSIGN(const std::uint64_t before, transmit_drops(from));
    const auto begin = Clock::now();
    const auto deadline = begin + kBurstTime;
    std::size_t sent = 0;
    Burst burst;
    while (burst.bytes < kBurst && Clock::now() < deadline) {
        while (sent < kBurst) {
            const ssize_t put = ::send(connection.sender.get(), kPayload.data(),
                                       std::min(kPayload.size(), kBurst - sent), MSG_NOSIGNAL);
            if (put <= 0) {
                break;
            }
            sent += static_cast<std::size_t>(put);
        }
        if (wait_for(connection.receiver.get(), POLLIN, deadline)) {
            const ssize_t got = ::recv(connection.receiver.get(), sink.data(), sink.size(), 0);
            if (got <= 0) {
                return base::fail(base::Code::kInternal, "the connection broke");
            }
            burst.bytes += static_cast<std::size_t>(got);
        }
    }
    burst.time = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    WARREN_TRY_ASSIGN(const std::uint64_t after, transmit_drops(from));
    burst.drops = after - before;
    return burst;
}

base::Result<Burst> connect_and_send(const Host& from, const Host& to) {
    WARREN_TRY_ASSIGN(const Connection connection, connect(from, to));
    return send_burst(from, connection);
}

base::Result<SegmentationProbe> run(base::Family family, base::Vni vni) {
    WARREN_TRY_ASSIGN(const Host a, make_host(family, 1));
    WARREN_TRY_ASSIGN(const Host b, make_host(family, 2));
    const keymgr::EpochSecret secret = keymgr::random_epoch_secret();
    const Network network{.cluster = base::random_id<base::ClusterId>(),
                          .id = base::random_id<base::NetworkId>(),
                          .index = base::NetworkIndex{1},
                          .port = base::UdpPort{10001},
                          .epochs = {{.number = base::Epoch{1}, .secret = &secret}}};
    WARREN_TRY(join(a, b));
    WARREN_TRY(encrypt(a, b, network));
    WARREN_TRY(encrypt(b, a, network));
    WARREN_TRY(make_overlay(a, b, network.port, vni));
    WARREN_TRY(make_overlay(b, a, network.port, vni));

    WARREN_TRY_ASSIGN(const Burst with, connect_and_send(a, b));
    if (with.drops == 0) {
        return SegmentationProbe{.verdict = SegmentationProbe::Verdict::kFine, .why = with.text()};
    }
    // Drops alone may have another cause: the same without late segmentation must do better.
    WARREN_TRY(netlink::set_segmentation(a.where, kOverlay, false));
    WARREN_TRY_ASSIGN(const Burst without, connect_and_send(a, b));
    const bool faster = without.bytes > with.bytes * 2 || without.time * 2 < with.time;
    const bool broken = faster && without.drops * 2 < with.drops;
    return SegmentationProbe{
        .verdict = broken ? SegmentationProbe::Verdict::kBroken : SegmentationProbe::Verdict::kFine,
        .why = fmt::format("{} with segmentation offload, {} without", with.text(), without.text())};
}

}  // namespace

SegmentationProbe probe_segmentation(base::Family family, base::Vni vni) {
    auto probe = run(family, vni);
    if (!probe) {
        return {.verdict = SegmentationProbe::Verdict::kNotTestable, .why = probe.error().message()};
    }
    return *std::move(probe);
}

bool offload_module_present(base::Family family, const std::filesystem::path& modules) {
    std::error_code none;
    return std::filesystem::exists(modules / (family == base::Family::kIpv4 ? "esp4_offload" : "esp6_offload"), none);
}

}  // namespace warren::xfrm
