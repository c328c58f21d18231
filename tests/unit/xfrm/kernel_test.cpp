#include <gmock/gmock.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "base/text.h"
#include "base/unique_fd.h"
#include "netlink/address.h"
#include "netlink/kernel_socket.h"
#include "netlink/link.h"
#include "netlink/namespace.h"
#include "tests/unit/xfrm/world.h"
#include "xfrm/desired.h"
#include "xfrm/probe.h"

// The engine on a kernel that has ESP, with ip(8) as the judge and packets as the proof. Run by scripts/lab-run.
namespace warren::xfrm {
namespace {

using ::testing::HasSubstr;

constexpr base::NetworkIndex kSeven{7};

// A network namespace with an engine in it.
class KernelHost {
  public:
    KernelHost() { restart(); }

    void restart() {
        engine.reset();
        port.reset();
        port = must(netlink::run_in(where, [] { return make_netlink_port(); }));
        engine = must(Engine::open({.run_dir = directory_.path()}, *port));
    }

    std::string shell(const std::string& command) const {
        std::string out;
        must(netlink::run_in(where, [&]() -> base::Status {
            std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
            std::array<char, 4096> buffer{};
            while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
                out += buffer.data();
            }
            if (pipe != nullptr) {
                ::pclose(pipe);
            }
            return {};
        }));
        return out;
    }

    netlink::Namespace where = must(netlink::Namespace::create_anonymous());
    std::unique_ptr<KernelPort> port;
    std::unique_ptr<Engine> engine;

  private:
    ScratchDirectory directory_;
};

TEST(Kernel, EveryCipherIsTakenAndShownAsMeant) {
    const std::map<keymgr::Cipher, std::string> shown{
        {keymgr::Cipher::kAes128Gcm, "aead rfc4106(gcm(aes)) 0x"},
        {keymgr::Cipher::kAes256Gcm, "aead rfc4106(gcm(aes)) 0x"},
        {keymgr::Cipher::kChaCha20Poly1305, "aead rfc7539esp(chacha20,poly1305) 0x"}};
    for (const auto& [cipher, text] : shown) {
        KernelHost host;
        Network network = test_network_of_three();
        network.epochs[0].cipher = cipher;
        ASSERT_TRUE(complete(host.engine->apply_states(network)));
        const std::string state = host.shell("ip -s xfrm state");
        EXPECT_THAT(state, HasSubstr(text));
        EXPECT_THAT(state, HasSubstr(aead(cipher).key_bits == 160 ? "(160 bits) 128" : "(288 bits) 128"));
        EXPECT_THAT(state, HasSubstr("src 10.0.0.1 dst 10.0.0.2\n\tproto esp spi 0x50004007(1342193671) reqid "
                                     "1459617799(0x57000007) mode transport"));
        EXPECT_THAT(state, HasSubstr("replay_window 1024"));
        EXPECT_THAT(state, HasSubstr("flag esn"));
        EXPECT_THAT(state, HasSubstr("soft 1099511627776(bytes), hard (INF)(bytes)"));
        EXPECT_THAT(state, HasSubstr("soft 4294967296(packets), hard (INF)(packets)"));
        EXPECT_THAT(state, HasSubstr("expire add: soft 0(sec), hard 0(sec)"));
    }
}

TEST(Kernel, WhatIsThereIsAsWantedAndIsAdopted) {
    KernelHost host;
    std::uint16_t index = 7;
    for (const std::uint32_t window : std::initializer_list<std::uint32_t>{32, 1024, 4096}) {
        Network network = test_network_of_three({1, 2}, index++);
        network.epochs[0].replay_window = network.epochs[1].replay_window = window;
        ASSERT_TRUE(complete(host.engine->apply_states(network)));
        ASSERT_TRUE(complete(host.engine->apply_policies(network)));
        const std::string before = host.shell("ip -s xfrm state; ip -s xfrm policy");
        EXPECT_TRUE(must(host.engine->resync()).empty());
        host.restart();
        EXPECT_EQ(host.engine->apply_states(network).kept, 6U);
        EXPECT_EQ(host.engine->apply_policies(network).kept, 4U);
        EXPECT_EQ(host.shell("ip -s xfrm state; ip -s xfrm policy"), before);
    }
}

TEST(Kernel, Ipv6) {
    KernelHost host;
    Network network = test_network_of_three();
    network.self.vtep = must(base::parse_ip("vtep", "2001:db8::1"));
    network.peers.pop_back();
    network.peers[0].member.vtep = must(base::parse_ip("vtep", "2001:db8::2"));
    EXPECT_TRUE(complete(host.engine->apply_states(network)));
    EXPECT_TRUE(complete(host.engine->apply_policies(network)));
    EXPECT_THAT(host.shell("ip -6 xfrm state"), HasSubstr("src 2001:db8::1 dst 2001:db8::2"));
    host.restart();
    EXPECT_EQ(host.engine->apply_states(network).kept, 2U);
}

TEST(Kernel, FiveThousandSasInOneGo) {
    KernelHost host;
    Network network = test_network();
    network.epochs = {test_epoch(1)};
    for (std::uint16_t peer = 2; peer < 2502; ++peer) {
        network.peers.push_back(test_peer({.node = base::random_id<base::NodeId>(),
                                           .index = base::NodeIndex{peer},
                                           .vtep = base::IpAddress::v4(0x0a000000U + peer),
                                           .membership = base::MembershipId{peer}},
                                          1, {1}));
    }
    const Outcome outcome = host.engine->apply_states(network);
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.added, 5000U);
    EXPECT_THAT(host.shell("ip xfrm state count"), HasSubstr("SAD count 5000"));
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    EXPECT_TRUE(must(host.engine->resync()).empty());
    EXPECT_EQ(host.engine->remove_states(kSeven).deleted, 5000U);
    EXPECT_THAT(host.shell("ip xfrm state count"), HasSubstr("SAD count 0"));
}

TEST(Kernel, AFlushIsSeenAndNoKeyComesBack) {
    KernelHost host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    host.shell("ip xfrm state delete src 10.0.0.1 dst 10.0.0.2 proto esp spi 0x50004007");
    EXPECT_THAT(must(host.engine->handle_events()).states, ::testing::ElementsAre(kSeven));
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({1})).lost.size(), 1U);
    host.shell("ip xfrm state flush");
    EXPECT_THAT(must(host.engine->handle_events()).states, ::testing::ElementsAre(kSeven));
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({1})).lost.size(), 4U);
    EXPECT_EQ(host.shell("ip xfrm state"), "");
    EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({2}))));
    EXPECT_THAT(host.shell("ip xfrm state count"), HasSubstr("SAD count 4"));
}

TEST(Kernel, ForeignSasAreUntouchedAndOneUnderOurSpiIsNamed) {
    KernelHost host;
    const std::string aead = " mode transport aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128";
    host.shell("ip xfrm state add src 10.0.0.9 dst 10.0.0.1 proto esp spi 0xc0000001 reqid 1" + aead);
    host.shell("ip xfrm state add src 10.0.0.2 dst 10.0.0.1 proto esp spi 0x50008007 reqid 2" + aead);
    host.shell("ip xfrm state add src 10.0.0.3 dst 10.0.0.1 proto esp spi 0x5000c107 reqid 0x57000007 mark 1 mask 1" +
               aead);
    const std::string before = host.shell("ip xfrm state");
    const Outcome outcome = host.engine->apply_states(test_network_of_three());
    ASSERT_EQ(outcome.failed.size(), 1U);
    EXPECT_THAT(outcome.failed[0].message(), HasSubstr("10.0.0.2 -> 10.0.0.1 spi 0x50008007"));
    EXPECT_EQ(outcome.added, 3U);
    EXPECT_EQ(host.engine->remove_states(kSeven).deleted, 3U);
    EXPECT_EQ(host.shell("ip xfrm state"), before);
}

// ---- With packets: two hosts joined by a veth pair, UDP from the VXLAN source ports to the network's port ----

struct Pair {
    KernelHost a;
    KernelHost b;
    SoftLimits limits;

    explicit Pair(SoftLimits soft = {}) : limits(soft) {
        auto socket = must(netlink::Socket::open_in(a.where, netlink::Protocol::kRoute));
        must(socket.request(netlink::create_veth({.name = "u0"}, {.name = "u0", .into = &b.where})));
        a.shell("ip addr add 10.0.0.1/24 dev u0; ip link set u0 up; ip link set lo up");
        b.shell("ip addr add 10.0.0.2/24 dev u0; ip link set u0 up; ip link set lo up");
        for (KernelHost* host : {&a, &b}) {
            const std::uint16_t self = host == &a ? 1 : 2;
            must(static_cast<base::Status>(complete(host->engine->apply_policies(test_network(7, self)))
                                               ? base::Status{}
                                               : base::fail(base::Code::kInternal, "policies")));
        }
    }

    // The network of these two as one of them sees it.
    static Network view(std::uint16_t self, std::uint32_t send, const std::vector<std::uint32_t>& epochs) {
        Network network = test_network(7, self);
        for (const std::uint32_t epoch : epochs) {
            network.epochs.push_back(test_epoch(epoch));
        }
        network.peers.push_back(test_peer(test_member(self == 1 ? 2 : 1), send, epochs));
        return network;
    }
    void apply(std::uint32_t send, const std::vector<std::uint32_t>& epochs) const {
        for (const std::uint16_t self : std::initializer_list<std::uint16_t>{1, 2}) {
            Network network = view(self, send, epochs);
            network.limits = limits;
            EXPECT_TRUE(complete((self == 1 ? a : b).engine->apply_states(network)));
        }
    }
};

base::UniqueFd udp_socket(const KernelHost& host, const char* address, std::uint16_t port) {
    return must(netlink::run_in(host.where, [&]() -> base::Result<base::UniqueFd> {
        base::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        sockaddr_in local{};
        local.sin_family = AF_INET;
        local.sin_port = htons(port);
        local.sin_addr.s_addr = htonl(must(base::parse_ip("ip", address)).as_v4());
        if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
            return base::fail_errno("udp socket", errno);
        }
        return fd;
    }));
}

// From A's port 600 to B's port 10007.
struct Stream {
    base::UniqueFd sender;
    base::UniqueFd receiver;
    std::uint32_t sent = 0;

    explicit Stream(const Pair& pair)
        : sender(udp_socket(pair.a, "10.0.0.1", 600)), receiver(udp_socket(pair.b, "10.0.0.2", 10007)) {}

    // errno, or 0.
    int send() {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(10007);
        to.sin_addr.s_addr = htonl(0x0a000002);
        ++sent;
        const ssize_t done =
            ::sendto(sender.get(), &sent, sizeof sent, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
        return done == sizeof sent ? 0 : errno;
    }
    // How many have arrived once `expected` have, or have not for seconds.
    [[nodiscard]] std::uint32_t received(std::uint32_t expected) const {
        std::uint32_t count = 0;
        pollfd entry{.fd = receiver.get(), .events = POLLIN, .revents = 0};
        std::array<char, 64> buffer{};
        while (::poll(&entry, 1, count < expected ? 5000 : 0) == 1) {
            count += ::recv(receiver.get(), buffer.data(), buffer.size(), 0) > 0 ? 1U : 0U;
        }
        return count;
    }
};

// A line of /proc/net/xfrm_stat, once it is what is expected or has not been for seconds.
std::uint64_t statistic(const KernelHost& host, const std::string& name, std::uint64_t expected) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    std::uint64_t value = 0;
    do {
        const std::string text = host.shell("awk '$1 == \"" + name + "\" { printf \"%d\", $2 }' /proc/net/xfrm_stat");
        value = base::parse_unsigned(text).value_or(~std::uint64_t{0});
    } while (value != expected && std::chrono::steady_clock::now() < deadline);
    return value;
}

TEST(KernelTraffic, NothingPassesWithoutSasAndAllWithThem) {
    Pair pair;
    Stream stream(pair);
    stream.send();
    stream.send();
    EXPECT_EQ(statistic(pair.a, "XfrmOutNoStates", 2), 2U);
    EXPECT_EQ(stream.received(0), 0U);
    pair.apply(1, {1});
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(stream.send(), 0);
    }
    EXPECT_EQ(stream.received(10), 10U);
    const auto status = must(pair.a.engine->status(kSeven));
    ASSERT_EQ(status.size(), 2U);
    const SaStatus& out = status[0].direction == Direction::kOut ? status[0] : status[1];
    EXPECT_EQ(out.sa.counters.packets, 10U);
    EXPECT_EQ(out.sa.counters.sequence_out, 10U);
}

TEST(KernelTraffic, PlaintextOnThePortIsRejected) {
    Pair pair;
    pair.apply(1, {1});
    ASSERT_TRUE(complete(pair.a.engine->remove_policies(kSeven)));
    Stream stream(pair);
    EXPECT_EQ(stream.send(), 0);
    EXPECT_EQ(statistic(pair.b, "XfrmInTmplMismatch", 1), 1U);
    EXPECT_EQ(stream.received(0), 0U);
}

TEST(KernelTraffic, SwitchesOfTheSendingEpochLoseNothing) {
    Pair pair;
    pair.apply(1, {1});
    Stream stream(pair);
    for (std::uint32_t epoch = 2; epoch <= 21; ++epoch) {
        pair.apply(epoch - 1, {epoch - 1, epoch});
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(stream.send(), 0);
        }
        // The switch of A in the midst of sending, from another thread.
        std::thread sender([&] {
            for (int i = 0; i < 200; ++i) {
                EXPECT_EQ(stream.send(), 0);
            }
        });
        EXPECT_TRUE(complete(pair.a.engine->apply_states(Pair::view(1, epoch, {epoch - 1, epoch}))));
        sender.join();
        EXPECT_TRUE(complete(pair.b.engine->apply_states(Pair::view(2, epoch, {epoch - 1, epoch}))));
        EXPECT_EQ(stream.received(220), 220U);
        pair.apply(epoch, {epoch});
    }
    EXPECT_EQ(stream.sent, 20U * 220U);
    EXPECT_THAT(pair.a.shell("ip xfrm state count"), HasSubstr("SAD count 2"));
}

TEST(KernelTraffic, ARestartLosesNothingAndKeepsTheSequence) {
    Pair pair;
    pair.apply(1, {1});
    Stream stream(pair);
    for (int i = 0; i < 50; ++i) {
        stream.send();
        if (i == 25) {
            pair.a.restart();
            EXPECT_FALSE(pair.a.engine->apply_states(Pair::view(1, 1, {1})).changed());
        }
    }
    EXPECT_EQ(stream.received(50), 50U);
    for (const SaStatus& it : must(pair.a.engine->status(kSeven))) {
        if (it.direction == Direction::kOut) {
            EXPECT_EQ(it.sa.counters.sequence_out, 50U);
        }
    }
}

TEST(KernelTraffic, ASoftLimitRaisesAnEvent) {
    Pair pair({.packets = 20, .bytes = kNoLimit});
    pair.apply(1, {1});
    EXPECT_TRUE(must(pair.a.engine->handle_events()).limits.empty());
    Stream stream(pair);
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(stream.send(), 0);
    }
    EXPECT_EQ(stream.received(30), 30U);
    for (const KernelHost* host : {&pair.a, &pair.b}) {
        const auto limits = must(host->engine->handle_events()).limits;
        ASSERT_EQ(limits.size(), 1U);
        EXPECT_EQ(limits.begin()->network, kSeven);
        EXPECT_EQ(limits.begin()->epoch, base::Epoch{1});
        EXPECT_EQ(must(host->engine->resync()).limits, limits);
    }
}

// The kernel tells what an SA had counted when we delete it: nothing of an epoch's traffic is missed.
TEST(KernelTraffic, AClosedSaLeavesItsCounters) {
    Pair pair;
    pair.apply(1, {1});
    Stream stream(pair);
    for (int i = 0; i < 30; ++i) {
        EXPECT_EQ(stream.send(), 0);
    }
    EXPECT_EQ(stream.received(30), 30U);
    pair.apply(1, {1, 2});
    pair.apply(2, {1, 2});
    const auto closed = must(pair.a.engine->handle_events()).closed;
    ASSERT_EQ(closed.size(), 1U);
    EXPECT_EQ(closed[0].epoch, base::Epoch{1});
    EXPECT_EQ(closed[0].packets, 30U);
    EXPECT_GT(closed[0].bytes, 30U * sizeof stream.sent);
}

// ---- Probes ----

TEST(KernelProbe, AllCiphersWorkHereInBothFamilies) {
    for (const base::Family family : {base::Family::kIpv4, base::Family::kIpv6}) {
        const EspProbe probe = must(probe_esp(family));
        EXPECT_EQ(probe.working.size(), 3U);
        EXPECT_TRUE(probe.missing.empty()) << probe.missing[0].reason;
    }
}

// The lab's kernel has INET_ESP_OFFLOAD built in, and cuts such packets wrongly for VNIs below 0x500000.
TEST(KernelProbe, SegmentationIsFineForOurVnisAndBrokenForDockers) {
    const SegmentationProbe ours = probe_segmentation();
    EXPECT_EQ(ours.verdict, SegmentationProbe::Verdict::kFine) << ours.why;
    const SegmentationProbe dockers = probe_segmentation(base::Family::kIpv4, base::Vni{4097});
    EXPECT_EQ(dockers.verdict, SegmentationProbe::Verdict::kBroken) << dockers.why;
    std::printf("ours: %s\nVNI 4097: %s\n", ours.why.c_str(), dockers.why.c_str());
}

TEST(KernelProbe, SegmentationOverIpv6) {
    const SegmentationProbe probe = probe_segmentation(base::Family::kIpv6);
    EXPECT_EQ(probe.verdict, SegmentationProbe::Verdict::kFine) << probe.why;
}

TEST(KernelProbe, LeavesNothingBehind) {
    const auto here = must(netlink::Namespace::current());
    const auto count = [] {
        std::string links;
        std::FILE* pipe = ::popen("ip -o link | wc -l; ip xfrm state count; ip xfrm policy count", "r");
        std::array<char, 256> buffer{};
        while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
            links += buffer.data();
        }
        if (pipe != nullptr) {
            ::pclose(pipe);
        }
        return links;
    };
    const std::string before = count();
    static_cast<void>(probe_esp());
    static_cast<void>(probe_segmentation());
    EXPECT_EQ(count(), before);
    EXPECT_EQ(must(netlink::Namespace::current()), here);
}

}  // namespace
}  // namespace warren::xfrm
