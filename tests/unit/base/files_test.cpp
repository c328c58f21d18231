#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>

#include "tests/test_directory.h"

namespace warren::base {
namespace {

// What was told to be on the disk, in order. A file that was replaced meanwhile has " (deleted)" behind its name.
std::vector<std::string>& synced() {
    static std::vector<std::string> paths;
    return paths;
}

}  // namespace
}  // namespace warren::base

// In place of the C library's, for this program.
extern "C" int fsync(int fd) {
    const auto link = std::filesystem::path("/proc/self/fd") / std::to_string(fd);
    warren::base::synced().push_back(std::filesystem::read_symlink(link));
    return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace warren::base {
namespace {

using testing::ElementsAre;

class Files : public testing::Test {
  protected:
    static mode_t mode(const std::filesystem::path& path) {
        struct stat info {};
        EXPECT_EQ(::stat(path.c_str(), &info), 0);
        return info.st_mode & 07777U;
    }

    TestDirectory place_;
    std::filesystem::path directory_ = place_.path();
};

TEST_F(Files, AtomicWriteReplacesAndKeepsTheMode) {
    const auto path = directory_ / "key";
    ASSERT_TRUE(write_file_atomic(path, "one", 0600));
    ASSERT_TRUE(write_file_atomic(path, "two", 0600));
    EXPECT_EQ(read_file(path), "two");
    EXPECT_EQ(mode(path), 0600U);
    EXPECT_FALSE(std::filesystem::exists(directory_ / "key.tmp"));
}

// Before the name, what it names; and before anybody hears of it, the name.
TEST_F(Files, AtomicWriteIsOnTheDisk) {
    synced().clear();
    ASSERT_TRUE(write_file_atomic(directory_ / "key", "one", 0600));
    EXPECT_THAT(synced(), ElementsAre(directory_ / "key.tmp", directory_));
}

TEST_F(Files, ASecretThatIsReplacedOrWipedIsGoneFromTheDisk) {
    const auto path = directory_ / "key";
    ASSERT_TRUE(write_file_atomic(path, "one", 0600));
    synced().clear();
    ASSERT_TRUE(replace_secret_file(path, "two"));
    EXPECT_THAT(synced(), ElementsAre(directory_ / "key.tmp", directory_, path.native() + " (deleted)"));
    synced().clear();
    ASSERT_TRUE(wipe_file(path));
    EXPECT_THAT(synced(), ElementsAre(path, directory_));
}

TEST_F(Files, AtomicWriteSurvivesALeftoverOfACrash) {
    const auto path = directory_ / "key";
    std::ofstream(directory_ / "key.tmp") << "torn";
    ASSERT_TRUE(write_file_atomic(path, "whole", 0600));
    EXPECT_EQ(read_file(path), "whole");
}

TEST_F(Files, FailuresNameTheFile) {
    const auto missing = read_file(directory_ / "none");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), Code::kNotFound);
    EXPECT_NE(missing.error().message().find("none: No such file"), std::string::npos) << missing.error().message();
    EXPECT_FALSE(write_file_atomic(directory_ / "no" / "file", "x", 0600));
}

TEST_F(Files, ReadStopsAtItsLimit) {
    ASSERT_TRUE(write_file_atomic(directory_ / "big", std::string(100, 'x'), 0600));
    EXPECT_FALSE(read_file(directory_ / "big", 99));
    EXPECT_TRUE(read_file(directory_ / "big", 100));
}

TEST_F(Files, DirectoryGetsItsMode) {
    ASSERT_TRUE(make_directory(directory_ / "a" / "state", 0700));
    EXPECT_EQ(mode(directory_ / "a" / "state"), 0700U);
    std::filesystem::permissions(directory_ / "a" / "state", std::filesystem::perms(0755));
    ASSERT_TRUE(make_directory(directory_ / "a" / "state", 0700));
    EXPECT_EQ(mode(directory_ / "a" / "state"), 0700U);
}

// A second name shows what is left of a file that lost its first.
TEST_F(Files, WhatWasSecretIsOverwrittenBeforeItIsForgotten) {
    const auto path = directory_ / "key";
    for (const bool replaced : {true, false}) {
        const auto left = directory_ / (replaced ? "replaced" : "wiped");
        ASSERT_TRUE(replace_secret_file(path, "secret"));
        std::filesystem::create_hard_link(path, left);
        if (replaced) {
            ASSERT_TRUE(replace_secret_file(path, "another"));
            EXPECT_EQ(read_file(path), "another");
            EXPECT_EQ(mode(path), 0600U);
        } else {
            ASSERT_TRUE(wipe_file(path));
            EXPECT_FALSE(std::filesystem::exists(path));
        }
        EXPECT_EQ(read_file(left), std::string(6, '\0'));
    }
    EXPECT_TRUE(wipe_file(path)) << "again is no error";
}

TEST_F(Files, LockIsExclusiveUntilItGoes) {
    {
        const auto first = lock_file(directory_ / "lock");
        ASSERT_TRUE(first);
        const auto second = lock_file(directory_ / "lock");
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code(), Code::kConflict);
    }
    EXPECT_TRUE(lock_file(directory_ / "lock"));
}

}  // namespace
}  // namespace warren::base
