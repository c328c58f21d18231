#include "fdstore/fd_store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "base/text.h"

namespace warren::fdstore {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;

class FdStoreTest : public testing::Test {
  protected:
    FdStoreTest() : directory_(fs::path(testing::TempDir()) / fmt::format("fdstore-{}", ::getpid())) {
        fs::create_directories(directory_);
    }
    ~FdStoreTest() override {
        for (const auto pid : holders()) {
            ::kill(pid, SIGKILL);
        }
        fs::remove_all(directory_);
    }
    FdStoreTest(const FdStoreTest&) = delete;
    FdStoreTest& operator=(const FdStoreTest&) = delete;

    // Whoever has the directory's name in its command line.
    [[nodiscard]] std::vector<pid_t> holders() const {
        std::vector<pid_t> found;
        std::error_code ignored;
        for (const auto& process : fs::directory_iterator("/proc", ignored)) {
            const auto pid = base::parse_unsigned(process.path().filename().string());
            std::array<char, 4096> line{};
            const int fd = pid ? ::open((process.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC) : -1;
            const auto got = fd < 0 ? -1 : ::read(fd, line.data(), line.size());
            ::close(fd);
            const std::string_view text(line.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
            if (text.starts_with("warren-hold") && text.find(directory_.string()) != std::string_view::npos) {
                found.push_back(static_cast<pid_t>(*pid));
            }
        }
        return found;
    }
    // Until a process that was killed is gone.
    [[nodiscard]] bool without_holders() const {
        for (int i = 0; i < 200 && !holders().empty(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return holders().empty();
    }
    [[nodiscard]] std::unique_ptr<FdStore> store() const { return process_store(directory_, WARREN_BUILT_HOLD); }

    fs::path directory_;
};

base::UniqueFd file_of(const std::string& content) {
    base::UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_EQ(::write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
    return fd;
}
std::string content_of(int fd) {
    std::array<char, 64> bytes{};
    const auto got = ::pread(fd, bytes.data(), bytes.size(), 0);
    return {bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

TEST_F(FdStoreTest, WhatIsPutIsThereForTheNextDaemon) {
    {
        const auto before = store();
        EXPECT_TRUE(before->take().empty());
        ASSERT_TRUE(before->put("one", file_of("1").get()));
        ASSERT_TRUE(before->put("two", file_of("2").get()));
        EXPECT_TRUE(before->holds("one"));
    }
    const auto after = store();
    auto stored = after->take();
    ASSERT_EQ(stored.size(), 2U);
    std::sort(stored.begin(), stored.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    EXPECT_EQ(stored[0].name, "one");
    EXPECT_EQ(content_of(stored[0].fd.get()), "1");
    EXPECT_EQ(content_of(stored[1].fd.get()), "2");
    after->drop("one");
    EXPECT_FALSE(after->holds("one"));
    EXPECT_TRUE(after->holds("two"));
    after->drop("two");
    after->drop("never put");
    EXPECT_TRUE(without_holders());
}

TEST_F(FdStoreTest, AHolderHasNothingElseOpenAndIsInASessionOfItsOwn) {
    const auto other = file_of("not for it");
    const auto inherited = ::fcntl(other.get(), F_DUPFD, 10);  // without close-on-exec
    const auto kept = store();
    ASSERT_TRUE(kept->put("one", file_of("1").get()));
    ::close(inherited);
    ASSERT_EQ(holders().size(), 1U);
    const auto pid = holders().front();
    std::vector<std::string> fds;
    for (const auto& fd : fs::directory_iterator(fmt::format("/proc/{}/fd", pid))) {
        fds.push_back(fd.path().filename().string());
    }
    std::sort(fds.begin(), fds.end());
    EXPECT_THAT(fds, ElementsAre("0", "2", "3"));
    EXPECT_EQ(fs::read_symlink(fmt::format("/proc/{}/fd/0", pid)), "/dev/null");
    EXPECT_EQ(::getsid(pid), pid);
}

TEST_F(FdStoreTest, AHolderThatWasKilledIsNoticedAndReplaced) {
    const auto kept = store();
    const auto file = file_of("1");
    ASSERT_TRUE(kept->put("one", file.get()));
    ASSERT_EQ(holders().size(), 1U);
    ::kill(holders().front(), SIGKILL);
    bool noticed = false;
    for (int i = 0; i < 200 && !noticed; ++i) {
        noticed = !kept->holds("one");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(noticed);
    ASSERT_TRUE(kept->put("one", file.get()));
    EXPECT_TRUE(kept->holds("one"));
    EXPECT_EQ(store()->take().size(), 1U);
}

TEST_F(FdStoreTest, OfAnotherRunDirectoryIsNotTaken) {
    fs::create_directories(directory_ / "other");
    const auto other = process_store(directory_ / "other", WARREN_BUILT_HOLD);
    ASSERT_TRUE(other->put("one", file_of("1").get()));
    EXPECT_TRUE(store()->take().empty());
    EXPECT_EQ(process_store(directory_ / "other", WARREN_BUILT_HOLD)->take().size(), 1U);
}

// Whoever gives itself the name, but not the secret: a container's root, or an unprivileged user with a setuid program.
TEST_F(FdStoreTest, WhoPassesForAHolderIsNotTakenForOne) {
    const auto kept = store();
    ASSERT_TRUE(kept->put("one", file_of("1").get()));
    const auto other_program = directory_ / "another";
    fs::copy_file(WARREN_BUILT_HOLD, other_program);
    const auto fake = [&](const std::string& name, const char* variable) {
        const auto pid = ::fork();
        if (pid == 0) {
            const auto forged = file_of("forged");
            ::dup2(forged.get(), kHeldFd);
            ::fcntl(kHeldFd, F_SETFD, 0);
            const std::array<const char*, 2> environment{variable, nullptr};
            ::execle(other_program.c_str(), "warren-hold", directory_.c_str(), name.c_str(), nullptr,
                     environment.data());
            ::_exit(1);
        }
        return pid;
    };
    const std::array children{fake("one", nullptr), fake("two", "WARREN_HOLD="), fake("three", "WARREN_HOLD=guess")};
    for (int i = 0; i < 200 && holders().size() < 4; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_EQ(holders().size(), 4U);
    const auto stored = store()->take();
    ASSERT_EQ(stored.size(), 1U);
    EXPECT_EQ(stored[0].name, "one");
    EXPECT_EQ(content_of(stored[0].fd.get()), "1");
    EXPECT_EQ(holders().size(), 4U) << "others are left alone";
    for (const auto child : children) {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
    struct stat secret {};
    ASSERT_EQ(::stat((directory_ / "holders").c_str(), &secret), 0);
    EXPECT_EQ(secret.st_mode & 0777U, 0600U);
}

TEST_F(FdStoreTest, AHolderOfARunDirectoryThatWasEmptiedIsEnded) {
    ASSERT_TRUE(store()->put("one", file_of("1").get()));
    fs::remove(directory_ / "holders");
    EXPECT_TRUE(store()->take().empty());
    EXPECT_TRUE(without_holders());
}

TEST_F(FdStoreTest, OfTwoThatHoldTheSameOneIsKept) {
    const auto first = store();
    ASSERT_TRUE(first->put("one", file_of("1").get()));
    const auto second = store();  // that has not asked what there is
    ASSERT_TRUE(second->put("one", file_of("2").get()));
    EXPECT_EQ(holders().size(), 2U);
    EXPECT_EQ(store()->take().size(), 1U);
    EXPECT_EQ(holders().size(), 1U);
}

TEST_F(FdStoreTest, WithoutItsProgramItSaysSo) {
    const auto put = process_store(directory_, directory_ / "missing")->put("one", file_of("1").get());
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().sys_errno(), ENOENT);
    EXPECT_THAT(put.error().message(), testing::HasSubstr("missing"));
}

// The service manager's side of sd_notify(3).
class Notified {
  public:
    explicit Notified(const fs::path& path) : socket_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    }
    struct Message {
        std::string text;
        base::UniqueFd fd;
    };
    [[nodiscard]] Message next() const {
        std::array<char, 512> text{};
        alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))> control{};
        iovec part{.iov_base = text.data(), .iov_len = text.size()};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const auto got = ::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        Message received{.text = {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0}, .fd = {}};
        for (auto* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
                received.fd = base::UniqueFd(fd);
            }
        }
        return received;
    }

  private:
    base::UniqueFd socket_;
};

TEST_F(FdStoreTest, SystemdGetsItWithItsNameAndIsToldToDropIt) {
    const Notified systemd(directory_ / "notify");
    ASSERT_EQ(::setenv("NOTIFY_SOCKET", (directory_ / "notify").c_str(), 1), 0);
    const auto kept = open_store(directory_);
    EXPECT_FALSE(kept->holds("one"));
    ASSERT_TRUE(kept->put("one", file_of("1").get()));
    EXPECT_TRUE(kept->holds("one"));
    const auto message = systemd.next();
    EXPECT_EQ(message.text, "FDSTORE=1\nFDNAME=one\nFDPOLL=0");
    EXPECT_EQ(content_of(message.fd.get()), "1");
    kept->drop("one");
    EXPECT_FALSE(kept->holds("one"));
    EXPECT_EQ(systemd.next().text, "FDSTOREREMOVE=1\nFDNAME=one");
    EXPECT_TRUE(holders().empty());
    ::unsetenv("NOTIFY_SOCKET");
    EXPECT_FALSE(systemd_store()->put("one", file_of("1").get())) << "systemd does not run this";
}

// Started by hand once, and by systemd from then on.
TEST_F(FdStoreTest, WhatProcessesHoldMovesToSystemd) {
    ASSERT_TRUE(store()->put("one", file_of("1").get()));
    const Notified systemd(directory_ / "notify");
    ASSERT_EQ(::setenv("NOTIFY_SOCKET", (directory_ / "notify").c_str(), 1), 0);
    const auto stored = systemd_store(store())->take();
    ::unsetenv("NOTIFY_SOCKET");
    ASSERT_EQ(stored.size(), 1U);
    EXPECT_EQ(content_of(stored[0].fd.get()), "1");
    EXPECT_EQ(content_of(systemd.next().fd.get()), "1");
    EXPECT_TRUE(without_holders());
}

// sd_listen_fds(3): from descriptor 3 on, in a process that they are meant for.
TEST_F(FdStoreTest, SystemdHandsThemToTheNextDaemon) {
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const auto one = file_of("1");
        const auto two = file_of("2");
        const int high_one = ::fcntl(one.get(), F_DUPFD, 100);
        const int high_two = ::fcntl(two.get(), F_DUPFD, 100);
        ::dup2(high_one, 3);
        ::dup2(high_two, 4);
        ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
        ::setenv("LISTEN_FDS", "2", 1);
        ::setenv("LISTEN_FDNAMES", "first:second", 1);
        const auto stored = systemd_store()->take();
        const bool right = stored.size() == 2 && stored[0].name == "first" && content_of(stored[0].fd.get()) == "1" &&
                           stored[1].name == "second" && content_of(stored[1].fd.get()) == "2" &&
                           std::getenv("LISTEN_FDS") == nullptr;
        ::_exit(right ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace warren::fdstore
