#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <set>

#include "base/fault_point.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// What a daemon leaves that is killed at each step of what concerns certificates.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

// The points of an operation, and whether it is the manager that dies there.
struct Point {
    std::string name;
    bool at_manager = false;
};
std::vector<Point> points_of(std::string_view operation, const std::set<std::string_view>& at_manager) {
    std::vector<Point> points;
    for (const auto& known : base::kFaultPoints) {
        if (known.name.starts_with(operation)) {
            points.push_back({.name = std::string(known.name), .at_manager = at_manager.contains(known.name)});
        }
    }
    return points;
}

// Starts the daemon so that it dies at the point; that may be before it answers on its socket.
void arm(Host& host, const std::string& point) {
    if (host.daemon_running()) {
        host.stop_daemon();
    }
    try {
        host.start_daemon_to_die_at(point);
    } catch (const std::runtime_error&) {
        EXPECT_FALSE(host.daemon_running());
    }
}

// It died, and starts again in good health.
void expect_death_and_start(Host& host, const std::string& point) {
    EXPECT_TRUE(eventually(seconds(15), [&] { return !host.daemon_running(); })) << point << " was not passed";
    EXPECT_EQ(host.kill_daemon(SIGKILL).code, 128 + SIGKILL) << point;
    host.start_daemon();
}

std::size_t nodes(const Host& manager) {
    return static_cast<std::size_t>(manager.ask<v1::NodeListReply>({"node", "ls"}).nodes_size());
}

void expect_all_settled(Lab& lab, const std::string& after) {
    for (const auto& host : lab.hosts()) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(*host); })) << host->name() << " after " << after;
    }
}

TEST(Crash, AJoinIsCompletedOrCanBeRepeated) {
    const auto points = points_of("join.", {"join.admitted"});
    ASSERT_GE(points.size(), 5U);
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    for (const auto& point : points) {
        auto& joiner = lab->add_host();
        if (point.at_manager) {
            joiner.start_daemon();
            arm(manager, point.name);
        } else {
            arm(joiner, point.name);
        }
        if (point.at_manager) {
            ASSERT_TRUE(eventually(seconds(20), [&] { return settled(manager); }));
        }
        (void)join(*lab, joiner);
        expect_death_and_start(point.at_manager ? manager : joiner, point.name);
        if (!joiner.warren({"cluster", "info"}).ok()) {
            ASSERT_TRUE(eventually(seconds(20), [&] { return settled(manager); }));
            const auto again = join(*lab, joiner);
            EXPECT_TRUE(again.ok()) << point.name << ": " << again.err;
        }
        expect_all_settled(*lab, point.name);
        EXPECT_EQ(nodes(manager), lab->hosts().size()) << "one identity for each host after " << point.name;
    }
}

TEST(Crash, ARenewalIsCompletedOrRepeated) {
    const auto points = points_of("renewal.", {"renewal.issued", "renewal.confirmed"});
    ASSERT_GE(points.size(), 6U);
    const auto lab = cluster_of(2);
    auto& worker = lab->host(2);
    const auto identity = worker.ask<v1::CertShowReply>({"cert", "show"}).uri();
    for (const auto& point : points) {
        auto& victim = lab->host(point.at_manager ? 1 : 2);
        arm(victim, point.name);
        (void)eventually(seconds(15), [&] { return !victim.daemon_running() || settled(worker); });
        if (victim.daemon_running()) {
            (void)worker.warren({"cert", "renew"});
        }
        expect_death_and_start(victim, point.name);
        expect_all_settled(*lab, point.name);
        const auto renewed = worker.ask<v1::CertShowReply>({"cert", "renew"});
        EXPECT_EQ(renewed.uri(), identity) << point.name;
        EXPECT_EQ(renewed.problem(), "") << point.name;
    }
    EXPECT_EQ(nodes(lab->host(1)), 2U);
}

TEST(Crash, ACaRotationGoesOn) {
    const auto points = points_of("ca.", {"ca.begun", "ca.told", "ca.node-moved", "ca.dropped"});
    ASSERT_GE(points.size(), 4U);
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto issuer = lab->host(2).ask<v1::CertShowReply>({"cert", "show"}).issuer_key_id();
    for (const auto& point : points) {
        arm(manager, point.name);
        expect_all_settled(*lab, "the start for " + point.name);
        (void)manager.warren({"ca", "rotate", "--detach"});
        expect_death_and_start(manager, point.name);
        EXPECT_TRUE(eventually(seconds(30),
                               [&] {
                                   const auto shown = manager.ask<v1::CaShowReply>({"ca", "show"});
                                   return shown.phase() == "idle" && shown.moved() == 2;
                               }))
            << point.name << ": " << manager.warren({"ca", "show"}).out;
        expect_all_settled(*lab, point.name);
        const auto now = lab->host(2).ask<v1::CertShowReply>({"cert", "show"}).issuer_key_id();
        EXPECT_NE(now, issuer) << point.name;
        issuer = now;
    }
}

// What a disk leaves, or somebody who copies files about: an error that says which file and what to do, and no new
// identity.
TEST(Crash, TornAndForeignFilesStopTheDaemonWithTheWayOut) {
    const auto lab = cluster_of(2);
    auto& worker = lab->host(2);
    const auto node_file = worker.state_dir() / "cluster" / "certs" / "node.pem";
    const auto good = must({"cat", node_file.string()});
    const auto other = must({"cat", (lab->host(1).state_dir() / "cluster" / "certs" / "node.pem").string()});
    worker.stop_daemon();
    for (const auto& content : {good.substr(0, good.size() / 2), std::string(), other, std::string(1000, '\0')}) {
        std::ofstream(node_file, std::ios::trunc) << content;
        auto command = Host::daemon_program();
        command.insert(command.end(),
                       {"--state-dir", worker.state_dir().string(), "--run-dir", worker.run_dir().string()});
        const auto output = run(command, worker.where());
        EXPECT_EQ(output.code, 1) << content.size();
        EXPECT_THAT(output.err, HasSubstr("cluster")) << content.size();
        EXPECT_THAT(output.err, testing::AnyOf(HasSubstr("restore"), HasSubstr("put back"))) << output.err;
        std::ifstream in(node_file);
        const std::string kept((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        EXPECT_EQ(kept, content) << "not touched";
    }
    std::ofstream(node_file, std::ios::trunc) << good;
    worker.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(worker); }));
    EXPECT_EQ(nodes(lab->host(1)), 2U);
}

}  // namespace
}  // namespace warren::lab
