#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <optional>

#include "tests/lab/expect.h"
#include "tests/lab/held_namespace.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_kind.h"

// Containers that end without a word to anybody.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

std::string links_in(const std::string& netns) {
    return run({"ip", "-netns", netns, "-brief", "link"}).out;
}

bool known(const Host& manager, const std::string& endpoint) {
    return manager.warren({"endpoint", "inspect", endpoint}).ok();
}

class ContainersOf : public testing::TestWithParam<bool> {};

TEST_P(ContainersOf, OneThatIsGoneIsReleasedAndPeersAreTold) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    auto& host = lab->host(2);
    create_network(manager, GetParam(), {"net1"});
    const Container asker("asker");
    std::optional<Container> db("db");
    manager.connect("net1", asker);
    host.connect("net1", *db);
    const auto address = db->ip();
    const auto mac = db->mac();
    ASSERT_TRUE(eventually(seconds(10), [&] { return asker.ping(address); }));
    const auto space = namespace_of(manager, "net1");
    const auto entries = [&] { return run({"nsenter", "--net=" + space, "bridge", "fdb", "show", "dev", "vx0"}).out; };
    ASSERT_THAT(entries(), HasSubstr(mac));

    // Made anew at once, it is the same container.
    db.reset();
    db.emplace("db");
    EXPECT_TRUE(eventually(seconds(10), [&] { return asker.ping(address); }));

    db.reset();
    EXPECT_TRUE(eventually(seconds(10), [&] { return !known(manager, "db"); }));
    EXPECT_TRUE(eventually(seconds(5), [&] { return entries().find(mac) == std::string::npos; })) << entries();
    EXPECT_THAT(manager.warren_ok({"events"}), HasSubstr("db: its container's namespace /run/netns/db is gone"));
    EXPECT_TRUE(eventually(seconds(10), [&] {
        return !std::filesystem::exists(host.run_dir() / "netns" / inspect(manager, "net1").id());
    })) << "its last endpoint here";
    const Container next("db");
    host.connect("net1", next);
    EXPECT_TRUE(eventually(seconds(10), [&] { return asker.ping(next.ip()); }));
}

INSTANTIATE_TEST_SUITE_P(Networks, ContainersOf, testing::Bool(), name_of_kind);

TEST(Containers, OneOfAProcessIsReleasedWithItAndNobodyElseGetsItsInterface) {
    const auto lab = cluster_of(1);
    auto& host = lab->host(1);
    host.warren_ok({"network", "create", "net1"});
    Process process({"unshare", "--net", "sleep", "1000"}, host.where());
    ASSERT_TRUE(eventually(seconds(5), [&] {
        return run({"readlink", "/proc/" + std::to_string(process.pid()) + "/ns/net"}).out !=
               host.run({"readlink", "/proc/self/ns/net"}).out;
    }));
    host.warren_ok({"network", "connect", "net1", "--pid", std::to_string(process.pid()), "--name", "one"});
    process.signal(SIGKILL);
    process.wait();
    EXPECT_TRUE(eventually(seconds(10), [&] { return !known(host, "one"); }));

    // What a path below /proc leads to can be another namespace in a moment: that of whoever gets the process's number.
    const Container meant("meant");
    const Container other("other");
    HeldNamespace held(*lab, meant, other);
    host.warren_ok({"network", "connect", "net1", "--netns", held.path(), "--name", "two"});
    EXPECT_THAT(links_in("meant"), HasSubstr("eth0"));
    const auto seen = lab->artefacts() / "links-of-other";
    const Process monitor({"ip", "monitor", "link"}, {.netns = "other", .out_file = seen});
    held.flip();
    EXPECT_TRUE(eventually(seconds(10), [&] { return !known(host, "two"); }));
    EXPECT_EQ(file_content(seen), "") << "not for a moment";
    EXPECT_THAT(links_in("meant"), Not(HasSubstr("eth0")));
}

}  // namespace
}  // namespace warren::lab
