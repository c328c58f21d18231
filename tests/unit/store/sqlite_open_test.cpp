#include <gmock/gmock.h>
#include <sched.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/files.h"
#include "tests/unit/store/sqlite_fixture.h"

namespace warren::store {
namespace {

using base::Code;
using testing::HasSubstr;

class SqliteOpen : public testing::Test {
  protected:
    [[nodiscard]] base::Result<std::unique_ptr<SqliteStore>> open(OpenMode mode = OpenMode::kExisting) const {
        return SqliteStore::open(file(), {.mode = mode});
    }
    [[nodiscard]] std::filesystem::path file() const { return directory_.path() / "state" / "store.db"; }
    [[nodiscard]] std::filesystem::path beside(const char* suffix) const { return file().native() + suffix; }

    // A closed store with something in it.
    void make_store() const {
        const auto store = must(open(OpenMode::kCreate));
        for (int i = 0; i < 50; ++i) {
            put(*store, "key/" + std::to_string(i), std::string(1000, 'v'));
        }
    }
    // What another SQLite program may do to the file.
    int sql(const char* statements) const {
        sqlite3* database = nullptr;
        int code = sqlite3_open(file().c_str(), &database);
        if (code == SQLITE_OK) {
            code = sqlite3_exec(database, statements, nullptr, nullptr, nullptr);
        }
        sqlite3_close(database);
        return code;
    }
    [[nodiscard]] std::string content() const { return must(base::read_file(file())); }
    void write(const std::string& content) const { must(base::write_file_atomic(file(), content, 0600)); }

    // Opening must fail this way, name the file, and leave it as it is.
    void expect_refused(Code code, const std::string& says, OpenMode mode = OpenMode::kExisting) const {
        const std::string before = content();
        const auto opened = open(mode);
        ASSERT_FALSE(opened);
        EXPECT_EQ(opened.error().code(), code) << opened.error().message();
        EXPECT_THAT(opened.error().message(), HasSubstr(file().native()));
        EXPECT_THAT(opened.error().message(), HasSubstr(says));
        EXPECT_EQ(content(), before);
    }

    TestDirectory directory_;
};

mode_t mode_of(const std::filesystem::path& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777U;
}

TEST_F(SqliteOpen, OnlyTheOwnerCanReadIt) {
    const auto store = must(open(OpenMode::kCreate));
    put(*store, "k", "v");
    EXPECT_EQ(mode_of(file().parent_path()), 0700U);
    EXPECT_EQ(mode_of(file()), 0600U);
    EXPECT_EQ(mode_of(beside("-wal")), 0600U);
}

TEST_F(SqliteOpen, FileThatOthersCouldReadIsClosedToThem) {
    make_store();
    ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
    must(open());
    EXPECT_EQ(mode_of(file()), 0600U);
}

TEST_F(SqliteOpen, DirectoryOpenToOthersIsRefused) {
    make_store();
    ASSERT_EQ(::chmod(file().parent_path().c_str(), 0755), 0);
    expect_refused(Code::kDenied, "mode 0755, must be owned by");
    EXPECT_EQ(mode_of(file().parent_path()), 0755U);
}

TEST_F(SqliteOpen, MissingFileIsNotReplacedByAnEmptyStore) {
    const auto opened = open();
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::kNotFound);
    EXPECT_THAT(opened.error().message(), HasSubstr(file().native()));
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(SqliteOpen, CreateTakesOnlyAStoreThatWasNeverUsed) {
    must(open(OpenMode::kCreate));
    put(*must(open(OpenMode::kCreate)), "k", "v");
    expect_refused(Code::kConflict, "exists and is in use", OpenMode::kCreate);
    EXPECT_EQ(must(must(open())->get("k"))->value, "v");
}

TEST_F(SqliteOpen, SecondOneIsToldSo) {
    auto first = must(open(OpenMode::kCreate));
    const auto second = open();
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Code::kConflict);
    EXPECT_THAT(second.error().message(), HasSubstr(file().native() + ": another process has it open"));
    put(*first, "k", "v");
    first.reset();
    EXPECT_TRUE(open());
}

TEST_F(SqliteOpen, OtherProgramsAreKeptOut) {
    const auto store = must(open(OpenMode::kCreate));
    put(*store, "k", "v");
    EXPECT_EQ(sql("DELETE FROM kv"), SQLITE_BUSY);
    EXPECT_TRUE(must(store->get("k")));
}

TEST_F(SqliteOpen, StoreThatAnotherProgramReadsIsAConflict) {
    make_store();
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, "BEGIN; SELECT * FROM kv", nullptr, nullptr, nullptr), SQLITE_OK);
    const auto opened = open();
    sqlite3_close(other);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::kConflict) << opened.error().message();
}

TEST_F(SqliteOpen, ForeignFilesAreRefused) {
    make_store();
    write("");
    expect_refused(Code::kPrecondition, "not a store");
    expect_refused(Code::kPrecondition, "not a store", OpenMode::kCreate);
    write("#!/bin/sh\n" + std::string(5000, 'x'));
    expect_refused(Code::kPrecondition, "not a store");
    std::filesystem::remove(file());
    ASSERT_EQ(sql("CREATE TABLE t (x); PRAGMA user_version = 1"), SQLITE_OK);
    expect_refused(Code::kPrecondition, "another program's file");
}

TEST_F(SqliteOpen, NewerSchemaIsRefused) {
    make_store();
    ASSERT_EQ(sql("PRAGMA user_version = 2"), SQLITE_OK);
    expect_refused(Code::kPrecondition, "has schema version 2, this program knows 1");
}

TEST_F(SqliteOpen, DamageIsNoticed) {
    make_store();
    const std::string whole = content();
    ASSERT_GT(whole.size(), 40000U);
    std::string damaged = whole;
    damaged.replace(std::size_t{12} * 4096, 4096, std::string(4096, '\xa5'));
    write(damaged);
    expect_refused(Code::kInternal, "damaged");
    write(whole.substr(0, whole.size() / 2));
    expect_refused(Code::kInternal, "damaged");
    write(whole);
    ASSERT_EQ(sql("DELETE FROM state"), SQLITE_OK);
    expect_refused(Code::kInternal, "damaged");
    write(whole);
    ASSERT_EQ(sql("UPDATE state SET revision = 7"), SQLITE_OK);
    expect_refused(Code::kInternal, "damaged");
    write(whole);
    EXPECT_TRUE(open());
}

TEST_F(SqliteOpen, WhatIsNotAFileIsRefused) {
    std::filesystem::create_directories(file());
    ASSERT_EQ(::chmod(file().parent_path().c_str(), 0700), 0);
    EXPECT_FALSE(open());
    std::filesystem::remove(file());
    std::filesystem::create_symlink("/etc/passwd", file());
    EXPECT_FALSE(open());
    EXPECT_FALSE(open(OpenMode::kCreate));
    EXPECT_EQ(SqliteStore::open("store.db", {}).error().code(), Code::kInvalid);
    EXPECT_EQ(SqliteStore::open("/tmp/", {}).error().code(), Code::kInvalid);
    EXPECT_EQ(SqliteStore::open(file(), {.history_revisions = 0}).error().code(), Code::kInvalid);
}

TEST_F(SqliteOpen, LogWithoutItsStoreIsNotPlayedIntoANewOne) {
    make_store();
    std::filesystem::rename(file(), beside("-wal"));
    const auto opened = open(OpenMode::kCreate);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::kConflict);
    EXPECT_THAT(opened.error().message(), HasSubstr("store.db-wal is there without it"));
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(SqliteOpen, WhatACrashLeftOfACreationIsNoHindrance) {
    make_store();
    std::filesystem::rename(file(), beside(".new"));
    std::ofstream(beside(".new-journal")) << "torn";
    const auto store = must(open(OpenMode::kCreate));
    EXPECT_TRUE(listed(*store).empty());
    EXPECT_FALSE(std::filesystem::exists(beside(".new")));
    EXPECT_FALSE(std::filesystem::exists(beside(".new-journal")));
}

// As root only a disk is read-only; as anybody else a mode is enough.
void make_read_only(const std::filesystem::path& directory) {
    if (::geteuid() != 0) {
        ASSERT_EQ(::chmod(directory.c_str(), 0500), 0);
        return;
    }
    const char* const path = directory.c_str();
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount(path, path, nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(::mount("none", path, nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
}

TEST_F(SqliteOpen, ReadOnlyDiskIsRefused) {
    make_store();
    const pid_t child = ::fork();
    if (child == 0) {
        make_read_only(file().parent_path());
        const auto opened = open();
        const bool good =
            !testing::Test::HasFailure() && !opened &&
            opened.error().message().find(file().native()) != std::string::npos &&
            opened.error().message().find(::geteuid() == 0 ? "Read-only" : "Permission denied") != std::string::npos;
        ::_exit(good ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace warren::store
