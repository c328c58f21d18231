#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <set>
#include <sstream>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/held_namespace.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_kind.h"

// Names of endpoints, as dig and the C library hear of them.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

struct Network {
    std::string name;
    std::string gateway;
};
Network make_network(Lab& lab, const std::string& name, bool encrypted = true) {
    create_network(lab.host(1), encrypted, {name});
    return {.name = name, .gateway = inspect(lab.host(1), name).subnets(0).gateway()};
}

std::string dig(const Container& from, const Network& through, const std::string& question, const Argv& more = {}) {
    Argv argv{"dig", "+tries=1", "+time=2", "@" + through.gateway};
    argv.insert(argv.end(), more.begin(), more.end());
    std::istringstream words(question);
    for (std::string word; words >> word;) {
        argv.push_back(word);
    }
    return from.run(argv).out;
}
// The data of the answer alone, a line each.
std::string short_answer(const Container& from, const Network& through, const std::string& question) {
    return dig(from, through, question, {"+short"});
}

TEST(Names, LeadToEndpointsOfTheNetworksThatTheAskerIsIn) {
    const auto lab = cluster_of(3);
    const auto net1 = make_network(*lab, "net1");
    const auto net2 = make_network(*lab, "net2", false);
    const auto in_net1 = containers_on_all(*lab, "net1", "c");
    const Container other("other");
    lab->host(3).connect("net2", other, {"--alias", "store"});
    lab->host(1).warren_ok({"network", "connect", "net2", "--netns", "/var/run/netns/c1", "--name", "one"});
    const auto& both = in_net1[0];
    const auto& only1 = in_net1[1];

    EXPECT_EQ(short_answer(both, net1, "c2"), in_net1[1].ip() + "\n");
    EXPECT_EQ(short_answer(both, net1, "C3.Net1"), in_net1[2].ip() + "\n");
    EXPECT_EQ(short_answer(both, net1, "+tcp c3"), in_net1[2].ip() + "\n");
    EXPECT_EQ(short_answer(both, net1, "-x " + in_net1[2].ip()), "c3.net1.\n");
    // Each of its networks' resolvers knows all of its networks.
    EXPECT_EQ(short_answer(both, net1, "other"), other.ip() + "\n");
    EXPECT_EQ(short_answer(both, net2, "c2.net1"), in_net1[1].ip() + "\n");
    EXPECT_EQ(short_answer(both, net1, "store.net2"), other.ip() + "\n");
    // Who is in one hears of that one.
    EXPECT_THAT(dig(only1, net1, "other"), HasSubstr("status: NXDOMAIN"));
    EXPECT_EQ(short_answer(only1, net1, "other.net2"), "");
    EXPECT_EQ(short_answer(only1, net1, "-x " + other.ip()), "");

    const auto none = dig(both, net1, "c2 AAAA");
    EXPECT_THAT(none, HasSubstr("status: NOERROR"));
    EXPECT_THAT(none, HasSubstr("ANSWER: 0"));
    EXPECT_THAT(none, HasSubstr("flags: qr aa rd"));
    EXPECT_THAT(dig(both, net1, "+norecurse example.org"), HasSubstr("status: REFUSED"));
    EXPECT_THAT(dig(both, net1, "+noedns c2"), HasSubstr("status: NOERROR"));
    EXPECT_THAT(dig(both, net1, "+edns=1 +noednsneg c2"), HasSubstr("status: BADVERS"));
    EXPECT_THAT(dig(both, net1, "+opcode=notify c2"), HasSubstr("status: NOTIMP"));
}

// Every member's resolver, one on each host, and a second from the moment at which the command returns.
TEST(Names, ComeAndGoWithTheCommand) {
    const auto lab = cluster_of(3);
    const auto net1 = make_network(*lab, "net1");
    const auto askers = containers_on_all(*lab, "net1");
    const auto all_say = [&](const std::string& wanted) {
        return std::ranges::all_of(
            askers, [&](const auto& asker) { return dig(asker, net1, "late").find(wanted) != std::string::npos; });
    };
    for (int i = 0; i < 3; ++i) {
        const Container container("late");
        ASSERT_TRUE(all_say("status: NXDOMAIN"));
        lab->host(2).connect("net1", container);
        EXPECT_TRUE(eventually(seconds(1), [&] { return all_say("\tA\t" + container.ip() + "\n"); }));
        lab->host(2).warren_ok({"network", "disconnect", "net1", "late"});
        EXPECT_TRUE(eventually(seconds(1), [&] { return all_say("status: NXDOMAIN"); }));
    }
}

// Questions one after the other, and nobody there to hear the answers.
TEST(Names, WhoHangsUpEndsNothing) {
    const auto lab = cluster_of(1);
    const auto net1 = make_network(*lab, "net1");
    const Container container("c1");
    lab->host(1).connect("net1", container);
    const std::string question = R"(\0\031\0\01\01\0\0\01\0\0\0\0\0\0\02c1\04net1\0\0\01\0\01)";
    const auto hang_up =
        fmt::format("for i in $(seq 30); do exec 3<>/dev/tcp/{}/53; printf '{}{}{}{}' >&3; exec 3>&-; done",
                    net1.gateway, question, question, question, question);
    EXPECT_TRUE(container.run({"bash", "-c", hang_up}).ok());
    // Which of them the kernel tells the daemon by a signal is a matter of moments: this one for sure.
    ASSERT_EQ(::kill(lab->host(1).daemon_pid(), SIGPIPE), 0);
    EXPECT_EQ(short_answer(container, net1, "+tcp c1"), container.ip() + "\n");
    EXPECT_TRUE(lab->host(1).daemon_running());
}

// Somebody who could hear the answer, and is none of the network.
TEST(Names, AreNotForAnAddressThatIsOutsideOfTheNetwork) {
    const auto lab = cluster_of(1);
    const auto& host = lab->host(1);
    const auto net1 = make_network(*lab, "net1");
    const Container asker("asker");
    host.connect("net1", asker);
    const std::string outside = "198.51.100.9";
    must({"ip", "address", "add", outside + "/32", "dev", "lo"}, asker.where());
    must({"nsenter", "--net=" + namespace_of(host, "net1"), "ip", "route", "add", outside, "via", asker.ip()});
    ASSERT_TRUE(asker.run({"ping", "-c", "1", "-W", "5", "-I", outside, net1.gateway}).ok()) << "the way back";

    // A namespace is found from where those of names are.
    const auto inside = std::filesystem::path(namespace_of(host, "net1")).lexically_relative("/run/netns").string();
    Capture bridge(lab->artefacts(), "bridge", "br0", {.netns = inside});
    for (const auto* transport : {"+notcp", "+tcp"}) {
        EXPECT_THAT(dig(asker, net1, "asker", {transport, "-b", outside}), Not(HasSubstr("status:"))) << transport;
        EXPECT_THAT(dig(asker, net1, "asker", {transport, "-b", asker.ip()}), HasSubstr("\tA\t" + asker.ip() + "\n"))
            << transport;
    }
    bridge.stop();
    EXPECT_EQ(bridge.count("udp dst port 53 and src host " + outside), 1U);
    EXPECT_EQ(bridge.count("udp src port 53 and dst host " + outside), 0U);
    EXPECT_EQ(bridge.count("udp src port 53 and dst host " + asker.ip()), 1U);
}

// One container of a network asks as fast as it can and hears nothing of what it is told.
TEST(Names, AFloodInOneNetworkKeepsNobodyOfAnotherWaiting) {
    const auto lab = cluster_of(1);
    const auto net1 = make_network(*lab, "net1");
    const auto net2 = make_network(*lab, "net2", false);
    const Container flooder("flooder");
    const Container asker("asker");
    lab->host(1).connect("net1", flooder);
    lab->host(1).connect("net2", asker);
    ASSERT_EQ(short_answer(asker, net2, "asker"), asker.ip() + "\n");
    constexpr const char* kFlood =
        R"(exec 3<>/dev/udp/$0/53; while :; do printf '\0\1\1\0\0\1\0\0\0\0\0\0\7flooder\0\0\1\0\1' >&3; done 2>/dev/null)";
    std::vector<Process> flood;  // two of them an idle machine can all but answer
    for (int i = 0; i < 4; ++i) {
        flood.emplace_back(Argv{"bash", "-c", kFlood, net1.gateway}, flooder.where());
    }
    const auto flooded = namespace_of(lab->host(1), "net1");
    const auto queued = [&] {  // at the port of the flooded network: more than anybody can answer
        std::istringstream words(run({"nsenter", "--net=" + flooded, "ss", "-Hlun", "sport", "53"}).out);
        std::string state;
        std::size_t bytes = 0;
        words >> state >> bytes;
        return bytes;
    };
    ASSERT_TRUE(eventually(seconds(10), [&] { return queued() > 10000; }));
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(short_answer(asker, net2, "+time=1 asker"), asker.ip() + "\n") << i;
    }
    EXPECT_GT(queued(), 10000U) << "the flood went on";
}

TEST(Names, AnAliasOfSeveralLeadsToEach) {
    const auto lab = cluster_of(2);
    const auto net1 = make_network(*lab, "net1");
    const Container asker("asker");
    const Container one("one");
    const Container two("two");
    lab->host(1).connect("net1", asker);
    lab->host(1).connect("net1", one, {"--alias", "db"});
    lab->host(2).connect("net1", two, {"--alias", "db"});
    ASSERT_TRUE(eventually(seconds(5), [&] { return short_answer(asker, net1, "two") != ""; }));
    std::set<std::string> orders;
    for (int i = 0; i < 20; ++i) {
        orders.insert(short_answer(asker, net1, "db"));
    }
    EXPECT_THAT(orders,
                testing::UnorderedElementsAre(one.ip() + "\n" + two.ip() + "\n", two.ip() + "\n" + one.ip() + "\n"));
}

TEST(Names, LeadToServicesOfEndpoints) {
    const auto lab = cluster_of(2);
    const auto net1 = make_network(*lab, "net1");
    const Container asker("asker");
    const Container one("one");
    const Container two("two");
    lab->host(1).connect("net1", asker);
    lab->host(1).connect("net1", one, {"--alias", "web", "--service", "http:80", "--service", "dns:53/udp"});
    lab->host(2).connect("net1", two, {"--alias", "web", "--service", "HTTP:8080"});
    const auto srv = [&](const std::string& name) {
        std::istringstream lines(short_answer(asker, net1, name + " SRV"));
        std::set<std::string> found;
        for (std::string line; std::getline(lines, line);) {
            found.insert(line);
        }
        return found;
    };
    using testing::ElementsAre;
    ASSERT_TRUE(eventually(seconds(5), [&] { return !srv("_http._tcp.two").empty(); }));
    EXPECT_THAT(srv("_http._tcp.two"), ElementsAre("0 0 8080 two.net1."));
    EXPECT_THAT(srv("_DNS._udp.one.net1"), ElementsAre("0 0 53 one.net1."));
    EXPECT_THAT(srv("_http._tcp.web"), ElementsAre("0 0 80 one.net1.", "0 0 8080 two.net1."));
    EXPECT_THAT(srv("_http._tcp.net1"), ElementsAre("0 0 80 one.net1.", "0 0 8080 two.net1."));

    const auto whole = dig(asker, net1, "_http._tcp.two SRV");
    EXPECT_THAT(whole, HasSubstr("ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 2")) << "OPT, too";
    EXPECT_THAT(whole, testing::ContainsRegex("two.net1.\\s+5\\s+IN\\s+A\\s+" + two.ip()));
    for (const auto* nothing : {"_http._tcp.web A", "_tcp.web SRV", "_udp.net1"}) {
        const auto none = dig(asker, net1, nothing);
        EXPECT_THAT(none, HasSubstr("status: NOERROR")) << nothing;
        EXPECT_THAT(none, HasSubstr("ANSWER: 0")) << nothing;
    }
    for (const auto* nobody : {"_dns._udp.two SRV", "_http._udp.web SRV", "_http._tcp.asker SRV"}) {
        EXPECT_THAT(dig(asker, net1, nobody), HasSubstr("status: NXDOMAIN")) << nobody;
    }
    lab->host(2).warren_ok({"network", "disconnect", "net1", "two"});
    EXPECT_TRUE(eventually(seconds(5), [&] { return srv("_http._tcp.net1").size() == 1; }));
    EXPECT_THAT(lab->host(1).warren_ok({"endpoint", "inspect", "one"}), HasSubstr("http:80/tcp, dns:53/udp"));
}

// What programs in a container use: the C library, by the file that `ip netns exec` shows to them.
TEST(Names, AreWhatProgramsInAContainerFind) {
    const auto lab = cluster_of(2);
    const auto net1 = make_network(*lab, "net1");
    const auto containers = containers_on_all(*lab, "net1");
    const std::filesystem::path file = "/etc/netns/c1/resolv.conf";
    EXPECT_THAT(file_content(file), HasSubstr("nameserver " + net1.gateway + "\n"));
    const auto found = [&] { return run({"ip", "netns", "exec", "c1", "getent", "ahostsv4", "c2"}).out; };
    EXPECT_THAT(found(), HasSubstr(containers[1].ip()));
    // Without its daemon a host's containers hear no names; with it they do again.
    lab->host(1).kill_daemon(SIGKILL);
    EXPECT_EQ(found(), "");
    EXPECT_THAT(file_content(file), HasSubstr(net1.gateway));
    lab->host(1).start_daemon();
    EXPECT_TRUE(eventually(seconds(10), [&] { return found().find(containers[1].ip()) != std::string::npos; }));
    lab->host(1).warren_ok({"network", "disconnect", "net1", "c1"});
    EXPECT_TRUE(eventually(seconds(5), [&] { return !std::filesystem::exists(file.parent_path()); }));
    EXPECT_TRUE(std::filesystem::exists("/etc/netns/c2/resolv.conf")) << "the other host's";
}

// Of host 2, for its next daemon.
std::filesystem::path record_of_names(Lab& lab, const std::string& network) {
    return lab.host(2).run_dir() / "names" / inspect(lab.host(1), network).id();
}
bool is_recorded(Lab& lab, const std::string& network, const std::string& name) {
    return file_content(record_of_names(lab, network)).find(name) != std::string::npos;
}

// With no manager there, what a host's containers were told they are told on, by a new daemon, too.
TEST(Names, OutliveADaemonThatStartsWhileNoManagerIsThere) {
    const auto lab = cluster_of(2);
    const auto net1 = make_network(*lab, "net1");
    const auto net2 = make_network(*lab, "net2", false);
    const auto containers = containers_on_all(*lab, "net1", "c");
    const Container other("other");
    lab->host(1).connect("net2", other, {"--alias", "store", "--service", "http:80"});
    auto& host = lab->host(2);
    host.warren_ok({"network", "connect", "net2", "--netns", "/var/run/netns/c2", "--name", "two"});
    const auto& asker = containers[1];
    ASSERT_TRUE(
        eventually(seconds(5), [&] { return is_recorded(*lab, "net1", "c1") && is_recorded(*lab, "net2", "store"); }));

    lab->host(1).kill_daemon(SIGKILL);
    host.kill_daemon(SIGKILL);
    EXPECT_THAT(short_answer(asker, net1, "c1"), HasSubstr("no servers could be reached"));
    host.start_daemon();
    EXPECT_EQ(short_answer(asker, net1, "c1"), containers[0].ip() + "\n");
    EXPECT_EQ(short_answer(asker, net1, "+tcp -x " + containers[0].ip()), "c1.net1.\n");
    EXPECT_EQ(short_answer(asker, net1, "store.net2"), other.ip() + "\n") << "a network that the asker is in besides";
    EXPECT_EQ(short_answer(asker, net2, "_http._tcp.store SRV"), "0 0 80 other.net2.\n");
    EXPECT_THAT(dig(asker, net1, "nobody"), HasSubstr("status: NXDOMAIN"));

    // A manager's word replaces all of it.
    lab->host(1).start_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return settled(lab->host(1)); }));
    lab->host(1).warren_ok({"network", "disconnect", "net1", "c1"});
    EXPECT_TRUE(
        eventually(seconds(10), [&] { return dig(asker, net1, "c1").find("status: NXDOMAIN") != std::string::npos; }));
    host.kill_daemon(SIGKILL);
    const Container instead("instead");
    lab->host(1).warren_ok({"network", "connect", "net1", "--netns", instead.name(), "--name", "c2", "--take-over"});
    host.start_daemon();
    EXPECT_TRUE(eventually(seconds(10), [&] { return !std::filesystem::exists(record_of_names(*lab, "net1")); }))
        << "of a network that the host is in no more";
    EXPECT_EQ(short_answer(asker, net2, "store"), other.ip() + "\n");
}

TEST(Names, OutliveItForAContainerThatWasConnectedByItsProcessAsLongAsItIsThatProcess) {
    const auto lab = cluster_of(2);
    const auto net1 = make_network(*lab, "net1");
    const auto net2 = make_network(*lab, "net2", false);
    const auto net3 = make_network(*lab, "net3", false);
    const auto stores = [&] {
        std::vector<Container> list;
        for (const auto* network : {"net2", "net3"}) {
            list.emplace_back(std::string("store-of-") + network);
            lab->host(1).connect(network, list.back(), {"--alias", "store"});
        }
        return list;
    }();
    auto& host = lab->host(2);
    const Container asker("asker");
    const Container other("other");
    HeldNamespace held(*lab, asker, other);
    host.warren_ok({"network", "connect", "net1", "--netns", held.path(), "--name", "one"});
    host.warren_ok({"network", "connect", "net2", "--netns", held.path(), "--name", "two"});
    host.connect("net3", other);
    ASSERT_TRUE(eventually(seconds(5), [&] {
        return is_recorded(*lab, "net1", "one") && is_recorded(*lab, "net2", "two") &&
               is_recorded(*lab, "net3", "other");
    }));

    lab->host(1).kill_daemon(SIGKILL);
    host.kill_daemon(SIGKILL);
    host.start_daemon();
    EXPECT_EQ(short_answer(asker, net1, "store.net2"), stores[0].ip() + "\n");
    EXPECT_EQ(short_answer(asker, net1, "store.net3"), "") << "a network that it is not in";

    host.kill_daemon(SIGKILL);
    held.flip();
    host.start_daemon();
    EXPECT_EQ(short_answer(other, net3, "store"), stores[1].ip() + "\n");
    EXPECT_EQ(short_answer(other, net3, "store.net2"), "") << "which the process's container was in";
    EXPECT_EQ(short_answer(asker, net1, "store.net3"), "") << "which the process's number leads to";
}

}  // namespace
}  // namespace warren::lab
