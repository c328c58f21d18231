#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// The way out of containers and the way in to their published ports, by curl against real HTTP servers; and the names
// that are asked of the host's own resolvers, by dig against dnsmasq.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// An HTTP server that says its own name, and tells who asked by its log.
class HttpServer {
  public:
    HttpServer(const Lab& lab, const std::string& netns)
        : log_(lab.artefacts() / (netns + "-http.log")),
          process_({"busybox", "httpd", "-f", "-vv", "-p", "80", "-h", files(lab, netns)},
                   Where{.netns = netns, .out_file = log_}) {}
    [[nodiscard]] std::string log() const { return file_content(log_); }

  private:
    static std::string files(const Lab& lab, const std::string& netns) {
        const auto directory = lab.artefacts() / (netns + "-http");
        std::filesystem::create_directories(directory);
        std::ofstream(directory / "name") << netns;
        return directory.string();
    }

    std::filesystem::path log_;
    Process process_;
};

// What the server at an address says its name is; empty: nobody answers.
std::string asked(const Where& from, const std::string& address) {
    return run({"curl", "--silent", "--max-time", "3", "http://" + address + "/name"}, from).out;
}

// Two hosts with a daemon, and one outside.
struct Scene {
    std::unique_ptr<Lab> lab = cluster_of(2);
    Host& one = lab->host(1);
    Host& two = lab->host(2);
    Host& outside = lab->add_host();
    Container web{"web"};
    Container client{"client"};

    Scene() {
        one.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
        one.warren_ok({"network", "create", "--internal", "quiet"});
    }
};

TEST(Gateway, ContainersGetOutAndPublishedPortsLetIn) {
    Scene t;
    t.one.connect("net1", t.web, {"--publish", "8080:80", "--publish", "127.0.0.1:8081:80"});
    t.two.connect("net1", t.client);
    const HttpServer web(*t.lab, "web");
    const HttpServer out(*t.lab, t.outside.name());
    ASSERT_TRUE(eventually(seconds(5), [&] { return asked(t.web.where(), t.outside.address()) == t.outside.name(); }));
    EXPECT_EQ(asked(t.client.where(), t.outside.address()), t.outside.name());
    EXPECT_THAT(out.log(), HasSubstr(t.one.address() + "]:")) << "not under the host's address";
    EXPECT_THAT(out.log(), HasSubstr(t.two.address() + "]:"));

    const auto published = t.one.address() + ":8080";
    EXPECT_EQ(asked(t.outside.where(), published), "web");
    EXPECT_EQ(asked(t.two.where(), published), "web");
    EXPECT_EQ(asked(t.client.where(), published), "web");
    EXPECT_EQ(asked(t.one.where(), "127.0.0.1:8080"), "web");
    EXPECT_EQ(asked(t.one.where(), "127.0.0.1:8081"), "web");
    EXPECT_EQ(asked(t.web.where(), published), "web") << "its own";
    EXPECT_EQ(asked(t.outside.where(), t.one.address() + ":8081"), "") << "on loopback alone";
    EXPECT_EQ(asked(t.client.where(), t.web.ip()), "web") << "the network itself";
    EXPECT_THAT(t.one.warren_ok({"endpoint", "inspect", "web"}), HasSubstr("8080:80/tcp, 127.0.0.1:8081:80/tcp"));

    // Who is outside and knows the way gets in by published ports alone.
    t.outside.must({"ip", "route", "add", "172.16.0.0/12", "via", t.one.address()});
    EXPECT_EQ(asked(t.outside.where(), "172.16.0.2"), "");

    t.one.warren_ok({"network", "disconnect", "net1", "web"});
    EXPECT_EQ(asked(t.outside.where(), published), "");
    EXPECT_THAT(t.one.run({"ip", "link"}).out, Not(HasSubstr("warren_gw")));
    EXPECT_THAT(t.one.run({"nft", "list", "ruleset"}).out, Not(HasSubstr("warren_gw")));
    EXPECT_THAT(t.web.run({"ip", "route"}).out, testing::IsEmpty());
}

TEST(Gateway, AnInternalNetworkHasNoWayOut) {
    Scene t;
    t.one.connect("quiet", t.web);
    t.two.connect("quiet", t.client);
    const HttpServer out(*t.lab, t.outside.name());
    const HttpServer web(*t.lab, "web");
    ASSERT_TRUE(eventually(seconds(5), [&] { return asked(t.client.where(), t.web.ip()) == "web"; }));
    EXPECT_EQ(asked(t.web.where(), t.outside.address()), "");
    EXPECT_THAT(t.web.run({"ip", "route", "show", "default"}).out, testing::IsEmpty());
    EXPECT_THAT(t.one.run({"ip", "link"}).out, Not(HasSubstr("warren_gw")));
    // Nor through the network's own gateway address, by whoever sets a route.
    const auto gateway = inspect(t.one, "quiet").subnets(0).gateway();
    t.web.run({"ip", "route", "add", "default", "via", gateway});
    EXPECT_EQ(asked(t.web.where(), t.outside.address()), "");

    const Container other("other");
    const auto refused = t.one.warren({"network", "connect", "quiet", "--netns", "other", "--publish", "8080:80"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("--publish 8080:80/tcp: network 'quiet' is internal: nothing gets in or out"));
    // In one that is not, too, it has a way out.
    t.web.run({"ip", "route", "del", "default", "via", gateway});
    t.one.warren_ok({"network", "connect", "net1", "--netns", "web"});
    EXPECT_TRUE(eventually(seconds(5), [&] { return asked(t.web.where(), t.outside.address()) == t.outside.name(); }));
}

TEST(Gateway, APortThatIsTakenIsRefusedAndNothingIsHalfMade) {
    Scene t;
    t.one.connect("net1", t.web, {"--publish", "8080:80"});
    const Container other("other");
    const auto refused = [&](const std::string& publish) {
        const auto said = t.one.warren({"network", "connect", "net1", "--netns", "other", "--publish", publish});
        EXPECT_EQ(said.code, 1) << publish;
        return said.err;
    };
    EXPECT_THAT(
        refused("192.0.2.1:8080:81"),
        HasSubstr("--publish 192.0.2.1:8080:81/tcp: endpoint 'web' of network 'net1' has published 8080:80/tcp"));
    EXPECT_THAT(refused("7443:80"), HasSubstr("TCP port 7443 of this host is taken by process "));
    EXPECT_THAT(refused("10009:80/udp"), HasSubstr("belong to networks of this cluster"));
    EXPECT_THAT(refused("198.51.100.1:81:80"), HasSubstr("this host has no address 198.51.100.1"));
    EXPECT_THAT(refused("80"), HasSubstr("it is [IP:]HOSTPORT:PORT[/tcp|udp], such as 8080:80/tcp"));
    EXPECT_EQ(t.one.ask<v1::EndpointListReply>({"endpoint", "ls"}).endpoints_size(), 1);
    EXPECT_EQ(other.run({"ip", "-brief", "link"}).out.find("eth"), std::string::npos);
    // Another host has the port, and this one another protocol of it.
    t.two.connect("net1", t.client, {"--publish", "8080:80"});
    t.one.connect("net1", other, {"--publish", "8080:80/udp"});
    // As long as it is published nobody else gets it.
    EXPECT_NE(t.one.run({"busybox", "httpd", "-f", "-p", "8080"}).code, 0);
}

// A download that takes longer than the daemon's absence, out and in.
TEST(Gateway, ARestartOfTheDaemonBreaksNoConnection) {
    Scene t;
    t.one.connect("net1", t.web, {"--publish", "8080:80"});
    const HttpServer web(*t.lab, "web");
    std::ofstream(t.lab->artefacts() / "web-http" / "long") << std::string(3'000'000, 'x');
    ASSERT_TRUE(eventually(seconds(5), [&] { return asked(t.outside.where(), "192.0.2.1:8080") == "web"; }));
    const auto before = t.web.run({"ip", "-o", "link"}).out + t.one.run({"ip", "-o", "link", "show", "warren_gw"}).out;
    const auto rules = t.one.run({"nft", "list", "table", "inet", "warren_gw"}).out;
    Process download({"curl", "--silent", "--show-error", "--limit-rate", "500k", "--output", "/dev/null",
                      "--write-out", "%{size_download}", "http://192.0.2.1:8080/long"},
                     t.outside.where());
    t.one.kill_daemon(SIGKILL);
    EXPECT_EQ(asked(t.outside.where(), "192.0.2.1:8080"), "web") << "while there is no daemon";
    t.one.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(t.one); }));
    const auto done = download.wait(seconds(60));
    EXPECT_EQ(done.out, "3000000") << done.err;
    EXPECT_EQ(t.web.run({"ip", "-o", "link"}).out + t.one.run({"ip", "-o", "link", "show", "warren_gw"}).out, before);
    EXPECT_EQ(t.one.run({"nft", "list", "table", "inet", "warren_gw"}).out, rules);
    EXPECT_NE(t.one.run({"busybox", "httpd", "-f", "-p", "8080"}).code, 0) << "the port is nobody's any more";
}

TEST(Gateway, WhatOthersTakeAwayComesBack) {
    Scene t;
    t.one.connect("net1", t.web, {"--publish", "8080:80"});
    const HttpServer web(*t.lab, "web");
    const auto works = [&] { return asked(t.outside.where(), "192.0.2.1:8080") == "web"; };
    ASSERT_TRUE(eventually(seconds(5), works));
    for (const char* damage : {"ip link del warren_gw", "nft delete table inet warren_gw",
                               "ip address flush dev warren_gw", "ip link set warren_gw down", "nft flush ruleset"}) {
        t.one.must({"bash", "-c", damage});
        EXPECT_TRUE(eventually(seconds(5), works)) << damage;
    }
    const auto doctor = t.one.warren({"doctor"});
    EXPECT_THAT(doctor.out, HasSubstr("no rule keeps containers from getting out"));
    t.one.must({"bash", "-c", "iptables -P FORWARD DROP"});
    const auto warned = t.one.warren({"doctor"});
    EXPECT_EQ(warned.code, 4);
    EXPECT_THAT(warned.out, HasSubstr("chain FORWARD of table ip filter drops what containers send out"));
    EXPECT_FALSE(works());
    t.one.must(
        {"bash", "-c", "iptables -I FORWARD -i warren_gw -j ACCEPT && iptables -I FORWARD -o warren_gw -j ACCEPT"});
    EXPECT_TRUE(works()) << "the doctor's remedy is none";
}

// Names that no endpoint has.
TEST(Gateway, OtherNamesAreAskedOfTheHostsResolvers) {
    const auto lab = cluster_of(1);
    auto& host = lab->host(1);
    const auto file = lab->artefacts() / "resolv.conf";
    std::ofstream(file) << "nameserver 192.0.2.99\nnameserver 127.0.0.1\n";  // nobody is at the first
    host.kill_daemon(SIGTERM);
    host.start_daemon({"--resolv-conf", file.string()});
    Process resolver({"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                      "--log-queries", "--log-facility=-", "--listen-address=127.0.0.1", "--bind-interfaces",
                      "--address=/example.org/203.0.113.7", "--user=root", "--pid-file="},
                     Where{.netns = host.name(), .out_file = lab->artefacts() / "dnsmasq.log"});
    ASSERT_TRUE(eventually(seconds(10), [&] { return settled(host); }));
    host.warren_ok({"network", "create", "net1"});
    host.warren_ok({"network", "create", "--internal", "quiet"});
    const Container open("open");
    const Container closed("closed");
    host.connect("net1", open);
    host.connect("quiet", closed);
    const auto dig = [&](const Container& from, const std::string& network, const Argv& question) {
        Argv argv{"dig", "+tries=1", "+time=5", "@" + inspect(host, network).subnets(0).gateway()};
        argv.insert(argv.end(), question.begin(), question.end());
        return from.run(argv).out;
    };
    const auto answer = dig(open, "net1", {"www.example.org"});
    EXPECT_THAT(answer, HasSubstr("203.0.113.7"));
    EXPECT_THAT(answer, HasSubstr("status: NOERROR"));
    EXPECT_THAT(answer, HasSubstr("flags: qr aa rd ra"));
    EXPECT_THAT(dig(open, "net1", {"+tcp", "www.example.org"}), HasSubstr("203.0.113.7"));
    EXPECT_THAT(dig(open, "net1", {"open"}), HasSubstr(open.ip()));
    EXPECT_THAT(
        open.run({"true"}).out + run({"ip", "netns", "exec", "open", "getent", "ahostsv4", "www.example.org"}).out,
        HasSubstr("203.0.113.7"));
    EXPECT_THAT(dig(closed, "quiet", {"www.example.org"}), HasSubstr("status: REFUSED"));
    EXPECT_THAT(dig(closed, "quiet", {"closed"}), HasSubstr(closed.ip()));
    // What is the cluster's own nobody else hears of.
    EXPECT_THAT(dig(open, "net1", {"nobody"}), HasSubstr("status: NXDOMAIN"));
    EXPECT_THAT(dig(open, "net1", {"nobody.net1"}), HasSubstr("status: NXDOMAIN"));
    EXPECT_THAT(dig(open, "net1", {"closed.quiet"}), HasSubstr("status: REFUSED"));
    EXPECT_THAT(dig(open, "net1", {"-x", closed.ip()}), HasSubstr("status: REFUSED"));
    const auto log = file_content(lab->artefacts() / "dnsmasq.log");
    EXPECT_THAT(log, HasSubstr("query[A] www.example.org"));
    for (const char* own : {"nobody", "closed", "quiet", "net1"}) {
        EXPECT_THAT(log, Not(HasSubstr(own)));
    }
    resolver.signal(SIGKILL);
    EXPECT_THAT(dig(open, "net1", {"www.example.org"}), HasSubstr("status: SERVFAIL"));
}

}  // namespace
}  // namespace warren::lab
