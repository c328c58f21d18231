#include <gmock/gmock.h>

#include <fstream>
#include <iterator>

#include "tests/unit/store/faulty_disk.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace warren::store {
namespace {

using base::Code;
using std::chrono::hours;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

class Sqlite : public testing::Test {
  protected:
    [[nodiscard]] std::unique_ptr<SqliteStore> open(SqliteOptions options = {}) const {
        options.mode = std::filesystem::exists(file()) ? OpenMode::kExisting : OpenMode::kCreate;
        options.clock = clock_.clock();
        return must(SqliteStore::open(file(), options));
    }
    [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "store.db"; }

    TestDirectory directory_;
    TestClock clock_;
};

TEST_F(Sqlite, HistoryIsBoundedByCount) {
    const auto store = open({.history_revisions = 3});
    const StoreRevision first = put(*store, "a", "1");
    put(*store, "b", "2");
    put(*store, "c", "3");
    EXPECT_TRUE(store->watch("", first));
    const StoreRevision fourth = put(*store, "d", "4");
    EXPECT_EQ(store->watch("", first).error().code(), kCompacted);
    const auto watch = must(store->watch("", StoreRevision(fourth.value - 2)));
    EXPECT_EQ(shown(must(watch->drain())), "+b=2 | +c=3 | +d=4");
    EXPECT_THAT(listed(*store), ElementsAre("a=1", "b=2", "c=3", "d=4"));
}

TEST_F(Sqlite, HistoryIsBoundedByAgeThatARestartDoesNotReset) {
    auto store = open({.history_age = hours(2)});
    const StoreRevision first = put(*store, "a", "1");
    clock_.advance(hours(1));
    const StoreRevision second = put(*store, "b", "2");
    store.reset();
    clock_.advance(hours(100));  // while it is closed nothing ages
    store = open({.history_age = hours(2)});
    must(store->tick());
    EXPECT_TRUE(store->watch("", first));
    clock_.advance(hours(1));
    must(store->tick());
    EXPECT_EQ(store->watch("", first).error().code(), kCompacted);
    EXPECT_TRUE(store->watch("", second));
    clock_.advance(hours(1));
    must(store->tick());
    EXPECT_EQ(store->watch("", second).error().code(), kCompacted);
    EXPECT_EQ(shown(must(must(store->watch("", {}))->drain())), "");
    EXPECT_THAT(listed(*store), ElementsAre("a=1", "b=2"));
}

TEST_F(Sqlite, CommitSeesNoKeyOfALeaseThatIsDue) {
    const auto store = open();
    put(*store, "leader", "one", must(store->grant(seconds(10))));
    clock_.advance(seconds(10));
    EXPECT_TRUE(must(store->commit({.compares = {Absent{"leader"}}, .puts = {{"leader", "two"}}})).succeeded());
}

TEST_F(Sqlite, LateKeepAliveDoesNotRaiseTheDead) {
    const auto store = open();
    const LeaseId lease = must(store->grant(seconds(10)));
    put(*store, "k", "v", lease);
    clock_.advance(seconds(10));
    EXPECT_EQ(store->keep_alive(lease).error().code(), Code::kNotFound);
    must(store->tick());
    EXPECT_TRUE(listed(*store).empty());
}

TEST_F(Sqlite, ClockThatJumpsBackNeitherEndsNorStretchesALease) {
    const auto store = open();
    const LeaseId lease = must(store->grant(seconds(10)));
    put(*store, "k", "v", lease);
    clock_.advance(seconds(6));
    must(store->tick());
    clock_.advance(-hours(1));
    must(store->tick());
    EXPECT_THAT(listed(*store), ElementsAre("k=v"));
    clock_.advance(seconds(4));
    must(store->tick());
    EXPECT_TRUE(listed(*store).empty());
}

TEST_F(Sqlite, LeasesEndInTheOrderOfTheirDeadlines) {
    const auto store = open();
    put(*store, "late", "v", must(store->grant(seconds(20))));
    put(*store, "early", "v", must(store->grant(seconds(10))));
    const auto watch = must(store->watch("", {}));
    clock_.advance(seconds(60));
    must(store->tick());
    EXPECT_EQ(shown(must(watch->drain())), "-early | -late");
}

TEST_F(Sqlite, FullStoreRefusesAndGoesOn) {
    auto store = open({.max_bytes = std::uint64_t{256} * 1024});
    const std::string large(8000, 'x');
    base::Result<CommitResult> result;
    int stored = 0;
    do {
        result = store->commit({.puts = {{"k" + std::to_string(stored), large}, {"last", std::to_string(stored)}}});
        stored += result ? 1 : 0;
    } while (result);
    EXPECT_EQ(result.error().code(), Code::kExhausted);
    EXPECT_THAT(result.error().message(), HasSubstr(file().native() + ": no space left"));
    EXPECT_GT(stored, 3);

    const RangeResult kept = must(store->range(""));
    EXPECT_EQ(kept.items.size(), static_cast<std::size_t>(stored) + 1);
    EXPECT_EQ(must(store->get("last"))->value, std::to_string(stored - 1));
    EXPECT_LE(std::filesystem::file_size(file()), 256U * 1024U);
    must(store->compact(kept.revision));
    must(store->commit({.delete_prefixes = {"k"}}));
    EXPECT_EQ(put(*store, "k", large).value, kept.revision.value + 2);
    store.reset();
    EXPECT_THAT(listed(*open(), "last"), ElementsAre("last=" + std::to_string(stored - 1)));
}

TEST_F(Sqlite, WhatWasReplacedIsInNoFileAfterCompaction) {
    const std::string old(10'000, 'Q');  // several pages
    const auto files_with_old = [&] {
        std::string names;
        for (const auto& entry : std::filesystem::directory_iterator(file().parent_path())) {
            std::ifstream in(entry.path(), std::ios::binary);
            const std::string content((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
            names +=
                content.find("QQQQQQQQQQQQQQQQ") == std::string::npos ? "" : entry.path().filename().string() + " ";
        }
        return names;
    };
    const auto store = open();
    put(*store, "small", "Q-QQQQQQQQQQQQQQQQ");
    put(*store, "large", old);
    put(*store, "gone", old);
    put(*store, "small", "new");
    put(*store, "large", "new");
    const auto last = must(store->commit({.deletes = {"gone"}})).revision;
    EXPECT_NE(files_with_old(), "");
    must(store->compact(last));
    EXPECT_EQ(files_with_old(), "");
    EXPECT_THAT(listed(*store), ElementsAre("large=new", "small=new"));
}

TEST_F(Sqlite, EveryChangeIsOnTheDiskBeforeItsCallReturns) {
    const FaultyDisk disk;
    const auto store = open();
    put(*store, "k", "v");
    EXPECT_FALSE(disk.has_unsynced());
    const LeaseId lease = must(store->grant(seconds(10)));
    EXPECT_FALSE(disk.has_unsynced());
    put(*store, "leased", "v", lease);
    EXPECT_FALSE(disk.has_unsynced());
    must(store->revoke(lease));
    EXPECT_FALSE(disk.has_unsynced());
    const int before = disk.changes();
    must(store->keep_alive(must(store->grant(seconds(10)))));
    must(store->range(""));
    const int after_grant = disk.changes();
    must(store->tick());
    EXPECT_GT(after_grant, before);
    EXPECT_EQ(disk.changes(), after_grant) << "a tick with nothing to do must not wear the disk";
}

// Each write and sync of a transaction in turn fails, once or from then on: it is refused as a whole, and when the disk
// is well again the store goes on, in this process and in the next.
class SqliteFault : public Sqlite, public testing::WithParamInterface<FaultyDisk::Fault> {};

TEST_P(SqliteFault, FailedChangeLeavesAllAsItWas) {
    FaultyDisk disk;
    auto store = open({.history_revisions = 4});
    int fault = 1;
    for (bool failed = true; failed; ++fault) {
        SCOPED_TRACE(fault);
        ASSERT_LT(fault, 100);
        put(*store, "a", "before");
        put(*store, "b", "before");
        const RangeResult before = must(store->range(""));
        auto watch = must(store->watch("", {}));
        disk.fail_at(fault, GetParam(), fault % 2 == 0);
        const auto result =
            store->commit({.puts = {{"a", "after"}, {"large", std::string(30000, 'x')}}, .deletes = {"b"}});
        disk.heal();
        failed = !result;
        if (failed) {
            EXPECT_THAT(result.error().message(), HasSubstr(file().native()));
            EXPECT_EQ(must(store->range("")), before);
            EXPECT_EQ(shown(must(watch->drain())), "");
        }
        put(*store, "b", "again");
        EXPECT_EQ(must(store->revision()).value, before.revision.value + (failed ? 1 : 2));
        watch.reset();
        const RangeResult all = must(store->range(""));
        store.reset();
        store = open({.history_revisions = 4});
        EXPECT_EQ(must(store->range("")), all);
        must(store->commit({.deletes = {"large"}}));
    }
    EXPECT_GT(fault, 5) << "the loop should have met several writes";
}

TEST_P(SqliteFault, FailedCreationLeavesNoStore) {
    FaultyDisk disk;
    int fault = 1;
    for (bool failed = true; failed; ++fault) {
        SCOPED_TRACE(fault);
        ASSERT_LT(fault, 200);
        disk.fail_at(fault, GetParam(), true);
        failed = !SqliteStore::open(file(), {.mode = OpenMode::kCreate});
        disk.heal();
        const auto again = SqliteStore::open(file(), {});
        EXPECT_EQ(again.has_value(), std::filesystem::exists(file())) << "whole or not at all";
        EXPECT_FALSE(std::filesystem::exists(file().native() + ".new"));
    }
    EXPECT_GT(fault, 5);
}

INSTANTIATE_TEST_SUITE_P(Faults, SqliteFault, testing::Values(FaultyDisk::Fault::kFull, FaultyDisk::Fault::kBroken),
                         [](const auto& kind) { return kind.param == FaultyDisk::Fault::kFull ? "Full" : "Broken"; });

}  // namespace
}  // namespace warren::store
