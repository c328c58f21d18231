#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
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

void expect_death(Host& host, const std::string& point) {
    EXPECT_TRUE(eventually(seconds(15), [&] { return !host.daemon_running(); })) << point << " was not passed";
    EXPECT_EQ(host.kill_daemon(SIGKILL).code, 128 + SIGKILL) << point;
}

// It died, and starts again in good health.
void expect_death_and_start(Host& host, const std::string& point) {
    expect_death(host, point);
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

// Off until its certificate has expired, the node proves itself, and somebody dies meanwhile.
TEST(Crash, AReadmissionIsCompletedOrRepeated) {
    auto points = points_of("readmission.", {"readmission.issued"});
    ASSERT_GE(points.size(), 2U);
    points.push_back({.name = "renewal.roots-written"});
    points.push_back({.name = "renewal.node-written"});
    const auto lab = short_lived(2, "3s");
    auto& manager = lab->host(1);
    auto& worker = lab->host(2);
    const auto identity = worker.ask<v1::CertShowReply>({"cert", "show"}).uri();
    for (const auto& point : points) {
        ASSERT_TRUE(eventually(seconds(20), [&] { return settled(worker); })) << point.name;
        worker.stop_daemon();
        ASSERT_TRUE(eventually(seconds(10), [&] { return certificate_expired(worker); })) << point.name;
        if (point.at_manager) {
            arm(manager, point.name);
            worker.start_daemon();
        } else {
            arm(worker, point.name);
        }
        expect_death_and_start(point.at_manager ? manager : worker, point.name);
        expect_all_settled(*lab, point.name);
        EXPECT_EQ(worker.ask<v1::CertShowReply>({"cert", "show"}).uri(), identity) << point.name;
    }
    EXPECT_EQ(nodes(manager), 2U);
    EXPECT_THAT(manager.log_text(), HasSubstr("node h2: readmitted"));
}

// Who everybody is, by the manager's word and by their own.
std::string identities(Lab& lab) {
    auto text = lab.host(1).warren_ok({"node", "ls", "-q"});
    for (const auto& host : lab.hosts()) {
        text += host->ask<v1::CertShowReply>({"cert", "show"}).uri() + "\n";
    }
    return text;
}

std::string issuer(const Host& host) {
    return host.ask<v1::CertShowReply>({"cert", "show"}).issuer_key_id();
}

// The old CA is dropped, and all have a certificate of the new one.
void expect_moved(Lab& lab, const std::string& after) {
    const auto& manager = lab.host(1);
    EXPECT_TRUE(eventually(seconds(30),
                           [&] {
                               const auto shown = manager.ask<v1::CaShowReply>({"ca", "show"});
                               return shown.phase() == "idle" && shown.moved() == lab.hosts().size();
                           }))
        << after << ": " << manager.warren({"ca", "show"}).out;
    expect_all_settled(lab, after);
}

TEST(Crash, ACaRotationGoesOn) {
    const auto points = points_of("ca.", {"ca.begun", "ca.told", "ca.node-moved", "ca.dropped"});
    ASSERT_GE(points.size(), 4U);
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    const auto before = identities(*lab);
    auto last_issuer = issuer(lab->host(2));
    for (const auto& point : points) {
        arm(manager, point.name);
        expect_all_settled(*lab, "the start for " + point.name);
        (void)manager.warren({"ca", "rotate", "--detach"});
        expect_death_and_start(manager, point.name);
        expect_moved(*lab, point.name);
        EXPECT_EQ(identities(*lab), before) << point.name;
        EXPECT_NE(issuer(lab->host(2)), last_issuer) << point.name;
        last_issuer = issuer(lab->host(2));
    }
}

std::set<std::string> files_in(const std::filesystem::path& directory) {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
        names.insert(entry.path().lexically_relative(directory).string());
    }
    return names;
}

// By openssl's word the key is the certificate's, and a root beside them vouches for it.
void expect_whole_identity(const Host& host, const std::string& after) {
    const auto certs = host.state_dir() / "cluster" / "certs";
    const auto node = (certs / "node.pem").string();
    const auto verified =
        run({"openssl", "verify", "-CAfile", (certs / "roots.pem").string(), "-untrusted", node, node});
    EXPECT_TRUE(verified.ok()) << after << ": " << verified.out << verified.err;
    EXPECT_EQ(run({"openssl", "x509", "-pubkey", "-noout", "-in", node}).out,
              run({"openssl", "pkey", "-pubout", "-in", node}).out)
        << after;
}

// The points that a worker passes when it moves to another CA.
std::vector<std::string> worker_points() {
    std::vector<std::string> names;
    for (const auto& point : points_of("renewal.", {"renewal.issued", "renewal.confirmed"})) {
        if (!point.at_manager) {
            names.push_back(point.name);
        }
    }
    return names;
}

class WorkerInACaRotation : public testing::TestWithParam<std::string> {};

TEST_P(WorkerInACaRotation, DiesAndMovesToTheNewCaAsWhoItWas) {
    // It writes its identity with both roots, then with the new certificate, then without the old root.
    const auto times = GetParam().ends_with("-written") ? 3 : 1;
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& worker = lab->host(2);
    const auto before = identities(*lab);
    const auto files = files_in(worker.state_dir());
    auto last_issuer = issuer(worker);
    for (int time = 1; time <= times; ++time) {
        const auto point = fmt::format("{}:{}", GetParam(), time);
        arm(worker, point);
        expect_all_settled(*lab, "the start for " + point);
        (void)manager.warren({"ca", "rotate", "--detach"});
        expect_death(worker, point);
        expect_whole_identity(worker, point);
        worker.start_daemon();
        expect_moved(*lab, point);
        expect_whole_identity(worker, point);
        EXPECT_EQ(identities(*lab), before) << point;
        EXPECT_EQ(files_in(worker.state_dir()), files) << point;
        EXPECT_NE(issuer(worker), last_issuer) << point;
        EXPECT_EQ(issuer(worker), issuer(manager)) << point;
        last_issuer = issuer(worker);
    }
}

std::string name_of(const testing::TestParamInfo<std::string>& info) {
    auto name = info.param;
    std::ranges::replace_if(
        name, [](unsigned char letter) { return std::isalnum(letter) == 0; }, '_');
    return name;
}
INSTANTIATE_TEST_SUITE_P(AtEveryFaultPoint, WorkerInACaRotation, testing::ValuesIn(worker_points()), name_of);

// What a disk leaves, or somebody who copies files about: an error that says which file and what to do, and no new
// identity.
struct Damage {
    std::string name;
    std::string content;
    mode_t mode = 0600;
};

void replace(const std::filesystem::path& file, const std::string& content, mode_t mode) {
    std::ofstream(file, std::ios::trunc | std::ios::binary) << content;
    ASSERT_EQ(::chmod(file.c_str(), mode), 0);
}

TEST(Crash, TornAndForeignFilesStopTheDaemonWithTheWayOut) {
    const auto lab = cluster_of(2);
    auto& other = lab->add_host();
    other.start_daemon();
    other.warren_ok({"cluster", "init", "--data-addr", other.address(), "--node-name", other.name()});
    for (const auto& host : lab->hosts()) {
        host->stop_daemon();
    }
    const auto in = [](const Host& host, const std::string& file) { return host.state_dir() / "cluster" / file; };
    const std::vector<std::pair<unsigned, std::string>> files = {
        {2, "certs/node.pem"}, {2, "certs/roots.pem"}, {2, "node.json"}, {1, "manager/store.db"}, {1, "manager/kek"}};
    for (const auto& [number, file] : files) {
        auto& host = lab->host(number);
        const auto path = in(host, file);
        const auto good = file_content(path);
        const mode_t mode = file == "certs/roots.pem" ? 0644 : 0600;
        std::vector<Damage> damages = {{"half of it", good.substr(0, good.size() / 2), mode},
                                       {"nothing", "", mode},
                                       {"zeros", std::string(good.size(), '\0'), mode},
                                       {"another cluster's", file_content(in(other, file)), mode}};
        if (file != "node.json" && file != "manager/store.db") {  // no secret; in a directory that is the owner's alone
            damages.push_back({"open to others", good, 0666});
        }
        for (const auto& damage : damages) {
            const auto what = file + ": " + damage.name;
            replace(path, damage.content, damage.mode);
            auto command = Host::daemon_program();
            command.insert(command.end(),
                           {"--state-dir", host.state_dir().string(), "--run-dir", host.run_dir().string()});
            const auto output = run(command, host.where(), seconds(10));
            EXPECT_EQ(output.code, 1) << what;
            const auto name = std::filesystem::path(file).filename().string();
            EXPECT_THAT(output.err, HasSubstr(name)) << what;
            EXPECT_THAT(output.err, testing::AnyOf(HasSubstr("restore"), HasSubstr("put back"), HasSubstr("chmod")))
                << what << ": " << output.err;
            EXPECT_TRUE(file_content(path) == damage.content) << what << " was touched";
        }
        replace(path, good, mode);
    }
    for (const unsigned number : {1U, 2U}) {
        lab->host(number).start_daemon();
    }
    for (const unsigned number : {1U, 2U}) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(lab->host(number)); })) << number;
    }
    EXPECT_EQ(nodes(lab->host(1)), 2U);
}

}  // namespace
}  // namespace warren::lab
