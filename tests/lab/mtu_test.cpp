#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// The MTU of networks follows what carries them.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

std::unique_ptr<Lab> impatient_cluster(unsigned hosts, Underlay underlay = Underlay::kIpv4) {
    auto lab = std::make_unique<Lab>(hosts, underlay);
    lab->host(1).set_environment({"WARREN_TEST_MTU_PATIENCE=1s"});
    form_cluster(*lab);
    return lab;
}

std::string payload(const Container& to, std::uint32_t size) {
    const std::uint32_t headers = to.ip().find(':') == std::string::npos ? 28 : 48;
    return std::to_string(size - headers);
}
Output ping_whole(const Container& from, const Container& to, std::uint32_t size) {
    return from.run({"ping", "-c", "2", "-i", "0.1", "-W", "2", "-M", "do", "-s", payload(to, size), to.ip()});
}
// It is not even sent: there is no answer to wait for.
bool refuses(const Container& from, const Container& to, std::uint32_t size) {
    const auto ping = from.run({"ping", "-c", "1", "-W", "0.1", "-M", "do", "-s", payload(to, size), to.ip()});
    return ping.code != 0 && (ping.out + ping.err).find("essage too long") != std::string::npos;
}

// What does not hold of: every interface of the network's containers has this MTU, packets as large get through whole
// between all of them, and larger ones are refused where they are sent.
std::string misfits(const std::vector<Container>& containers, std::uint32_t mtu) {
    std::string wrong;
    for (const auto& from : containers) {
        const auto shown = from.run({"ip", "-o", "link", "show", from.interface()}).out;
        if (shown.find(fmt::format(" mtu {} ", mtu)) == std::string::npos) {
            wrong += shown;
        }
        for (const auto& to : containers) {
            if (&from == &to) {
                continue;
            }
            if (const auto ping = ping_whole(from, to, mtu); ping.code != 0) {
                wrong += fmt::format("{} to {}: {}{}\n", from.name(), to.name(), ping.out, ping.err);
            }
            if (!refuses(from, to, mtu + 1)) {
                wrong += fmt::format("{} to {}: takes one more\n", from.name(), to.name());
            }
        }
    }
    return wrong;
}
bool all_have(const std::vector<Container>& containers, std::uint32_t mtu) {
    return eventually(seconds(10), [&] {
        return std::all_of(containers.begin(), containers.end(), [&](const auto& container) {
            return container.run({"ip", "-o", "link", "show", container.interface()})
                       .out.find(fmt::format(" mtu {} ", mtu)) != std::string::npos;
        });
    });
}
// The devices of the network on a host, as `ip` shows them.
std::string devices(const Host& host, const std::string& network) {
    return host.must({"nsenter", "--net=" + namespace_of(host, network), "ip", "-o", "link", "show"});
}
// The lines of the doctor about the MTU of networks: "warning: text".
std::vector<std::string> about_mtu(const Host& host) {
    std::vector<std::string> lines;
    const auto reply = host.ask<v1::DoctorReply>({"doctor"});
    for (const auto& finding : reply.findings()) {
        if (finding.check().ends_with(": MTU")) {
            lines.push_back(fmt::format("{}: {}: {}", finding.check(), finding.verdict(), finding.detail()));
        }
    }
    return lines;
}
std::vector<std::string> events_of(const Host& host, const std::string& kind) {
    std::vector<std::string> texts;
    for (const auto& event : host.ask_all<v1::Event>({"events"})) {
        if (event.kind() == kind) {
            texts.push_back(fmt::format("{} {}: {}", event.network(), event.node(), event.text()));
        }
    }
    return texts;
}

struct Sizes {
    Underlay underlay;
    std::uint32_t plain;
    std::uint32_t encrypted;
};
class MtuOver : public testing::TestWithParam<Sizes> {};

TEST_P(MtuOver, FollowsTheDeviceOfAMemberOnAllHostsAndBack) {
    const auto [underlay, plain, encrypted] = GetParam();
    const auto lab = impatient_cluster(3, underlay);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "net1"});
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net2"});
    const auto in_plain = containers_on_all(*lab, "net1", "c");
    const auto in_encrypted = containers_on_all(*lab, "net2", "d");
    ASSERT_TRUE(all_have(in_plain, plain));
    ASSERT_TRUE(all_have(in_encrypted, encrypted));

    lab->host(2).must({"ip", "link", "set", "eth0", "mtu", "1400"});
    EXPECT_TRUE(all_have(in_plain, plain - 100));
    EXPECT_TRUE(all_have(in_encrypted, encrypted - 100));
    EXPECT_EQ(misfits(in_plain, plain - 100), "");
    EXPECT_EQ(misfits(in_encrypted, encrypted - 100), "");
    EXPECT_THAT(devices(manager, "net2"), AllOf(HasSubstr(fmt::format(" mtu {} ", encrypted - 100)),
                                                Not(HasSubstr(fmt::format(" mtu {} ", encrypted)))));
    EXPECT_EQ(inspect(manager, "net2").narrowest_node(), "h2");
    EXPECT_THAT(events_of(manager, "mtu-changed"),
                Contains(fmt::format("net2 h2: MTU {} instead of {}: the underlay of node 'h2' carries packets of 1400",
                                     encrypted - 100, encrypted)));
    EXPECT_THAT(about_mtu(lab->host(2)),
                Contains(fmt::format(
                    "network net2: MTU: warning: MTU {}: this host makes it so small: device eth0 has MTU 1400",
                    encrypted - 100)));
    EXPECT_THAT(about_mtu(lab->host(3)), Contains(HasSubstr("net1: MTU: warning: MTU " + std::to_string(plain - 100) +
                                                            ": node 'h2' makes it so small")));

    lab->host(2).must({"ip", "link", "set", "eth0", "mtu", "1500"});
    EXPECT_TRUE(all_have(in_plain, plain));
    EXPECT_TRUE(all_have(in_encrypted, encrypted));
    EXPECT_EQ(misfits(in_encrypted, encrypted), "");
    EXPECT_THAT(about_mtu(lab->host(2)), Not(Contains(HasSubstr("warning"))));
    EXPECT_EQ(inspect(manager, "net2").narrowest_node(), "");
}

INSTANTIATE_TEST_SUITE_P(Underlays, MtuOver,
                         testing::Values(Sizes{Underlay::kIpv4, 1450, 1416}, Sizes{Underlay::kIpv6, 1430, 1396}),
                         [](const auto& given) { return given.param.underlay == Underlay::kIpv4 ? "Ipv4" : "Ipv6"; });

TEST(Mtu, FollowsTheRouteToAMember) {
    const auto lab = impatient_cluster(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    manager.warren_ok({"network", "create", "net2"});
    const auto containers = containers_on_all(*lab, "net1");
    const Container near("near");
    const Container far("far");
    manager.connect("net2", near);
    lab->host(2).connect("net2", far);

    manager.must({"ip", "route", "add", "192.0.2.3/32", "dev", "eth0", "mtu", "lock", "1300"});
    EXPECT_TRUE(all_have(containers, 1216));
    EXPECT_EQ(misfits(containers, 1216), "");
    EXPECT_EQ(inspect(manager, "net2").mtu(), 1450U) << "h3 is no member of it";
    EXPECT_THAT(about_mtu(manager), Contains(HasSubstr("net1: MTU: warning: MTU 1216: this host makes it so small: "
                                                       "route 192.0.2.3/32 dev eth0")));
    EXPECT_THAT(about_mtu(lab->host(2)), Contains(HasSubstr("node 'h1' makes it so small: its underlay carries packets "
                                                            "of 1300 to 192.0.2.3")));
    manager.must({"ip", "route", "change", "192.0.2.3/32", "dev", "eth0", "mtu", "1280"});
    EXPECT_TRUE(all_have(containers, 1196));
    manager.must({"ip", "route", "del", "192.0.2.3/32", "dev", "eth0"});
    EXPECT_TRUE(all_have(containers, 1416));
    EXPECT_EQ(misfits(containers, 1416), "");
}

TEST(Mtu, AnUnderlayThatCarriesNothingIsNamedAndHarmsNobodyElse) {
    const auto lab = impatient_cluster(3);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    auto& narrow = lab->host(3);
    narrow.must({"ip", "link", "set", "eth0", "mtu", "600"});
    EXPECT_TRUE(eventually(seconds(10), [&] { return !events_of(manager, "underlay-too-small").empty(); }));
    EXPECT_THAT(events_of(manager, "underlay-too-small"), Contains(HasSubstr("net1 h3: the underlay of node 'h3'")));
    const auto status = narrow.warren({"status"});
    EXPECT_EQ(status.code, 4);
    EXPECT_THAT(status.out, AllOf(HasSubstr("network net1"), HasSubstr("device eth0 has MTU 600")));
    EXPECT_THAT(about_mtu(narrow), Contains(HasSubstr("net1: MTU: wrong")));
    EXPECT_EQ(inspect(manager, "net1").mtu(), 1416U);
    EXPECT_EQ(ping_whole(containers[0], containers[1], 1416).code, 0);
    narrow.must({"ip", "link", "set", "eth0", "mtu", "1500"});
    EXPECT_TRUE(eventually(seconds(10), [&] { return narrow.warren({"status"}).code == 0; }));
    EXPECT_EQ(misfits(containers, 1416), "");
}

TEST(Mtu, AJoinerShrinksANetworkUnlessItsMtuWasAskedForAndUpdatesAreLive) {
    const auto lab = impatient_cluster(2);
    auto& manager = lab->host(1);
    auto& narrow = lab->host(2);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    manager.warren_ok({"network", "create", "--opt", "mtu=1400", "net2"});
    std::vector<Container> containers;
    containers.emplace_back("c1");
    containers.emplace_back("c2");
    const Container other("other");
    const Container refused("refused");
    manager.connect("net1", containers[0]);
    manager.connect("net2", other);
    narrow.must({"ip", "link", "set", "eth0", "mtu", "1400"});
    ASSERT_TRUE(eventually(seconds(10), [&] {
        return manager.ask<v1::Node>({"node", "inspect", "h2"}).underlay_mtu() == 1400U;
    }));
    const auto denied = narrow.warren({"network", "connect", "net2", "--netns", "refused"});
    EXPECT_EQ(denied.code, 1);
    EXPECT_THAT(denied.err, AllOf(HasSubstr("network 'net2' was given MTU 1400"), HasSubstr("node 'h2' (MTU 1400)"),
                                  HasSubstr("--opt mtu=1350")));
    EXPECT_EQ(inspect(manager, "net2").members(), 1U);
    narrow.connect("net1", containers[1]);
    EXPECT_TRUE(all_have(containers, 1316));
    EXPECT_EQ(unreachable_pairs(containers), "");
    EXPECT_EQ(misfits(containers, 1316), "");

    for (const auto& [option, error] :
         std::vector<std::pair<std::string, std::string>>{{"mtu=1317", "node 'h2' carries at most 1316"},
                                                          {"mtu=575", "must be a number from 576 to 65535, or auto"},
                                                          {"mtu=", "must be a number from 576 to 65535, or auto"}}) {
        const auto outcome = manager.warren({"network", "update", "net1", "--opt", option});
        EXPECT_EQ(outcome.code, 1) << option;
        EXPECT_THAT(outcome.err, HasSubstr(error));
    }
    EXPECT_TRUE(all_have(containers, 1316));
    manager.warren_ok({"network", "update", "net1", "--opt", "mtu=1200"});
    EXPECT_TRUE(all_have(containers, 1200));
    EXPECT_EQ(misfits(containers, 1200), "");
    EXPECT_THAT(about_mtu(manager), Not(Contains(HasSubstr("net1: MTU: warning"))));
    manager.warren_ok({"network", "update", "net1", "--opt", "mtu=auto"});
    EXPECT_TRUE(all_have(containers, 1316));
}

}  // namespace
}  // namespace warren::lab
