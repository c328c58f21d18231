#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>

#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

v1::CertShowReply certificate(const Host& host) {
    return host.ask<v1::CertShowReply>({"cert", "show"});
}

std::map<std::string, std::string> serials(Lab& lab) {
    std::map<std::string, std::string> found;
    for (const auto& host : lab.hosts()) {
        found.emplace(host->name(), certificate(*host).serial());
    }
    return found;
}

v1::StatusReply status(const Host& host) {
    return host.ask<v1::StatusReply>({"status"});
}

// Renewals that come of themselves, others by command, and two moves to another CA, on a cluster of three with leaves
// of 8 seconds, under flood.
void renew_and_move(std::size_t by_time, std::size_t by_command) {
    const auto lab = short_lived(3, "8s");
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    std::map<std::string, std::int64_t> since;
    std::map<std::string, std::set<std::string>> seen;
    for (const auto& host : lab->hosts()) {
        since[host->name()] = status(*host).manager_since_unix_ms();
    }
    const auto look = [&] {
        for (const auto& [name, serial] : serials(*lab)) {
            seen[name].insert(serial);
        }
    };
    const auto all_have = [&](std::size_t count) {
        look();
        return std::all_of(seen.begin(), seen.end(), [&](const auto& one) { return one.second.size() >= count; });
    };
    auto floods = flood_all_pairs(*lab, containers);
    EXPECT_TRUE(
        eventually(seconds(8 * static_cast<std::int64_t>(by_time) + 10), [&] { return all_have(1 + by_time); }));
    for (std::size_t i = 0; i < by_command; ++i) {
        for (const auto& host : lab->hosts()) {
            host->warren_ok({"cert", "renew"});
        }
        look();
    }
    EXPECT_TRUE(all_have(1 + by_time + by_command)) << "renewals on each node";
    for (int i = 0; i < 2; ++i) {
        const auto moved = lab->host(1).ask<v1::CaShowReply>({"ca", "rotate"});
        EXPECT_EQ(moved.phase(), "idle");
        EXPECT_EQ(moved.left_size(), 0);
    }
    EXPECT_EQ(losses(floods), "");
    for (const auto& host : lab->hosts()) {
        EXPECT_EQ(status(*host).manager_since_unix_ms(), since[host->name()]) << host->name() << "'s session dropped";
    }
    // And what a session would be opened with today is good.
    for (const auto& host : lab->hosts()) {
        host->kill_daemon(SIGKILL);
        host->start_daemon();
    }
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(*host); })) << host->name();
    }
}

TEST(Certificates, RenewalsAndMovesToAnotherCaUnderFloodLoseNothingAndDropNoSession) {
    renew_and_move(1, 9);
}

// scripts/test --soak
TEST(CertificatesSoak, TenRenewalsByTimeAndTwoMovesToAnotherCaUnderFloodLoseNothing) {
    renew_and_move(10, 0);
}

TEST(Certificates, CommandsShowAndRenewThem) {
    const auto lab = cluster_of(2);
    auto& worker = lab->host(2);
    const auto before = certificate(worker);
    EXPECT_EQ(before.role(), "worker");
    EXPECT_GT(before.next_renewal_unix_ms() - before.issued_unix_ms(), 44 * std::int64_t{86'400'000});
    const auto renewed = worker.ask<v1::CertShowReply>({"cert", "renew"});
    EXPECT_NE(renewed.serial(), before.serial());
    EXPECT_EQ(certificate(worker).serial(), renewed.serial());
    // openssl, not our code, says what is on the disk.
    auto serial = lab->host(2).must({"openssl", "x509", "-noout", "-serial", "-in", renewed.file()});
    for (auto& character : serial) {
        character = static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
    }
    EXPECT_THAT(serial, HasSubstr(renewed.serial()));
    EXPECT_THAT(lab->host(1).warren_ok({"node", "ls"}), HasSubstr("89d 23h"));
    EXPECT_TRUE(eventually(seconds(10), [&] {
        const auto shown = lab->host(1).ask<v1::Node>({"node", "inspect", "h2"});
        return shown.certificate_expires_unix_ms() == renewed.not_after_unix_ms();
    })) << "the manager is told what is in use";

    lab->host(1).stop_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return !status(worker).manager_connected(); }));
    const auto refused = worker.warren({"cert", "renew"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("no session with manager"));
    EXPECT_EQ(certificate(worker).serial(), renewed.serial());
}

TEST(Certificates, AnHourIsTheLeastThatAUserCanSet) {
    Lab lab(1);
    lab.host(1).start_daemon();
    const auto refused =
        lab.host(1).warren({"cluster", "init", "--data-addr", lab.host(1).address(), "--leaf-lifetime", "59m"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("--leaf-lifetime"));
}

// Off until the certificates have expired: a worker, then everybody. All come back as who they were, without a token.
TEST(Certificates, NodesThatWereOffUntilTheirsExpiredComeBack) {
    const auto lab = short_lived(2, "5s");
    auto& manager = lab->host(1);
    auto& worker = lab->host(2);
    const auto nodes = manager.warren_ok({"node", "ls", "-q"});
    worker.stop_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return certificate_expired(worker); }));
    worker.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(worker); }));
    EXPECT_THAT(manager.log_text(), HasSubstr("node h2: readmitted"));

    worker.stop_daemon();
    manager.stop_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return certificate_expired(worker) && certificate_expired(manager); }));
    worker.start_daemon();
    manager.start_daemon();
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(30), [&] { return settled(*host); })) << host->name();
    }
    EXPECT_EQ(manager.warren_ok({"node", "ls", "-q"}), nodes) << "the same nodes as before";
}

TEST(Certificates, AfterTheReadmissionLimitStatusSaysThatATokenIsNeeded) {
    const auto lab = short_lived(2, "5s", {"--readmission-limit", "1s"});
    auto& worker = lab->host(2);
    worker.stop_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] { return certificate_expired(worker); }));
    const auto expired_at = std::chrono::steady_clock::now();
    ASSERT_TRUE(eventually(seconds(5), [&] { return std::chrono::steady_clock::now() > expired_at + seconds(1); }))
        << "the limit";
    worker.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] {
        const auto shown = worker.warren({"status"});
        return shown.code == 4 && shown.out.find("warren token show worker") != std::string::npos;
    })) << worker.warren({"status"}).out;
}

// Nothing else is wrong: nobody would notice before the next session cannot be opened.
TEST(Certificates, ARenewalThatDoesNotComeOffForLongIsSaidByStatus) {
    const auto lab = short_lived(2, "10s");
    auto& worker = lab->host(2);
    ASSERT_TRUE(eventually(seconds(5), [&] { return settled(worker); }));
    // Like a full disk: the new file can't be written.
    const auto in_the_way = worker.state_dir() / "cluster" / "certs" / "node.pem.tmp";
    std::filesystem::create_directory(in_the_way);
    EXPECT_TRUE(eventually(seconds(15), [&] { return worker.warren({"status"}).code != 0; }));
    const auto shown = worker.warren({"status"});
    EXPECT_EQ(shown.code, 4);
    EXPECT_THAT(shown.out, HasSubstr("the certificate of this node "));
    EXPECT_THAT(shown.out, HasSubstr(in_the_way.string())) << "the reason";
    EXPECT_EQ(status(worker).problems_size(), 1) << shown.out;
    EXPECT_TRUE(status(worker).manager_connected());

    std::filesystem::remove(in_the_way);
    worker.warren_ok({"cert", "renew"});
    EXPECT_EQ(worker.warren({"status"}).code, 0) << worker.warren({"status"}).out;
}

// A node that is down is left behind after the straggler limit, and comes back with a certificate that no root vouches
// for any more.
TEST(Certificates, ANodeThatIsDownDoesNotHoldUpTheMoveToAnotherCa) {
    Lab lab(2);
    form_cluster(lab, {"--straggler-limit", "1s"});
    auto& manager = lab.host(1);
    auto& worker = lab.host(2);
    worker.stop_daemon();
    ASSERT_TRUE(eventually(seconds(20), [&] {
        return manager.ask<v1::Node>({"node", "inspect", "h2"}).state() == "unreachable";
    }));
    const auto moved = manager.ask<v1::CaShowReply>({"ca", "rotate"});
    EXPECT_EQ(moved.phase(), "idle");
    ASSERT_EQ(moved.left_size(), 1);
    EXPECT_EQ(moved.left(0).node(), "h2");
    EXPECT_THAT(manager.warren_ok({"ca", "show"}), HasSubstr("let in again when they come back: h2 (unreachable)"));

    worker.start_daemon();
    EXPECT_TRUE(eventually(seconds(30), [&] { return settled(worker); })) << worker.warren({"status"}).out;
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return manager.ask<v1::CaShowReply>({"ca", "show"}).moved() == 2;
    })) << manager.warren({"ca", "show"}).out;
    EXPECT_EQ(certificate(worker).issuer_key_id(), certificate(manager).issuer_key_id());
}

TEST(Certificates, ACaOfOnesOwnTakesOverAndABadOneChangesNothing) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    const auto before = certificate(lab->host(2));
    const auto directory = manager.state_dir().string();
    must({"openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=ours", "-newkey", "rsa:3072", "-keyout",
          directory + "/ours.pem", "-out", directory + "/ours.crt"});
    const auto refused = manager.warren({"ca", "rotate", "--external-root", directory + "/ours.pem"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("no certificate"));
    EXPECT_EQ(certificate(lab->host(2)).serial(), before.serial());

    must({"sh", "-c", "cat " + directory + "/ours.crt >> " + directory + "/ours.pem"});
    const auto moved = manager.ask<v1::CaShowReply>({"ca", "rotate", "--external-root", directory + "/ours.pem"});
    EXPECT_EQ(moved.phase(), "idle");
    EXPECT_EQ(moved.roots(0).name(), "ours");
    for (const auto& host : lab->hosts()) {
        EXPECT_EQ(certificate(*host).issuer(), "ours") << host->name();
        host->kill_daemon(SIGKILL);
        host->start_daemon();
    }
    auto& third = lab->add_host();
    third.start_daemon();
    EXPECT_TRUE(join(*lab, third).ok()) << "a token pins the new root";
    for (const auto& host : lab->hosts()) {
        EXPECT_TRUE(eventually(seconds(20), [&] { return settled(*host); })) << host->name();
    }
}

}  // namespace
}  // namespace warren::lab
