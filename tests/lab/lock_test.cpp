#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <set>

#include "base/fault_point.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/lab.h"

// A manager whose keys are on its disk only sealed.
namespace warren::lab {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::HasSubstr;

// Files of the state directory that hold a private key, or the key-encryption key, in clear.
std::string keys_in_clear(const Host& host) {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(host.state_dir())) {
        if (entry.is_regular_file()) {
            const auto text = file_content(entry.path());
            if (text.find("PRIVATE KEY") != std::string::npos || text.size() == 32) {
                names.insert(entry.path().filename().string());
            }
        }
    }
    return fmt::format("{}", fmt::join(names, " "));
}

std::string lock_state(const Host& host) {
    return host.ask<v1::StatusReply>({"status"}).lock();
}

fs::path key_file(const Lab& lab, const std::string& key) {
    auto file = lab.artefacts() / "unlock-key";
    fs::remove(file);
    std::ofstream(file) << key;
    fs::permissions(file, fs::perms::owner_read);
    return file;
}

Output unlock(const Lab& lab, const Host& host, const std::string& key, const Argv& more = {}) {
    Argv args{"cluster", "unlock", "--unlock-key-file", key_file(lab, key).string()};
    args.insert(args.end(), more.begin(), more.end());
    return host.warren(args);
}

// The first line of a text that looks like one.
std::string key_in(const Output& output) {
    const auto at = output.out.find("WRNKEY-");
    return at == std::string::npos ? "" : output.out.substr(at, output.out.find('\n', at) - at);
}

TEST(Lock, ARestartedManagerWaitsForItsKeyAndNetworksGoOn) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& worker = lab->host(2);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = containers_on_all(*lab, "net1");
    ASSERT_TRUE(eventually(seconds(20), [&] { return settled(manager) && settled(worker); }));
    auto floods = flood_all_pairs(*lab, containers);

    EXPECT_EQ(keys_in_clear(manager), "kek node.pem") << "the test would not see them";
    const auto key = key_in(manager.warren({"cluster", "lock"}));
    ASSERT_NE(key, "");
    EXPECT_EQ(keys_in_clear(manager), "");
    EXPECT_EQ(lock_state(manager), "unlocked");
    EXPECT_TRUE(manager.warren({"key", "rotate", "net1"}).ok()) << "it goes on working";

    manager.stop_daemon();
    EXPECT_EQ(keys_in_clear(manager), "");
    manager.start_daemon();
    const auto status = manager.warren({"status"});
    EXPECT_EQ(status.code, 4);
    EXPECT_THAT(status.out, HasSubstr("warren cluster unlock"));
    EXPECT_EQ(lock_state(manager), "locked");
    for (const Argv& args : {Argv{"network", "ls"}, Argv{"key", "rotate", "net1"}, Argv{"token", "show", "worker"},
                             Argv{"cluster", "lock"}, Argv{"cluster", "kek", "rotate"},
                             Argv{"network", "disconnect", "net1", "c1"}, Argv{"cluster", "leave"}}) {
        const auto refused = manager.warren(args);
        EXPECT_EQ(refused.code, 1) << args[0] << " " << args[1];
        EXPECT_THAT(refused.err, HasSubstr("warren cluster unlock")) << args[0] << " " << args[1];
    }
    for (auto& flood : floods) {
        EXPECT_TRUE(flood.flowing()) << flood.name() << " while the manager is locked";
    }

    const auto mistyped = unlock(*lab, manager, key.substr(0, key.size() - 1) + (key.back() == 'a' ? "b" : "a"));
    EXPECT_THAT(mistyped.err, HasSubstr("mistyped"));
    // Another lock's key; a test vector, bytes 0 to 31.
    const auto wrong = unlock(*lab, manager, "WRNKEY-1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwgdonfe");
    EXPECT_EQ(wrong.code, 1);
    EXPECT_THAT(wrong.err, HasSubstr("not the unlock key"));
    EXPECT_EQ(lock_state(manager), "locked");

    const auto opened = unlock(*lab, manager, key);
    EXPECT_TRUE(opened.ok()) << opened.err;
    EXPECT_TRUE(eventually(seconds(30), [&] { return settled(manager) && settled(worker); }));
    EXPECT_EQ(manager.warren({"status"}).code, 0);
    manager.warren_ok({"key", "rotate", "net1"});
    manager.warren_ok({"cert", "renew"});
    EXPECT_EQ(losses(floods), "");
    EXPECT_EQ(keys_in_clear(manager), "");
    EXPECT_EQ(manager.log_text().find(key.substr(9)), std::string::npos) << "the log has the unlock key";
}

TEST(Lock, AWorkerHasNoneAndSaysWhereTheManagerIs) {
    const auto lab = cluster_of(2);
    for (const Argv& args : {Argv{"cluster", "lock"}, Argv{"cluster", "kek", "rotate"}}) {
        const auto refused = lab->host(2).warren(args);
        EXPECT_EQ(refused.code, 1);
        EXPECT_EQ(refused.out, "");
        EXPECT_THAT(refused.err, HasSubstr("this node is a worker"));
    }
    const auto elsewhere = lab->host(2).warren({"network", "ls"});
    EXPECT_EQ(elsewhere.code, 1);
    EXPECT_THAT(elsewhere.err, HasSubstr("this node is a worker: run the command on manager 192.0.2.1:7443"));
    EXPECT_THAT(unlock(*lab, lab->host(1), "WRNKEY-1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwgdonfe").err,
                HasSubstr("has no lock"));
}

TEST(Lock, TheKeyCanBeGivenAtTheStart) {
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    const auto key = key_in(manager.warren({"cluster", "lock", "-q"}));
    const auto file = key_file(*lab, key + "\n");
    manager.kill_daemon(SIGKILL);
    manager.start_daemon({"--unlock-key-file", file.string()});
    EXPECT_EQ(lock_state(manager), "unlocked");
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(manager); }));
    manager.stop_daemon();

    auto command = Host::daemon_program();
    command.insert(command.end(), {"--state-dir", manager.state_dir().string(), "--run-dir", manager.run_dir().string(),
                                   "--unlock-key-file", file.string()});
    const auto expect_refused = [&](const std::string& why) {
        const auto refused = run(command, manager.where());
        EXPECT_EQ(refused.code, 1);
        EXPECT_THAT(refused.err, HasSubstr(why));
        EXPECT_THAT(refused.err, testing::Not(HasSubstr(key.substr(9))));
    };
    must({"chown", "1000", file.string()});
    expect_refused("must be root's");
    fs::permissions(file, fs::perms::owner_read | fs::perms::others_read);
    expect_refused("only its owner may read");

    // Another manager's key: this one stays locked and says why.
    const auto other = key_file(*lab, "WRNKEY-1-aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypwgdonfe");
    manager.start_daemon({"--unlock-key-file", other.string()});
    EXPECT_EQ(lock_state(manager), "locked");
    EXPECT_THAT(manager.warren({"status"}).out, HasSubstr("not the unlock key"));
    EXPECT_TRUE(unlock(*lab, manager, key, {"--permanently"}).ok());
    EXPECT_EQ(lock_state(manager), "off");
    manager.stop_daemon();
    manager.start_daemon();
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(manager); }));
}

// The keys are where the file says, whatever the answer was: nothing that is written later is in clear.
TEST(Lock, ThatFailsAfterItSealedTheKeysIsOne) {
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    const auto in_the_way = manager.run_dir() / "identity.new";
    fs::create_directories(in_the_way / "something");
    const auto key = key_in(manager.warren({"cluster", "lock", "-q"}));
    ASSERT_NE(key, "") << "nobody has the key";
    EXPECT_EQ(lock_state(manager), "unlocked");
    fs::remove_all(in_the_way);

    const auto serial = [&] { return manager.ask<v1::CertShowReply>({"cert", "show"}).serial(); };
    const auto before = serial();
    const auto in_clear = file_content(manager.state_dir() / "cluster" / "certs" / "node.pem");
    manager.warren_ok({"cert", "renew"});
    const auto renewed = serial();
    EXPECT_NE(renewed, before);
    EXPECT_EQ(file_content(manager.state_dir() / "cluster" / "certs" / "node.pem"), in_clear) << "written in clear";
    manager.stop_daemon();
    manager.start_daemon();
    ASSERT_EQ(lock_state(manager), "locked");
    EXPECT_EQ(keys_in_clear(manager), "");
    ASSERT_TRUE(unlock(*lab, manager, key).ok());
    EXPECT_EQ(serial(), renewed) << "the renewed certificate was lost";
}

// Every step of making a lock, opening it, removing it, and of changing the key-encryption key with and without one.
struct Step {
    std::string operation;
    bool locked = false;  // before it
    Argv more{};          // of unlock
};

class LockCrash : public testing::Test {
  protected:
    // Kills the manager at the point while it does what the step says; afterwards it is what it was, or what it was to
    // be, and at work.
    void die_at(const std::string& point, const Step& step) {
        SCOPED_TRACE(point + (step.locked ? " locked" : ""));
        if (step.locked) {
            key_ = key_in(manager_.warren({"cluster", "lock", "-q"}));
        }
        manager_.stop_daemon();
        manager_.start_daemon_to_die_at(point);
        const bool unlocks = step.operation == "unlock";
        if (step.locked && !(unlocks && step.more.empty())) {
            // unlock.opened is on the way of the others.
            ASSERT_TRUE(unlock(*lab_, manager_, key_).ok());
        }
        if (step.operation == "lock") {
            const auto offered = key_in(manager_.warren({"cluster", "lock", "-q"}));
            ASSERT_NE(offered, "") << "nobody has the key";
            key_ = offered;
        } else if (unlocks) {
            (void)unlock(*lab_, manager_, key_, step.more);
        } else {
            (void)manager_.warren({"cluster", "kek", "rotate"});
        }
        ASSERT_TRUE(eventually(seconds(15), [&] { return !manager_.daemon_running(); })) << "not passed";
        manager_.start_daemon();
        if (lock_state(manager_) == "locked") {
            EXPECT_EQ(keys_in_clear(manager_), "");
            const auto opened = unlock(*lab_, manager_, key_);
            ASSERT_TRUE(opened.ok()) << opened.err;
        }
        ASSERT_TRUE(eventually(seconds(20), [&] { return settled(manager_); })) << manager_.warren({"status"}).out;
        EXPECT_EQ(manager_.warren({"token", "show", "-q", "worker"}).out, token_);
        EXPECT_TRUE(manager_.warren({"cert", "renew"}).ok()) << "the CA's key is lost";
        EXPECT_FALSE(fs::exists(manager_.state_dir() / "cluster" / "manager" / "kek.next"));
        if (lock_state(manager_) == "unlocked") {
            EXPECT_TRUE(unlock(*lab_, manager_, key_, {"--permanently"}).ok());
        }
        EXPECT_EQ(keys_in_clear(manager_), "kek node.pem");
    }
    void die_at_all(const std::string& prefix, const Step& step) {
        int points = 0;
        for (const auto& known : base::kFaultPoints) {
            if (known.name.starts_with(prefix)) {
                ++points;
                die_at(std::string(known.name), step);
            }
        }
        EXPECT_GT(points, 0) << prefix;
    }

    std::unique_ptr<Lab> lab_ = cluster_of(1);
    Host& manager_ = lab_->host(1);
    std::string token_ = manager_.warren_ok({"token", "show", "-q", "worker"});
    std::string key_;
};

TEST_F(LockCrash, OfMakingALock) {
    die_at_all("lock.", {.operation = "lock"});
}
TEST_F(LockCrash, OfOpeningOrRemovingALock) {
    die_at_all("unlock.opened", {.operation = "unlock", .locked = true});
    die_at_all("unlock.written", {.operation = "unlock", .locked = true, .more = {"--permanently"}});
    die_at_all("unlock.dropped", {.operation = "unlock", .locked = true, .more = {"--permanently"}});
}
TEST_F(LockCrash, OfChangingTheKekWithoutALock) {
    die_at_all("kek.", {.operation = "kek"});
}
TEST_F(LockCrash, OfChangingTheKekUnderALock) {
    die_at_all("kek.", {.operation = "kek", .locked = true});
}

}  // namespace
}  // namespace warren::lab
