#include <gtest/gtest.h>

#include <csignal>
#include <map>

#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

std::map<std::string, Sa> by_identity(const Host& host) {
    std::map<std::string, Sa> table;
    for (auto& sa : sa_table(host)) {
        table.emplace(sa.source + ">" + sa.destination + " " + std::to_string(sa.spi) + " added " + sa.added, sa);
    }
    return table;
}

// The same SAs as before, none added, deleted or replaced: sequence numbers only grow.
void expect_untouched(const std::map<std::string, Sa>& before, const std::map<std::string, Sa>& after) {
    EXPECT_EQ(before.size(), after.size());
    for (const auto& [identity, sa] : before) {
        const auto now = after.find(identity);
        ASSERT_NE(now, after.end()) << identity << " is gone";
        EXPECT_GE(now->second.sent, sa.sent) << identity;
        EXPECT_GE(now->second.received, sa.received) << identity;
        EXPECT_GT(now->second.packets, sa.packets) << identity << " carries no traffic";
    }
}

// Kills the daemon of one host under a flood between all, starts it again, rotates: nothing may be lost meanwhile.
void kill_and_start(Lab& lab, Host& host) {
    lab.host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(lab, "net1");
    ASSERT_TRUE(eventually(seconds(10), [&] { return settled(host); }));
    Capture capture(lab.artefacts(), "underlay", kUnderlay);
    auto floods = flood_all_pairs(lab, containers);
    const auto before = by_identity(host);
    ASSERT_FALSE(before.empty());

    host.kill_daemon(SIGKILL);
    for (auto& flood : floods) {
        EXPECT_TRUE(flood.flowing()) << flood.name() << " without the daemon";
    }
    host.start_daemon();
    for (const auto& each : lab.hosts()) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(*each); })) << each->name();
    }
    for (auto& flood : floods) {
        EXPECT_TRUE(flood.flowing()) << flood.name() << " with the daemon back";
    }
    expect_untouched(before, by_identity(host));

    const auto epoch = inspect(lab.host(1), "net1").active_epoch();
    lab.host(1).warren_ok({"key", "rotate", "net1"});
    EXPECT_GT(inspect(lab.host(1), "net1").active_epoch(), epoch);
    EXPECT_EQ(losses(floods), "");
    for (const auto& [identity, sa] : by_identity(host)) {
        EXPECT_FALSE(before.contains(identity)) << identity << " survived the rotation";
    }
    capture.stop();
    EXPECT_EQ(capture.count(kNotEsp), 0U) << capture.show(kNotEsp);
    EXPECT_GT(capture.count("esp"), 0U);
}

TEST(Restart, KilledMemberLosesNoPacketAndTouchesNoSa) {
    const auto lab = cluster_of(2);
    kill_and_start(*lab, lab->host(2));
}

// A server of gRPC's does not end before the last call has its answer.
TEST(Restart, DoesNotWaitForWhatAManagerDoesNotAnswer) {
    const auto lab = cluster_of(2);
    lab->host(1).warren_ok({"network", "create", "net1"});
    const Container web("web");
    lab->host(1).freeze_daemon();
    auto& host = lab->host(2);
    std::vector<Process> waiting;
    for (const Argv& args :
         {Argv{"network", "connect", "net1", "--netns", "web"}, Argv{"cert", "renew"}, Argv{"doctor"}}) {
        waiting.emplace_back(host.warren_command(args), Where{});
    }
    ASSERT_TRUE(eventually(seconds(5), [&] {
        return host.times_logged("network connect asked for") == 1 && host.times_logged("cert renew asked for") == 1;
    }));
    const auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(host.kill_daemon(SIGTERM).code, 0);
    EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(5));
    for (std::size_t i = 0; i < 2; ++i) {
        const auto told = waiting[i].wait();
        EXPECT_NE(told.code, 0);
        EXPECT_NE(told.err.find("warrend is being stopped"), std::string::npos) << told.err;
    }
    lab->host(1).thaw_daemon();
}

TEST(Restart, KilledManagerLosesNoPacketAndFindsItsWorkersAgain) {
    const auto lab = cluster_of(3);
    kill_and_start(*lab, lab->host(1));
}

}  // namespace
}  // namespace warren::lab
