#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// Networks with IPv6 inside, and networks of several subnets, on every kind of underlay.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// The address of a container's interface in the network, without the prefix length.
std::string address(const Container& container, const std::string& family) {
    std::istringstream words(container.run({"ip", family, "-o", "addr", "show", "dev", "eth0", "scope", "global"}).out);
    for (std::string word; words >> word;) {
        if (word.starts_with("inet")) {
            words >> word;
            return word.substr(0, word.find('/'));
        }
    }
    return "";
}

std::string link_local(const Container& container) {
    const auto out = container.run({"ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"}).out;
    const auto begin = out.find("fe80");
    return out.substr(begin, out.find('/') - begin);
}

// A packet that is as large as the network's MTU says, whole.
bool large_ping(const Container& from, const std::string& to, std::uint32_t mtu) {
    const std::uint32_t headers = to.find(':') == std::string::npos ? 28 : 48;
    return from.run({"ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", std::to_string(mtu - headers), to}).ok();
}

// Every ordered pair by both families at full size; the text names those that do not.
std::string silent_pairs(const std::vector<Container>& containers, std::uint32_t mtu) {
    std::string silent;
    for (const auto& from : containers) {
        for (const auto& to : containers) {
            for (const auto* family : {"-4", "-6"}) {
                const auto ip = address(to, family);
                if (&from != &to && !eventually(seconds(5), [&] { return large_ping(from, ip, mtu); })) {
                    silent += fmt::format("{} -> {} ({})\n", from.name(), to.name(), ip);
                }
            }
        }
    }
    return silent;
}

std::string dig(const Container& from, const std::string& server, const Argv& question) {
    Argv argv{"dig", "+short", "+tries=1", "+time=2", "@" + server};
    argv.insert(argv.end(), question.begin(), question.end());
    return from.run(argv).out;
}

struct Kind {
    const char* name;
    Underlay underlay;
    bool encrypted;
};
class DualStack : public testing::TestWithParam<Kind> {};

TEST_P(DualStack, BothFamiliesReachEverybodyAtFullSizeAndByName) {
    const auto lab = cluster_of(3, {}, GetParam().underlay);
    auto& manager = lab->host(1);
    Argv create{"network", "create", "--ipv6", "net1"};
    if (GetParam().encrypted) {
        create.insert(create.end(), {"--opt", "encrypted"});
    }
    manager.warren_ok(create);
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    auto containers = containers_on_all(*lab, "net1");
    manager.connect("net1", containers.emplace_back("near"));  // beside c1
    const auto network = inspect(manager, "net1");
    ASSERT_EQ(network.subnets_size(), 2);
    EXPECT_TRUE(network.subnets(1).subnet().starts_with("fd")) << network.subnets(1).subnet();
    EXPECT_EQ(network.vnis_size(), 1) << "both on one bridge";
    EXPECT_EQ(silent_pairs(containers, network.mtu()), "");
    EXPECT_FALSE(large_ping(containers[0], address(containers[1], "-6"), network.mtu() + 1));

    for (const auto& subnet : network.subnets()) {
        const auto far = address(containers[1], "-6");
        EXPECT_EQ(dig(containers[0], subnet.gateway(), {"c2", "AAAA"}), far + "\n");
        EXPECT_EQ(dig(containers[0], subnet.gateway(), {"c2", "A"}), address(containers[1], "-4") + "\n");
        EXPECT_EQ(dig(containers[0], subnet.gateway(), {"-x", far}), "c2.net1.\n");
    }
    if (GetParam().encrypted) {
        manager.warren_ok({"key", "rotate", "net1"});
        EXPECT_EQ(silent_pairs(containers, network.mtu()), "");
    }
    capture.stop();
    if (GetParam().encrypted) {
        EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
        EXPECT_GT(capture.count("esp"), 20U);
    }
}

INSTANTIATE_TEST_SUITE_P(Over, DualStack,
                         testing::Values(Kind{"PlainOverIpv4", Underlay::kIpv4, false},
                                         Kind{"EncryptedOverIpv4", Underlay::kIpv4, true},
                                         Kind{"PlainOverIpv6", Underlay::kIpv6, false},
                                         Kind{"EncryptedOverIpv6", Underlay::kIpv6, true}),
                         [](const auto& given) { return std::string(given.param.name); });

// IPv6 asks for neighbours by multicast, which is the VXLAN device's to answer and no other container's to hear.
TEST(Ipv6Inside, NoMulticastComesToOtherContainersOrLeavesTheHost) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--ipv6", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    const Container near("near");
    manager.connect("net1", near);
    Capture beside(lab->artefacts(), "beside", "eth0", near.where());
    Capture wire(lab->artefacts(), "underlay", kUnderlay);
    ASSERT_TRUE(eventually(seconds(5), [&] { return containers[0].ping(address(containers[1], "-6")); }));
    ASSERT_TRUE(containers[0].ping(address(near, "-6")));
    const auto all_nodes = containers[0].run({"ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "ff02::1%eth0"}).out;
    for (const auto* other : {&near, &containers[1]}) {
        EXPECT_THAT(all_nodes, testing::Not(HasSubstr(link_local(*other)))) << "beside the gateway nobody heard it";
    }
    beside.stop();
    wire.stop();
    const auto from_the_other = fmt::format("ether src {} and ether multicast", containers[0].mac());
    EXPECT_EQ(beside.count(from_the_other + " and ip6"), 0U) << beside.show(from_the_other);
    EXPECT_GT(beside.count("ip6 and ether src " + containers[0].mac()), 0U) << "its pings came";
    // Behind the outer headers (IPv4 20, UDP 8, VXLAN 8): what goes to a multicast MAC address.
    EXPECT_EQ(wire.count("udp port 4789 and ip[36] & 1 = 1"), 0U) << wire.show("udp port 4789");
}

TEST(Subnets, TalkToOneAnotherThroughTheirGatewaysAndLeaveNothing) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "--opt", "vni=7001,7002", "--subnet", "10.7.1.0/24",
                       "--subnet", "10.7.2.0/24", "--subnet", "fd07:1::/64", "--subnet", "fd07:2::/64", "--gateway",
                       "10.7.2.254", "net1"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    std::vector<Container> containers;
    containers.emplace_back("a1");
    manager.connect("net1", containers.back());
    containers.emplace_back("b1");
    manager.connect("net1", containers.back(), {"--ip", "10.7.2.5"});
    containers.emplace_back("a2");
    lab->host(2).connect("net1", containers.back());
    containers.emplace_back("b2");
    lab->host(2).connect("net1", containers.back(), {"--ip", "fd07:2::99"});

    const auto network = inspect(manager, "net1");
    EXPECT_EQ(address(containers[0], "-4"), "10.7.1.2");
    EXPECT_EQ(address(containers[0], "-6"), "fd07:1::2");
    EXPECT_EQ(address(containers[1], "-6"), "fd07:2::2") << "in the part that was asked for";
    EXPECT_EQ(address(containers[3], "-4"), "10.7.2.1");
    EXPECT_EQ(address(containers[3], "-6"), "fd07:2::99");
    EXPECT_EQ(silent_pairs(containers, network.mtu()), "");
    EXPECT_THAT(containers[0].run({"ip", "route", "get", "10.7.2.5"}).out, HasSubstr("via 10.7.1.1"));
    EXPECT_THAT(containers[1].run({"ip", "route", "get", "10.7.1.2"}).out, HasSubstr("via 10.7.2.254"));
    EXPECT_THAT(containers[1].run({"ip", "route", "get", "fd07:1::2"}).out, HasSubstr("via fd07:2::1"));
    // Whom a container asks for names is its own gateway.
    EXPECT_EQ(dig(containers[1], "10.7.2.254", {"a2"}), address(containers[2], "-4") + "\n");
    EXPECT_THAT(manager.warren_ok({"endpoint", "inspect", "b1"}), HasSubstr("nameserver 10.7.2.254\n"));
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);

    manager.warren_ok({"network", "disconnect", "net1", "a1"});
    manager.warren_ok({"network", "disconnect", "net1", "b1"});
    EXPECT_EQ(manager.must({"ip", "-o", "link", "show", "type", "vxlan"}), "");
    EXPECT_TRUE(eventually(seconds(5), [&] { return !large_ping(containers[2], "10.7.2.5", 100); }));
    EXPECT_TRUE(large_ping(containers[2], "10.7.2.1", network.mtu()));
}

}  // namespace
}  // namespace warren::lab
