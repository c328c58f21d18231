#include "cli/lock.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <string>

#include "base/unique_fd.h"
#include "fake_daemon.h"

namespace warren::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kKey = "WRNKEY-1-test";  // a test vector

class Lock : public DaemonTest {
  protected:
    Lock() {
        local.lock = [this](const v1::ClusterLockRequest& request, v1::ClusterLockReply& reply) {
            if (request.unlock_key().empty()) {
                reply.set_unlock_key(kKey);
                return grpc::Status::OK;
            }
            reply.set_locked(confirmed.ok());
            return confirmed;
        };
    }
    grpc::Status confirmed;
};

TEST_F(Lock, ShowsTheKeyAndThenLocksWithIt) {
    const auto outcome = warren({"cluster", "lock"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_THAT(outcome.out, HasSubstr("\n    " + kKey + "\n"));
    EXPECT_THAT(outcome.out, HasSubstr("\nLocked"));
    ASSERT_EQ(local.lock_asked.size(), 2U);
    EXPECT_EQ(local.lock_asked[0].unlock_key(), "");
    EXPECT_EQ(local.lock_asked[1].unlock_key(), kKey);
    EXPECT_EQ(warren({"cluster", "lock", "-q"}).out, kKey + "\n");
}

// Whether it is locked nobody knows then: whoever asked must have the key.
TEST_F(Lock, ThatFailsOnTheWayHasShownTheKey) {
    confirmed = {grpc::StatusCode::UNAVAILABLE, "gone"};
    const auto outcome = warren({"cluster", "lock"});
    EXPECT_NE(outcome.exit, Exit::kDone);
    EXPECT_THAT(outcome.out, HasSubstr(kKey));
    EXPECT_THAT(outcome.out, Not(HasSubstr("Locked")));
    EXPECT_THAT(outcome.err, HasSubstr("keep this key and any former one"));
    EXPECT_THAT(outcome.err, Not(HasSubstr(kKey)));
}

TEST_F(Lock, ThatIsRefusedShowsNoKey) {
    local.lock = [](const auto& /*request*/, auto& /*reply*/) {
        return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "this node is a worker");
    };
    const auto outcome = warren({"cluster", "lock"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, HasSubstr("this node is a worker"));
    EXPECT_EQ(local.lock_asked.size(), 1U);
}

TEST_F(Lock, OpensWithTheKeyInAFileWhateverIsAroundIt) {
    const auto file = (directory() / "key").string();
    std::ofstream(file) << " " << kKey << " \r\n";
    local.unlock.reply.set_was_locked(true);
    const auto outcome = warren({"cluster", "unlock", "--unlock-key-file", file});
    EXPECT_EQ(outcome.exit, Exit::kDone) << outcome.err;
    EXPECT_EQ(outcome.out, "Unlocked: this manager is at work.\n");
    ASSERT_EQ(local.unlock.asked.size(), 1U);
    EXPECT_EQ(local.unlock.asked[0].unlock_key(), kKey);
    EXPECT_FALSE(local.unlock.asked[0].permanently());
    EXPECT_EQ(warren({"cluster", "unlock", "--unlock-key-file", file, "--permanently"}).exit, Exit::kDone);
    EXPECT_TRUE(local.unlock.asked[1].permanently());
}

TEST_F(Lock, OpensWithTheKeyOnStandardInput) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    const base::UniqueFd reading(ends[0]);
    base::UniqueFd writing(ends[1]);
    const std::string line = kKey + "\n";
    ASSERT_EQ(::write(writing.get(), line.data(), line.size()), static_cast<ssize_t>(line.size()));
    const base::UniqueFd before(::dup(STDIN_FILENO));
    ::dup2(reading.get(), STDIN_FILENO);
    const auto outcome = warren({"cluster", "unlock"});
    ::dup2(before.get(), STDIN_FILENO);
    EXPECT_EQ(outcome.exit, Exit::kDone) << outcome.err;
    EXPECT_EQ(outcome.out, "This is the key; the manager was unlocked already.\n");
    ASSERT_EQ(local.unlock.asked.size(), 1U);
    EXPECT_EQ(local.unlock.asked[0].unlock_key(), kKey);
}

TEST_F(Lock, AKeyFileThatIsNotThereAsksNobody) {
    const auto outcome = warren({"cluster", "unlock", "--unlock-key-file", "/nowhere"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_THAT(outcome.err, HasSubstr("--unlock-key-file: open /nowhere"));
    EXPECT_TRUE(local.unlock.asked.empty());
}

TEST_F(Lock, StatusShowsItWhereThereIsOne) {
    const auto line = [&](const std::string& lock) {
        local.status.reply.set_state(lock == "locked" ? "degraded" : "ok");
        local.status.reply.set_lock(lock);
        const auto out = warren({"status"}).out;
        const auto at = out.find("\nLock");
        return at == std::string::npos ? "" : out.substr(at + 1, out.find('\n', at + 1) - at - 1);
    };
    EXPECT_EQ(line(""), "");
    EXPECT_EQ(line("off"), "");
    EXPECT_THAT(line("unlocked"), HasSubstr("only sealed"));
    EXPECT_THAT(line("locked"), HasSubstr("locked"));
    EXPECT_EQ(warren({"status"}).exit, Exit::kDegraded);
}

TEST_F(Lock, AChangeOfTheKekSaysHowMuchItSealed) {
    local.rotate_kek.reply.set_records(7);
    EXPECT_EQ(warren({"cluster", "kek", "rotate"}).out,
              "A new key-encryption key is in use: 7 secrets are sealed anew, the old key is deleted.\n");
    EXPECT_EQ(local.rotate_kek.asked.size(), 1U);
}

}  // namespace
}  // namespace warren::cli
