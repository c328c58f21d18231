#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <vector>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// What a host has of its own, and what its daemon changes of it.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

TEST(HostFacts, RoutesThatComeLaterKeepNetworksOffThem) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    const Argv create{"network", "create", "--subnet", "10.77.0.0/24", "net1"};
    manager.warren_ok(create);
    manager.warren_ok({"network", "rm", "net1"});

    lab->host(2).must({"ip", "route", "add", "10.77.0.128/25", "dev", "eth0"});
    std::string refused;
    EXPECT_TRUE(eventually(seconds(5), [&] {
        const auto made = manager.warren(create);
        if (made.ok()) {
            manager.warren_ok({"network", "rm", "net1"});
        }
        refused = made.err;
        return !made.ok();
    }));
    EXPECT_THAT(refused, HasSubstr("--subnet 10.77.0.0/24: overlaps 10.77.0.128/25 of the host's route via eth0 of "
                                   "node h2"));
    EXPECT_THAT(manager.warren_ok({"network", "ls"}), testing::Not(HasSubstr("net1")));

    lab->host(2).must({"ip", "route", "del", "10.77.0.128/25"});
    EXPECT_TRUE(eventually(seconds(5), [&] { return manager.warren(create).ok(); }));
}

// Only a host's first network namespace has the limits, so this daemon runs there.
TEST(HostFacts, LimitsOfNeighboursAreRaisedAsFarAsContainersCallForIt) {
    const std::filesystem::path limits = "/proc/sys/net/ipv4/neigh/default";
    if (!std::filesystem::exists(limits / "gc_thresh3")) {
        GTEST_SKIP() << "the lab has no kernel of its own";
    }
    const Lab lab(1);
    must({"ip", "address", "add", "192.0.2.99/24", "dev", "underlay"});
    const std::filesystem::path directory = "/run/lab/first";
    const auto log = lab.artefacts() / "first.log";
    auto command = Host::daemon_program();
    command.insert(command.end(), {"--state-dir", directory / "state", "--run-dir", directory / "run"});
    Process daemon(command, {.netns = {}, .out_file = log});
    const auto warren = [&](const Argv& args) {
        auto argv = Host::warren_program();
        argv.insert(argv.end(), {"--host", "unix://" + (directory / "run" / "warren.sock").string()});
        argv.insert(argv.end(), args.begin(), args.end());
        return run(argv);
    };
    ASSERT_TRUE(eventually(seconds(30), [&] { return warren({"cluster", "init", "--data-addr", "192.0.2.99"}).ok(); }));
    ASSERT_TRUE(warren({"network", "create", "net1"}).ok());
    ASSERT_EQ(file_content(limits / "gc_thresh3"), "1024\n");
    std::vector<Container> containers;
    const auto connect_up_to = [&](std::size_t count) {
        while (containers.size() < count) {
            const auto& container = containers.emplace_back(fmt::format("c{}", containers.size() + 1));
            ASSERT_TRUE(warren({"network", "connect", "net1", "--netns", container.name()}).ok());
        }
    };
    // 64 for each and one for each in its network.
    connect_up_to(15);
    EXPECT_EQ(file_content(limits / "gc_thresh3"), "1024\n");
    connect_up_to(16);
    EXPECT_TRUE(eventually(seconds(2), [&] { return file_content(limits / "gc_thresh3") == "2048\n"; }));
    EXPECT_EQ(file_content(limits / "gc_thresh2"), "1024\n");
    EXPECT_THAT(file_content(log), HasSubstr("net.ipv4.neigh.default.gc_thresh3 was 1024 and is 2048 now"));
    EXPECT_THAT(file_content(log), HasSubstr("16 endpoints are here, of 16 in their networks"));
    daemon.signal(SIGTERM);
    EXPECT_EQ(daemon.wait().code, 0);
}

}  // namespace
}  // namespace warren::lab
