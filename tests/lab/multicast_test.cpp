#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_kind.h"

// Broadcast and multicast of a network with `--opt multicast`: to its members, there to the containers that asked, and
// without the option to nobody. The senders and receivers are socat, the judge of what did not come is tcpdump.
namespace warren::lab {
namespace {

using std::chrono::seconds;

// Groups, as socat writes addresses.
constexpr const char* kGroup = "239.1.2.3";
constexpr const char* kIpv6Group = "[ff15::1234]";
constexpr const char* kEverybody = "255.255.255.255";
// Nothing else on the underlay is as large.
constexpr std::size_t kLarge = 700;

bool is_ipv6(const std::string& address) {
    return address.starts_with('[');
}

// What one container receives on a UDP port, line by line.
class Receiver {
  public:
    // `options` are socat's, for its socket of that family.
    Receiver(const std::filesystem::path& directory, const Container& container, const std::string& port,
             const std::string& options, int family = 4)
        : file_(directory / fmt::format("{}-{}", container.name(), port)),
          socat_({"socat", "-u", fmt::format("UDP{}-RECV:{},reuseaddr{}", family, port, options), "STDOUT"},
                 {.netns = container.name(), .out_file = file_}) {}

    [[nodiscard]] std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        std::istringstream text(file_content(file_));
        for (std::string line; std::getline(text, line);) {
            lines.push_back(line);
        }
        return lines;
    }
    [[nodiscard]] bool has(const std::string& line) const { return std::ranges::count(lines(), line) > 0; }
    // The lines that begin so.
    [[nodiscard]] std::vector<std::string> those_of(const std::string& beginning) const {
        auto found = lines();
        std::erase_if(found, [&](const auto& line) { return !line.starts_with(beginning); });
        return found;
    }

  private:
    std::filesystem::path file_;
    Process socat_;
};

Receiver join(const std::filesystem::path& directory, const Container& container, const std::string& group) {
    if (is_ipv6(group)) {
        return {directory, container, "5000", fmt::format(",ipv6-join-group={}:{}", group, container.interface()), 6};
    }
    return {directory, container, "5000", fmt::format(",ip-add-membership={}:{}", group, container.ip())};
}
Receiver hear_broadcast(const std::filesystem::path& directory, const Container& container) {
    return {directory, container, "5001", ",broadcast"};
}

// One datagram with one line, which may be made so large that no other packet is.
void send(const Container& from, const std::string& to, const std::string& line, bool large = false) {
    const auto port = to == kGroup || is_ipv6(to) ? "5000" : "5001";
    const auto text = large ? line + std::string(kLarge - line.size(), '.') : line;
    const auto socket = is_ipv6(to) ? fmt::format("UDP6-DATAGRAM:{}:{}", to, port)
                                    : fmt::format("UDP4-DATAGRAM:{}:{},broadcast,ip-multicast-if={},ip-multicast-ttl=4",
                                                  to, port, from.ip());
    from.run({"bash", "-c",
              fmt::format("echo '{}' | socat -u STDIN {},so-bindtodevice={}", text, socket, from.interface())});
}

// A network with containers c1, c2, c3 on the members h1, h2, h3 and one more on h1 and h2; h4 is no member.
struct Scene {
    explicit Scene(bool encrypted, const Argv& options, std::string to = kGroup)
        : lab(cluster_of(4)), beside_sender("d1"), bystander("d2"), group(std::move(to)) {
        Argv more{"--internal"};
        more.insert(more.end(), options.begin(), options.end());
        more.emplace_back("net1");
        create_network(manager(), encrypted, more);
        for (unsigned i = 1; i <= 3; ++i) {
            containers.emplace_back(fmt::format("c{}", i));
            lab->host(i).connect("net1", containers.back());
        }
        lab->host(1).connect("net1", beside_sender);
        lab->host(2).connect("net1", bystander);
        id = inspect(manager(), "net1").id();
        for (const auto* container : {&containers[0], &containers[1], &containers[2], &beside_sender}) {
            in_group.push_back(std::make_unique<Receiver>(join(lab->artefacts(), *container, group)));
        }
        for (const auto* container : {&containers[1], &containers[2], &beside_sender, &bystander}) {
            in_broadcast.push_back(std::make_unique<Receiver>(hear_broadcast(lab->artefacts(), *container)));
        }
    }

    Host& manager() const { return lab->host(1); }
    const Container& sender() const { return containers[0]; }
    [[nodiscard]] std::string space(const Host& host) const { return (host.run_dir() / "netns" / id).string(); }
    // What a program says in the network's namespace on a host.
    std::string inside(const Host& host, const std::string& command) const {
        return host.run({"bash", "-c", fmt::format("nsenter --net={} {}", space(host), command)}).out;
    }
    // Sends a line to the group until everybody in it has one of these.
    [[nodiscard]] bool group_works() {
        return eventually(seconds(15), [&] {
            const auto line = fmt::format("try{}", ++tries);
            send(sender(), group, line);
            send(sender(), kEverybody, line);
            return eventually(std::chrono::milliseconds(300), [&] {
                return std::ranges::all_of(in_group, [&](const auto& it) { return it->has(line); }) &&
                       std::ranges::all_of(in_broadcast, [&](const auto& it) { return it->has(line); });
            });
        });
    }
    // Whatever was sent before has come or will never come: frames keep their order.
    [[nodiscard]] bool flushed() {
        const auto line = fmt::format("fence{}", ++tries);
        send(sender(), kEverybody, line);
        return eventually(seconds(5), [&] {
            return std::ranges::all_of(in_broadcast, [&](const auto& it) { return it->has(line); });
        });
    }
    // For some seconds after its making a bridge knows nobody's groups yet, and hands all of them to everybody.
    [[nodiscard]] bool settled_down() {
        Process tcpdump({"tcpdump", "-i", bystander.interface(), "-n", "-l", "-A", "udp port 5000"},
                        {.netns = bystander.name()});
        if (!eventually(seconds(5), [&] { return tcpdump.output().err.find("listening") != std::string::npos; })) {
            return false;
        }
        return eventually(seconds(20), [&] {
            const auto line = fmt::format("flooded{}x", ++tries);
            send(sender(), group, line);
            return flushed() && tcpdump.output().out.find(line) == std::string::npos;
        });
    }

    std::unique_ptr<Lab> lab;
    std::vector<Container> containers;
    Container beside_sender;
    Container bystander;
    std::string group;
    std::string id;
    std::vector<std::unique_ptr<Receiver>> in_group;
    std::vector<std::unique_ptr<Receiver>> in_broadcast;
    int tries = 0;
};

class Multicast : public testing::TestWithParam<bool> {};

// Everybody in the group has each datagram once, whom it does not concern has none.
void expect_reached_once(Scene& scene, bool encrypted) {
    EXPECT_TRUE(inspect(scene.manager(), "net1").multicast());
    Capture underlay(scene.lab->artefacts(), "underlay", kUnderlay);
    ASSERT_TRUE(scene.group_works());
    ASSERT_TRUE(scene.settled_down()) << "a container that joined nothing goes on getting everything";

    Capture bystander(scene.lab->artefacts(), "bystander", scene.bystander.interface(), scene.bystander.where());
    std::vector<std::string> sent;
    for (int i = 0; i < 10; ++i) {
        sent.push_back(fmt::format("group{}", i));
        send(scene.sender(), scene.group, sent.back());
        send(scene.sender(), kEverybody, fmt::format("broadcast{}", i));
    }
    ASSERT_TRUE(scene.flushed());
    for (const auto& receiver : scene.in_group) {
        EXPECT_EQ(receiver->those_of("group"), sent);
    }
    for (const auto& receiver : scene.in_broadcast) {
        EXPECT_EQ(receiver->those_of("broadcast").size(), 10U);
    }
    bystander.stop();
    EXPECT_EQ(bystander.count("udp port 5001"), 11U) << "broadcasts";
    EXPECT_EQ(bystander.count("udp port 5000"), 0U) << bystander.show("udp port 5000");

    underlay.stop();
    const auto vxlan = fmt::format("udp dst port {}", inspect(scene.manager(), "net1").udp_port());
    const std::string frames = encrypted ? "esp" : vxlan;
    EXPECT_GT(underlay.count(frames + " and dst host 192.0.2.3"), 0U);
    EXPECT_EQ(underlay.count(frames + " and host 192.0.2.4"), 0U) << "a host that is no member gets frames";
    if (encrypted) {
        EXPECT_EQ(underlay.count(kNotEsp), 0U) << underlay.show(kNotEsp);
        const auto verified = scene.manager().warren({"network", "verify", "net1"});
        EXPECT_EQ(verified.code, 0) << "nodes' own frames do not get through: " << verified.out << verified.err;
    }
}

TEST_P(Multicast, ReachesWhoJoinedOnTheMembersOnceAndNobodyElse) {
    Scene scene(GetParam(), {"--opt", "multicast"});
    expect_reached_once(scene, GetParam());
}

TEST_P(Multicast, OfIpv6ReachesWhoJoinedOnTheMembersOnceAndNobodyElse) {
    Scene scene(GetParam(), {"--opt", "multicast", "--ipv6"}, kIpv6Group);
    expect_reached_once(scene, GetParam());
}

TEST_P(Multicast, CopiesFollowTheMembersAndUnknownUnicastStaysAtHome) {
    Scene scene(GetParam(), {"--opt", "multicast"});
    ASSERT_TRUE(scene.group_works());
    const auto& sender = scene.sender();
    const auto copies = [&] {
        return scene.inside(scene.manager(), "bridge fdb show dev vx0 | grep ^00:00:00:00:00:00 | sort");
    };
    const auto both = copies();
    EXPECT_NE(both.find("dst 192.0.2.2 "), std::string::npos) << both;
    EXPECT_NE(both.find("dst 192.0.2.3 "), std::string::npos) << both;
    scene.inside(scene.manager(), "bridge fdb del 00:00:00:00:00:00 dev vx0 dst 192.0.2.2");
    scene.inside(scene.manager(), "bridge fdb append 00:00:00:00:00:00 dev vx0 dst 192.0.2.4");
    EXPECT_TRUE(eventually(seconds(4), [&] { return copies() == both; })) << copies();

    sender.run({"ip", "neighbour", "add", "10.128.0.200", "lladdr", "02:aa:aa:aa:aa:aa", "dev", sender.interface()});
    scene.lab->host(3).warren_ok({"network", "disconnect", "net1", "c3"});
    ASSERT_TRUE(eventually(seconds(5), [&] { return copies().find("192.0.2.3") == std::string::npos; }));
    scene.in_broadcast.erase(scene.in_broadcast.begin() + 1);

    Capture underlay(scene.lab->artefacts(), "underlay", kUnderlay);
    send(sender, kGroup, "last", true);
    send(sender, "10.128.0.200", "nobody", true);
    send(sender, scene.containers[1].ip(), "somebody", true);
    EXPECT_FALSE(sender.ping("10.128.0.201")) << "nobody has it";
    ASSERT_TRUE(scene.flushed());
    underlay.stop();
    const auto large = fmt::format("greater {}", kLarge);
    EXPECT_EQ(underlay.count(large), 2U) << "to the group and to somebody\n" << underlay.show(large);
    EXPECT_EQ(underlay.count(large + " and dst host 192.0.2.2"), 2U);
    // The inner Ethernet type, behind UDP, VXLAN and the addresses.
    const std::string arp = "udp dst port 4789 and udp[28:2] = 0x0806";
    EXPECT_EQ(underlay.count(arp), 0U) << underlay.show(arp);
}

INSTANTIATE_TEST_SUITE_P(Networks, Multicast, testing::Bool(), name_of_kind);

TEST(NoMulticast, StaysOnTheHostUntilTheNetworkIsToldOtherwise) {
    Scene scene(false, {});
    EXPECT_FALSE(inspect(scene.manager(), "net1").multicast());
    ASSERT_EQ(unreachable_pairs(scene.containers), "");
    const auto& sender = scene.sender();
    const Receiver direct(scene.lab->artefacts(), scene.containers[1], "5001", ",bind=" + scene.containers[1].ip());
    {
        Capture underlay(scene.lab->artefacts(), "without", kUnderlay);
        send(sender, kGroup, "group", true);
        send(sender, kEverybody, "broadcast", true);
        send(sender, scene.containers[1].ip(), "unicast", true);
        ASSERT_TRUE(eventually(seconds(5), [&] { return !direct.those_of("unicast").empty(); }));
        underlay.stop();
        const auto large = fmt::format("greater {}", kLarge);
        EXPECT_EQ(underlay.count(large), 1U) << underlay.show(large);
    }
    EXPECT_TRUE(scene.in_broadcast[0]->those_of("broadcast").empty());
    EXPECT_EQ(scene.in_broadcast[2]->those_of("broadcast").size(), 1U) << "on the same host";

    scene.manager().warren_ok({"network", "update", "net1", "--opt", "multicast"});
    EXPECT_TRUE(scene.group_works());
    EXPECT_TRUE(scene.manager().ask<v1::Network>({"network", "inspect", "net1"}).multicast());
    scene.manager().warren_ok({"network", "update", "net1", "--opt", "multicast=false"});
    const auto copies = [&](const Host& host) { return scene.inside(host, "bridge fdb show dev vx0"); };
    for (unsigned i = 1; i <= 3; ++i) {
        EXPECT_TRUE(eventually(
            seconds(5), [&] { return copies(scene.lab->host(i)).find("00:00:00:00:00:00") == std::string::npos; }));
    }
    EXPECT_EQ(unreachable_pairs(scene.containers), "");
}

}  // namespace
}  // namespace warren::lab
