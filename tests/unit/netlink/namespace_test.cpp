#include "netlink/namespace.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "scratch.h"

namespace warren::netlink {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// True if `fn` returned true in a child process that has done `set_up` first.
bool in_child(const std::function<bool()>& set_up, const std::function<bool()>& fn) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(set_up() && fn() ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Runs `fn` with a mount namespace of its own, as `ip netns exec` and service managers make them.
bool in_private_mounts(const std::function<bool()>& fn) {
    return in_child(
        [] { return ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", nullptr, MS_SLAVE | MS_REC, nullptr) == 0; }, fn);
}

// Runs `fn` as process 1 of a machine of its own, as far as /proc shows: sandboxes forbid looking at the real one.
bool as_process_1(const std::function<bool()>& fn) {
    const auto own_proc = [] {
        return ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0 &&
               ::mount("proc", "/proc", "proc", 0, nullptr) == 0;
    };
    return in_child([] { return ::unshare(CLONE_NEWPID) == 0; }, [&] { return in_child(own_proc, fn); });
}

class Pinned : public ::testing::Test {
  protected:
    void TearDown() override {
        for (const auto& name : must(pins.list())) {
            must(pins.remove(name));
        }
    }
    ScratchDirectory directory;
    PinnedNamespaces pins{directory.path() / "netns"};
};

TEST_F(Pinned, OutlivesItsDescriptorsUntilRemoved) {
    const auto identity = must(pins.create("n1")).identity();
    EXPECT_EQ(must(pins.open("n1")).identity(), identity);
    EXPECT_THAT(must(pins.list()), ElementsAre("n1"));
    // A second opinion: the path is a namespace for others too, and a new one.
    EXPECT_THAT(shell(must(Namespace::current()), "nsenter --net=" + pins.path("n1").string() + " ip link"),
                HasSubstr("lo:"));
    EXPECT_NE(must(Namespace::current()).identity(), identity);

    EXPECT_TRUE(ok(pins.remove("n1")));
    EXPECT_THAT(must(pins.list()), IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(pins.path("n1")));
    EXPECT_TRUE(ok(pins.remove("n1"))) << "removing what is gone is fine";
}

TEST_F(Pinned, RefusesANameThatIsTaken) {
    const auto identity = must(pins.create("n1")).identity();
    const auto again = pins.create("n1");
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), base::Code::kConflict);
    EXPECT_EQ(must(pins.open("n1")).identity(), identity);
}

TEST_F(Pinned, TakesOverAndRemovesAPlainFileThatACrashLeft) {
    must(pins.create("n0"));
    std::ofstream(pins.path("n1")).flush();
    std::ofstream(pins.path("n2")).flush();
    EXPECT_THAT(must(pins.list()), ElementsAre("n0"));
    const auto opened = pins.open("n1");
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), base::Code::kNotFound);
    EXPECT_TRUE(pins.create("n1"));
    EXPECT_TRUE(ok(pins.remove("n2")));
    EXPECT_FALSE(std::filesystem::exists(pins.path("n2")));
}

TEST_F(Pinned, RefusesANameThatWouldLeaveTheDirectory) {
    for (const auto* name : {"", ".", "..", "../n1", "a/b"}) {
        EXPECT_EQ(pins.create(name).error().code(), base::Code::kInvalid) << name;
        EXPECT_EQ(pins.remove(name).error().code(), base::Code::kInvalid) << name;
    }
}

TEST_F(Pinned, ListsNothingWhereNothingWasEverPinned) {
    EXPECT_THAT(must(pins.list()), IsEmpty());
}

// A daemon under `ip netns exec` is restarted: another mount namespace, the same pins.
TEST_F(Pinned, SurvivesTheMountNamespaceOfTheProcessThatMadeIt) {
    EXPECT_TRUE(as_process_1([&] {
        EXPECT_TRUE(in_private_mounts([&] { return pins.create("n1").has_value(); }));
        EXPECT_THAT(must(pins.list()), ElementsAre("n1"));
        EXPECT_TRUE(in_private_mounts(
            [&] { return pins.list() == std::vector<std::string>{"n1"} && pins.open("n1") && !pins.create("n1"); }));
        EXPECT_TRUE(in_private_mounts([&] { return pins.remove("n1").has_value(); }));
        EXPECT_THAT(must(pins.list()), IsEmpty());
        return !HasFailure();
    }));
    EXPECT_FALSE(std::filesystem::exists(pins.path("n1")));
}

// Where process 1 has another directory at that path, a container's daemon pins among its own mounts.
TEST_F(Pinned, StaysAmongItsOwnMountsWhereTheDirectoryIsItsOwn) {
    EXPECT_TRUE(as_process_1([&] {
        EXPECT_TRUE(in_private_mounts([&] {
            return ::mount("own", directory.path().c_str(), "tmpfs", 0, nullptr) == 0 && pins.create("n1") &&
                   pins.list() == std::vector<std::string>{"n1"} && pins.remove("n1");
        }));
        EXPECT_THAT(must(pins.list()), IsEmpty());
        return !HasFailure();
    }));
}

// Somebody unshared mounts while the pin was there and so holds a copy: removal must not leave the namespace alive.
TEST_F(Pinned, RemovalReachesCopiesInOtherMountNamespaces) {
    std::optional<Namespace> pinned = must(pins.create("n1"));
    auto outside = must(Namespace::create_anonymous());
    auto socket = must(Socket::open_in(outside, Protocol::kRoute));
    ASSERT_TRUE(ok(socket.request(create_veth({.name = "here"}, {.name = "there", .into = &*pinned}))));
    pinned.reset();

    std::array<int, 2> ready{};
    std::array<int, 2> done{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    ASSERT_EQ(::pipe(done.data()), 0);
    const pid_t holder = ::fork();
    if (holder == 0) {
        char byte = 0;
        const bool copied = ::unshare(CLONE_NEWNS) == 0 && ::mount("", "/", nullptr, MS_PRIVATE | MS_REC, nullptr) == 0;
        const bool told = ::write(ready[1], copied ? "y" : "n", 1) == 1 && ::read(done[0], &byte, 1) == 1;
        ::_exit(told ? 0 : 1);
    }
    char copied = 0;
    ASSERT_EQ(::read(ready[0], &copied, 1), 1);
    ASSERT_EQ(copied, 'y');
    ASSERT_TRUE(ok(pins.remove("n1")));
    // The namespace dies, its end of the pair with it; the kernel does that in the background.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (read_link(socket, "here") && std::chrono::steady_clock::now() < deadline) {
        ::sched_yield();
    }
    EXPECT_EQ(read_link(socket, "here").error().sys_errno(), ENODEV);
    EXPECT_EQ(::write(done[1], "x", 1), 1);
    ::waitpid(holder, nullptr, 0);
    for (const int fd : {ready[0], ready[1], done[0], done[1]}) {
        ::close(fd);
    }
}

TEST(NamespaceOpen, SaysWhatItLookedFor) {
    const auto unknown = Namespace::open_name("no-such-name");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code(), base::Code::kNotFound);
    EXPECT_THAT(unknown.error().message(), HasSubstr("network namespace 'no-such-name': no /run/netns/no-such-name"));

    EXPECT_EQ(Namespace::open_name("../../proc/1/ns/net").error().code(), base::Code::kInvalid);
    EXPECT_EQ(Namespace::open_path("/nowhere/at/all").error().code(), base::Code::kNotFound);
    EXPECT_THAT(Namespace::open_pid(0x7ffffff0).error().message(), HasSubstr("no such process"));
}

TEST(NamespaceOpen, TakesNothingButANetworkNamespace) {
    ScratchDirectory directory;
    const auto fifo = directory.path() / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    // A fifo without a writer would block whoever opens it.
    for (const auto& path : {fifo.string(), std::string("/dev/null"), std::string("/proc/self/ns/uts"),
                             std::string("/proc/self/ns/mnt"), directory.path().string()}) {
        const auto opened = Namespace::open_path(path);
        ASSERT_FALSE(opened) << path;
        EXPECT_EQ(opened.error().code(), base::Code::kInvalid) << path;
        EXPECT_THAT(opened.error().message(), HasSubstr(path + ": is not a network namespace"));
    }
}

TEST(NamespaceOpen, ByNameFindsWhatIpNetnsMade) {
    const auto here = must(Namespace::current());
    const auto name = fmt::format("warren-test-{:x}", base::random_u64());
    ASSERT_EQ(shell(here, "ip netns add " + name), "");
    const auto named = Namespace::open_name(name);
    EXPECT_TRUE(named) << named.error().message();
    EXPECT_EQ(must(Namespace::open_path("/run/netns/" + name)), *named);
    EXPECT_EQ(shell(here, "ip netns del " + name), "");
    EXPECT_EQ(must(Namespace::open_pid(::getpid())), here);
}

TEST(RunIn, ChangesNoNamespaceButItsOwnThreads) {
    const auto before = must(Namespace::current()).identity();
    Scratch scratch;
    const auto inside = must(run_in(scratch.ns, [] { return Namespace::current(); }));
    EXPECT_EQ(inside, scratch.ns);
    EXPECT_EQ(must(Namespace::current()).identity(), before);
    const auto failed = run_in(scratch.ns, [] { return base::Status(base::fail(base::Code::kDenied, "no")); });
    EXPECT_EQ(failed.error().message(), "no");
}

}  // namespace
}  // namespace warren::netlink
