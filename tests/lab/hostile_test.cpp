#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// Strangers at the port of a manager that has work to do.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr std::size_t kSources = 50;
constexpr std::size_t kEach = 200;  // fewer than an address may open
constexpr std::uint16_t kPort = 7443;

sockaddr_in address_of(const std::string& text, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, text.c_str(), &address.sin_addr);
    return address;
}

base::UniqueFd connected(const std::string& from, const std::string& to) {
    base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto own = address_of(from, 0);
    const auto other = address_of(to, kPort);
    const bool done = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0 &&
                      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&other), sizeof other) == 0;
    return done ? std::move(fd) : base::UniqueFd();
}

std::string source(std::size_t number) {
    return fmt::format("192.0.2.{}", 100 + number);
}

// Connections from a host that say nothing, each from one of its addresses. They stay open until they are dropped.
std::vector<base::UniqueFd> connect_in_silence(const Host& from, const std::vector<std::string>& sources,
                                               const std::string& to) {
    std::vector<base::UniqueFd> open;
    open.reserve(sources.size());
    std::thread([&] {  // a namespace is a thread's
        const base::UniqueFd there(::open(("/run/netns/" + from.name()).c_str(), O_RDONLY | O_CLOEXEC));
        if (::setns(there.get(), CLONE_NEWNET) != 0) {
            return;
        }
        for (const auto& source : sources) {
            open.push_back(connected(source, to));
        }
    })
        .join();
    return open;
}

std::size_t connections(const Host& manager) {
    const auto lines = manager.must({"ss", "-Htn", "state", "established", fmt::format("sport = :{}", kPort)});
    return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
}

std::uint64_t counter(const Host& manager, const std::string& name) {
    const auto status = manager.ask<v1::StatusReply>({"status"});
    for (const auto& shown : status.counters()) {
        if (shown.name() == name) {
            return shown.value();
        }
    }
    return 0;
}

// When the session of each member with its manager began.
std::vector<std::int64_t> sessions_since(Lab& lab) {
    std::vector<std::int64_t> since;
    for (const unsigned number : {1U, 2U}) {
        const auto& host = lab.host(number);
        EXPECT_TRUE(eventually(seconds(5), [&] { return settled(host); })) << host.name();
        since.push_back(host.ask<v1::StatusReply>({"status"}).manager_since_unix_ms());
    }
    return since;
}

// A renewal is a question and an answer over the session.
std::chrono::milliseconds slowest_of_renewals(const Host& worker) {
    auto slowest = std::chrono::milliseconds::zero();
    for (int i = 0; i < 5; ++i) {
        const auto began = std::chrono::steady_clock::now();
        worker.warren_ok({"cert", "renew"});
        slowest = std::max(
            slowest, std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began));
    }
    return slowest;
}

TEST(Hostile, TenThousandWhoSayNothingDisturbNobodyAndAreDropped) {
    rlimit files{.rlim_cur = 2 * kSources * kEach, .rlim_max = 2 * kSources * kEach};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& worker = lab->host(2);
    const auto& stranger = lab->add_host();
    for (std::size_t i = 0; i < kSources; ++i) {
        stranger.must({"ip", "address", "add", source(i) + "/24", "dev", "eth0"});
    }
    const auto since = sessions_since(*lab);
    const auto quiet = slowest_of_renewals(worker);
    std::vector<std::string> sources;
    sources.reserve(kSources * kEach);
    for (std::size_t i = 0; i < kSources * kEach; ++i) {
        sources.push_back(source(i % kSources));
    }
    auto open = connect_in_silence(stranger, sources, manager.address());
    EXPECT_GE(std::ranges::count_if(open, [](const auto& fd) { return bool(fd); }), kSources * kEach * 9 / 10);
    const auto held = connections(manager);  // on a slow machine the first have been dropped by now
    EXPECT_GE(held, kSources * kEach / 2) << "the attack is none";
    const auto flooded = slowest_of_renewals(worker);
    std::cout << fmt::format("[ figure   ] a renewal in the flood takes {:.1f} times as long as before\n",
                             std::chrono::duration<double>(flooded) / quiet);
    EXPECT_LT(flooded, 20 * quiet) << "of " << quiet.count() << " ms";
    EXPECT_EQ(sessions_since(*lab), since) << "a member's session was dropped";
    worker.kill_daemon(SIGKILL);
    worker.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(worker); })) << "a member can't come back";
    EXPECT_TRUE(eventually(seconds(20), [&] { return connections(manager) < 10; })) << "who says nothing is kept";
    EXPECT_GE(counter(manager, "refused silent"), held - 10);
    EXPECT_THAT(manager.log_text(), HasSubstr("ended without a word"));
    EXPECT_EQ(manager.ask<v1::StatusReply>({"status"}).manager_connected(), true);
}

// One address that does nothing else than connect.
TEST(Hostile, AFloodFromOneAddressIsCutDownAtTheDoor) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& stranger = lab->add_host();
    const auto since = sessions_since(*lab);
    const std::vector<std::string> often(900, stranger.address());
    const auto open = connect_in_silence(stranger, often, manager.address());
    ASSERT_EQ(open.size(), often.size());
    EXPECT_TRUE(eventually(seconds(5), [&] { return connections(manager) < 450; })) << connections(manager);
    EXPECT_TRUE(eventually(seconds(5), [&] { return counter(manager, "refused connection") >= 450; }));
    EXPECT_THAT(manager.log_text(), HasSubstr("refused connection"));
    EXPECT_EQ(sessions_since(*lab), since);
}

}  // namespace
}  // namespace warren::lab
