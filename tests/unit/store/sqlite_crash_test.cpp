#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <random>

#include "base/unique_fd.h"
#include "tests/unit/store/faulty_disk.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace warren::store {
namespace {

// A child process commits transaction after transaction and says so in a pipe; it is killed with SIGKILL in the middle
// of its work. Whatever the moment: what it had been told is there, of the next one all or nothing, and nothing else.
class SqliteCrash : public testing::Test {
  protected:
    [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "store.db"; }
    [[nodiscard]] SqliteOptions options(OpenMode mode = OpenMode::kExisting) const {
        return {.mode = mode, .history_revisions = 5};
    }

    // The n-th transaction: puts, a delete, a prefix, and the trimming of the history.
    static Transaction transaction(std::uint64_t n) {
        const std::string number = std::to_string(n);
        return {.compares = {n == 1 ? Compare(Absent{"last"}) : Compare(ValueIs{"last", std::to_string(n - 1)})},
                .puts = {{"last", number},
                         {"twin", number},
                         {"log/" + number + "/a", number},
                         {"log/" + number + "/b", std::string(6000, 'x')}},
                .deletes = {"nothing"},
                .delete_prefixes = {"log/" + std::to_string(n - 1) + "/"}};
    }

    [[noreturn]] void write_until_killed(int acknowledge) const {
        const auto store = SqliteStore::open(file(), options());
        if (!store) {
            ::_exit(2);
        }
        const auto last = (*store)->get("last");
        for (std::uint64_t n = *last ? std::stoull((*last)->value) + 1 : 1;; ++n) {
            const auto result = (*store)->commit(transaction(n));
            if (!result || !result->succeeded() || ::write(acknowledge, &n, sizeof n) != sizeof n) {
                ::_exit(3);
            }
        }
    }

    // Checks the store after a crash; `acknowledged` is the last transaction the child heard of.
    void expect_whole(std::uint64_t acknowledged) const {
        const auto store = must(SqliteStore::open(file(), options()));
        const auto item = must(store->get("last"));
        const std::uint64_t last = item ? std::stoull(item->value) : 0;
        EXPECT_GE(last, acknowledged);
        EXPECT_LE(last, acknowledged + 1);
        EXPECT_EQ(must(store->revision()).value, last + 1) << "each transaction has one revision";
        const RangeResult all = must(store->range(""));
        if (last == 0) {
            EXPECT_TRUE(all.items.empty());
            return;
        }
        const std::string number = std::to_string(last);
        EXPECT_THAT(listed(*store),
                    testing::ElementsAre("last=" + number, "log/" + number + "/a=" + number,
                                         "log/" + number + "/b=" + std::string(6000, 'x'), "twin=" + number));
        const auto newest = must(must(store->watch("", all.revision))->drain());
        EXPECT_EQ(newest.size(), last == 1 ? 4U : 6U) << "the history has the whole last transaction";
    }

    TestDirectory directory_;
};

struct Child {
    pid_t pid = -1;
    base::UniqueFd acknowledged;
};

template <typename Function>
Child run_child(Function function) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(::pipe(pipe.data()), 0);
    Child child{.pid = ::fork(), .acknowledged = base::UniqueFd(pipe[0])};
    if (child.pid == 0) {
        function(pipe[1]);
    }
    ::close(pipe[1]);
    return child;
}

// Reads at most `limit` acknowledgements; the number of the last one.
std::uint64_t read_acknowledged(const Child& child, std::uint64_t last, int limit) {
    std::uint64_t number = 0;
    while (limit-- > 0 && ::read(child.acknowledged.get(), &number, sizeof number) == sizeof number) {
        last = number;
    }
    return last;
}

void expect_killed(const Child& child) {
    int status = 0;
    ASSERT_EQ(::waitpid(child.pid, &status, 0), child.pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

TEST_F(SqliteCrash, KilledAtAnyMoment) {
    constexpr int kRounds = 30;
    must(SqliteStore::open(file(), options(OpenMode::kCreate)));
    std::mt19937 random(20240601);
    std::uint64_t acknowledged = 0;
    for (int round = 0; round < kRounds && !HasFailure(); ++round) {
        SCOPED_TRACE(round);
        const Child child = run_child([&](int pipe) { write_until_killed(pipe); });
        acknowledged = read_acknowledged(child, acknowledged, std::uniform_int_distribution(0, 12)(random));
        // A moment within the next transactions, not the one right after an acknowledgement.
        for (volatile int spin = std::uniform_int_distribution(0, 2'000'000)(random); spin > 0;) {
            spin = spin - 1;
        }
        ::kill(child.pid, SIGKILL);
        acknowledged = read_acknowledged(child, acknowledged, std::numeric_limits<int>::max());
        expect_killed(child);
        expect_whole(acknowledged);
    }
    EXPECT_GT(acknowledged, 10U);
}

TEST_F(SqliteCrash, KilledAtEachWriteOfATransaction) {
    must(SqliteStore::open(file(), options(OpenMode::kCreate)));
    std::uint64_t acknowledged = 0;
    for (int write = 1; write <= 60 && !HasFailure(); ++write) {
        SCOPED_TRACE(write);
        const Child child = run_child([&](int pipe) {
            FaultyDisk disk;
            disk.fail_at(write, FaultyDisk::Fault::kKill);
            write_until_killed(pipe);
        });
        acknowledged = read_acknowledged(child, acknowledged, std::numeric_limits<int>::max());
        expect_killed(child);
        expect_whole(acknowledged);
    }
    EXPECT_GT(acknowledged, 10U);
}

TEST_F(SqliteCrash, KilledAtEachWriteOfACreation) {
    bool finished = false;
    for (int write = 1; !finished; ++write) {
        SCOPED_TRACE(write);
        ASSERT_LT(write, 200);
        const Child child = run_child([&](int) {
            FaultyDisk disk;
            disk.fail_at(write, FaultyDisk::Fault::kKill);
            ::_exit(SqliteStore::open(file(), options(OpenMode::kCreate)) ? 0 : 1);
        });
        int status = 0;
        ASSERT_EQ(::waitpid(child.pid, &status, 0), child.pid);
        finished = WIFEXITED(status);
        const auto opened = SqliteStore::open(file(), options());
        EXPECT_EQ(opened.has_value(), std::filesystem::exists(file())) << "no half-made store under its own name";
        EXPECT_TRUE(opened || opened.error().code() == base::Code::kNotFound);
    }
    EXPECT_TRUE(SqliteStore::open(file(), options(OpenMode::kCreate)));
}

}  // namespace
}  // namespace warren::store
