#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"

// People who work from a machine that is no node.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class Operators : public testing::Test {
  protected:
    Operators() : lab_(cluster_of(2)), manager_(&lab_->host(1)), elsewhere_(&lab_->add_host()) {}

    [[nodiscard]] std::string directory(const std::string& name) const { return elsewhere_->state_dir() / name; }
    void issue(const Host& at, const std::string& name) const {
        at.warren_ok({"cert", "issue", "--role", "operator", "--out", directory(name), name});
    }
    [[nodiscard]] Argv command(const std::string& certificate, const Argv& args) const {
        auto argv = Host::warren_program();
        argv.insert(argv.end(), {"--host", "tcp://" + manager_->address() + ":7443", "--cert", certificate});
        argv.insert(argv.end(), args.begin(), args.end());
        return argv;
    }
    [[nodiscard]] Output as(const std::string& name, const Argv& args) const {
        return elsewhere_->run(command(directory(name), args));
    }

    std::unique_ptr<Lab> lab_;
    Host* manager_;
    Host* elsewhere_;
};

TEST_F(Operators, WorkFromElsewhereAndNobodyElseDoes) {
    issue(*manager_, "alice");
    EXPECT_THAT(as("alice", {"node", "ls"}).out, HasSubstr("h2"));
    EXPECT_EQ(as("alice", {"network", "create", "--opt", "encrypted", "net1"}).code, 0);
    EXPECT_THAT(manager_->warren_ok({"events"}), HasSubstr("net1"));

    const auto refused = [this](const Output& output, const std::string& why) {
        EXPECT_NE(output.code, 0) << output.out;
        EXPECT_THAT(output.err, HasSubstr(why));
        EXPECT_EQ(output.out, "");
    };
    refused(as("alice", {"cert", "issue", "--role", "operator", "--out", directory("mallory"), "mallory"}),
            "not allowed");
    refused(as("alice", {"ca", "rotate"}), "not allowed");
    refused(as("alice", {"status"}), "about one host");
    // A worker's certificate, which is good for sessions.
    const auto workers = (lab_->host(2).state_dir() / "cluster" / "certs").string();
    refused(lab_->host(2).run(command(workers, {"node", "ls"})), "not allowed");
    // Another cluster's: each end refuses the other.
    elsewhere_->start_daemon();
    elsewhere_->warren_ok({"cluster", "init", "--data-addr", elsewhere_->address()});
    issue(*elsewhere_, "bob");
    refused(as("bob", {"node", "ls"}), "is " + directory("bob") + " of its cluster?");
    manager_->warren_ok({"cert", "revoke", "alice"});
    refused(as("alice", {"node", "ls"}), "the certificate of operator 'alice' was revoked");
    EXPECT_THAT(manager_->log_text(), HasSubstr("refused stranger"));
    EXPECT_THAT(manager_->log_text(), HasSubstr("refused role"));
}

// Nothing happens that there would be a report of.
TEST_F(Operators, WhatARevokedOneFollowsEndsAtOnce) {
    issue(*manager_, "alice");
    manager_->warren_ok({"network", "create", "--opt", "encrypted", "net1"});
    const auto containers = [this] {
        std::vector<Container> made;
        for (const unsigned number : {1U, 2U}) {
            lab_->host(number).connect("net1", made.emplace_back("c" + std::to_string(number)));
        }
        return made;
    }();
    ASSERT_TRUE(eventually(seconds(20), [&] { return settled(lab_->host(2)); }));
    lab_->host(2).freeze_daemon();
    Process rotation(command(directory("alice"), {"key", "rotate", "net1"}), elsewhere_->where());
    ASSERT_TRUE(eventually(seconds(10), [&] { return !rotation.output().out.empty(); })) << "it waits for h2";
    manager_->warren_ok({"network", "create", "other"});
    Process events(command(directory("alice"), {"events", "--follow", "--network", "other"}), elsewhere_->where());
    ASSERT_TRUE(rotation.running());
    manager_->warren_ok({"cert", "revoke", "alice"});
    for (auto* followed : {&rotation, &events}) {
        const auto ended = followed->wait(seconds(4));
        EXPECT_EQ(ended.code, 1);
        EXPECT_THAT(ended.err, HasSubstr("was revoked"));
    }
    lab_->host(2).thaw_daemon();
}

TEST_F(Operators, AreToldThatTheClusterHasAnotherCaAndWhatToDo) {
    issue(*manager_, "alice");
    const auto rotated = manager_->warren_ok({"ca", "rotate"});
    EXPECT_THAT(rotated, HasSubstr("alice; for each: warren cert issue --role operator NAME --out DIR"));
    EXPECT_THAT(manager_->warren_ok({"cert", "ls"}), HasSubstr("outdated"));
    EXPECT_THAT(manager_->warren_ok({"ca", "show"}), HasSubstr("operators who are refused"));
    const auto refused = [&] { return as("alice", {"node", "ls"}); };
    ASSERT_TRUE(eventually(seconds(10), [&] { return refused().code != 0; })) << "the port has the new roots";
    // At first by the manager, then by TLS.
    EXPECT_THAT(refused().err, HasSubstr("have a new one made on a manager"));
    must({"rm", "-r", directory("alice")});
    issue(*manager_, "alice");
    EXPECT_THAT(as("alice", {"node", "ls"}).out, HasSubstr("h2"));
    EXPECT_EQ(manager_->ask<v1::CaShowReply>({"ca", "show"}).operators_size(), 0);
}

}  // namespace
}  // namespace warren::lab
