#include "cli/run.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <thread>

#include "base/unique_fd.h"
#include "fake_daemon.h"

namespace warren::cli {
namespace {

using grpc::StatusCode;

TEST_F(DaemonTest, EachCommandAsksItsOwnCall) {
    const auto done = [&](const std::vector<std::string>& arguments) {
        const Outcome outcome = warren(arguments);
        EXPECT_EQ(outcome.err, "");
        return outcome.exit == Exit::kDone;
    };
    EXPECT_TRUE(done({"cluster", "init"}) && local.init.asked.size() == 1);
    EXPECT_TRUE(done({"cluster", "join", "--token", "T", "192.0.2.1"}) && local.join.asked.size() == 1);
    EXPECT_TRUE(done({"cluster", "info"}) && local.info.asked.size() == 1);
    EXPECT_TRUE(done({"network", "connect", "n", "--pid", "7"}) && local.connect.asked.size() == 1);
    EXPECT_TRUE(done({"network", "disconnect", "n", "e"}) && local.disconnect.asked.size() == 1);
    local.status.reply.set_state("ok");
    EXPECT_TRUE(done({"status"}) && local.status.asked.size() == 1);
    control.token.asked.clear();  // of init's text
    EXPECT_TRUE(done({"token", "show", "manager"}) && control.token.asked.size() == 1);
    EXPECT_TRUE(done({"token", "rotate", "worker"}) && control.rotate_token.asked.size() == 1);
    EXPECT_TRUE(done({"node", "ls"}) && control.nodes.asked.size() == 1);
    EXPECT_TRUE(done({"node", "inspect", "n1"}) && control.node.asked.size() == 1);
    EXPECT_TRUE(done({"network", "create", "n"}) && control.create.asked.size() == 1);
    EXPECT_TRUE(done({"network", "ls"}) && control.networks.asked.size() == 1);
    EXPECT_TRUE(done({"network", "inspect", "n"}) && control.network.asked.size() == 1);
    EXPECT_TRUE(done({"network", "rm", "n"}) && control.remove_asked.size() == 1);
    EXPECT_TRUE(done({"endpoint", "ls"}) && control.endpoints.asked.size() == 1);
    EXPECT_TRUE(done({"network", "prune", "--force"}) && control.networks.asked.size() == 2);
    EXPECT_TRUE(done({"key", "ls"}) && control.keys.asked.size() == 1);
    EXPECT_TRUE(done({"key", "status"}) && control.key_status.asked.size() == 1);
    EXPECT_TRUE(done({"key", "history", "n"}) && control.history.asked.size() == 1);
    EXPECT_TRUE(done({"network", "update", "n", "--opt", "key-rotation=1h"}) && control.update.asked.size() == 1);
    EXPECT_TRUE(done({"key", "rotate", "--abort", "n"}) && control.abort.asked.size() == 1);
    EXPECT_TRUE(control.rotate_asked.empty());
}

TEST_F(DaemonTest, ListedAreTheNetworksThatAFilterTakes) {
    control.networks.reply = sample<v1::NetworkListReply>(R"(
        networks { id: "a1" name: "web" driver: "overlay" encrypted: true endpoint_count: 2 }
        networks { id: "b2" name: "db" driver: "overlay" })");
    EXPECT_EQ(warren({"network", "ls", "-q"}).out, "a1\nb2\n");
    EXPECT_EQ(warren({"network", "ls", "-q", "--filter", "encrypted=true"}).out, "a1\n");
    EXPECT_EQ(warren({"network", "ls", "-q", "--filter", "dangling=true"}).out, "b2\n");
    const auto refused = warren({"network", "ls", "--filter", "colour=red"});
    EXPECT_EQ(refused.exit, Exit::kUsage);
    EXPECT_EQ(refused.err,
              "warren: --filter colour=red: unknown key; known are name, id, driver, label, encrypted, dangling\n");
}

TEST_F(DaemonTest, PrunedIsWhatHasNoEndpointAndOnlyWhenTold) {
    control.networks.reply = sample<v1::NetworkListReply>(R"(
        networks { name: "web" endpoint_count: 2 } networks { name: "old" } networks { name: "older" })");
    const auto shown = warren({"network", "prune"});
    EXPECT_EQ(shown.out, "old\nolder\n");
    EXPECT_EQ(shown.err, "warren: these have no endpoint; to remove them: network prune --force\n");
    EXPECT_TRUE(control.remove_asked.empty());
    EXPECT_EQ(warren({"network", "prune", "-f"}).exit, Exit::kDone);
    EXPECT_EQ(control.remove_asked.size(), 2U);
}

TEST_F(DaemonTest, AnEndpointIsShownWithWhomItsContainerMayAsk) {
    control.endpoints.reply = sample<v1::EndpointListReply>(R"(
        endpoints { id: "e1b2" name: "web" network: "net1" ip: "10.128.0.2/24" node: "h1" netns: "/run/netns/web" }
        endpoints { id: "e1c3" name: "web2" network: "net2" ip: "10.9.0.5/24" node: "h1" netns: "/run/netns/web" }
        endpoints { id: "f000" name: "other" network: "net3" node: "h1" netns: "/run/netns/other" })");
    control.network.reply = sample<v1::Network>(R"(subnets { subnet: "10.9.0.0/24" gateway: "10.9.0.1" }
                                                   subnets { subnet: "10.128.0.0/24" gateway: "10.128.0.1" })");
    const auto shown = warren({"endpoint", "inspect", "web"});
    EXPECT_EQ(shown.exit, Exit::kDone) << shown.err;
    EXPECT_NE(shown.out.find("  nameserver 10.128.0.1\n  nameserver 10.9.0.1\n  options ndots:0\n"), std::string::npos)
        << shown.out;
    ASSERT_EQ(control.network.asked.size(), 2U);
    EXPECT_EQ(control.network.asked[0].network(), "net1") << "its own first";
    EXPECT_EQ(warren({"endpoint", "inspect", "f"}).exit, Exit::kDone) << "the beginning of an id";
    EXPECT_EQ(warren({"endpoint", "inspect", "e1"}).err,
              "warren: endpoint 'e1': there are several: e1b2 in net1 on h1, e1c3 in net2 on h1; give its id\n");
    EXPECT_EQ(warren({"endpoint", "inspect", "none"}).err,
              "warren: endpoint 'none': not found; see warren endpoint ls\n");
}

TEST_F(DaemonTest, TheRequestArrivesAndTheAnswerIsShown) {
    control.create.reply.set_id("d1b2c3d4e5f60000000000000000000d");
    const Outcome outcome = warren({"network", "create", "--opt", "encrypted", "--label", "a=b", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_EQ(outcome.out, "d1b2c3d4e5f60000000000000000000d\n");
    EXPECT_EQ(outcome.err, "");
    ASSERT_EQ(control.create.asked.size(), 1U);
    EXPECT_EQ(control.create.asked[0].ShortDebugString(), R"(name: "net1" options: "encrypted" labels: "a=b")");
}

TEST_F(DaemonTest, JsonIsTheMessage) {
    control.network.reply.set_name("net1");
    control.network.reply.add_vnis(5701632);
    const Outcome outcome = warren({"--format", "json", "network", "inspect", "net1"});
    EXPECT_EQ(outcome.exit, Exit::kDone);
    EXPECT_NE(outcome.out.find("\"name\": \"net1\""), std::string::npos) << outcome.out;
    EXPECT_NE(outcome.out.find("\"active_epoch\": 0"), std::string::npos) << "fields at their default are there too";
}

TEST_F(DaemonTest, ARefusalIsOneLineAndOne) {
    for (const StatusCode code : {StatusCode::INVALID_ARGUMENT, StatusCode::NOT_FOUND, StatusCode::ALREADY_EXISTS,
                                  StatusCode::FAILED_PRECONDITION, StatusCode::RESOURCE_EXHAUSTED, StatusCode::INTERNAL,
                                  StatusCode::PERMISSION_DENIED, StatusCode::ABORTED}) {
        control.create.status = {code, "--subnet 10.9.0.1/24: has host bits;\nuse 10.9.0.0/24"};
        const Outcome outcome = warren({"network", "create", "--subnet", "10.9.0.1/24", "net1"});
        EXPECT_EQ(outcome.exit, Exit::kFailed);
        EXPECT_EQ(outcome.out, "");
        EXPECT_EQ(outcome.err, "warren: --subnet 10.9.0.1/24: has host bits; use 10.9.0.0/24\n");
    }
}

TEST_F(DaemonTest, ARefusalWithoutAReasonStillSaysSomething) {
    control.nodes.status = {StatusCode::INTERNAL, ""};
    EXPECT_EQ(warren({"node", "ls"}).err, "warren: warrend gave no reason (gRPC status 13)\n");
    control.nodes.status = {StatusCode::UNIMPLEMENTED, ""};
    EXPECT_EQ(warren({"node", "ls"}).err, "warren: this warrend cannot do that; is it older than this warren?\n");
}

TEST_F(DaemonTest, RemovingGoesOnAfterAFailure) {
    control.remove = [](const std::string& name) {
        return name == "busy" ? grpc::Status(StatusCode::FAILED_PRECONDITION, "network busy has 2 endpoints")
                              : grpc::Status::OK;
    };
    const Outcome outcome = warren({"network", "rm", "a", "busy", "c"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_EQ(outcome.out, "a\nc\n");
    EXPECT_EQ(outcome.err, "warren: network busy has 2 endpoints\n");
    EXPECT_EQ(control.remove_asked, (std::vector<std::string>{"a", "busy", "c"}));
}

TEST_F(DaemonTest, InitShowsTheJoinCommand) {
    control.token.reply.set_join_command("warren cluster join --token T 192.0.2.1:7443");
    EXPECT_NE(warren({"cluster", "init"}).out.find("\n    warren cluster join --token T 192.0.2.1:7443\n"),
              std::string::npos);
    ASSERT_EQ(control.token.asked.size(), 1U);
    EXPECT_EQ(control.token.asked[0].role(), "worker");
    control.token.status = {StatusCode::INTERNAL, "no"};
    const Outcome outcome = warren({"cluster", "init"});
    EXPECT_EQ(outcome.exit, Exit::kDone) << "the cluster is there";
    EXPECT_EQ(outcome.err, "");
}

TEST_F(DaemonTest, JsonOfInitAsksForNoToken) {
    EXPECT_EQ(warren({"cluster", "init", "--format", "json"}).exit, Exit::kDone);
    EXPECT_TRUE(control.token.asked.empty());
}

TEST_F(DaemonTest, StatusExitsByTheState) {
    local.status.reply.set_state("ok");
    EXPECT_EQ(warren({"status"}).exit, Exit::kDone);
    local.status.reply.set_state("no-cluster");
    EXPECT_EQ(warren({"status"}).exit, Exit::kDone);
    local.status.reply.set_state("degraded");
    EXPECT_EQ(warren({"status"}).exit, Exit::kDegraded);
    const Outcome json = warren({"status", "--format", "json"});
    EXPECT_EQ(json.exit, Exit::kDegraded);
    EXPECT_NE(json.out.find("\"state\": \"degraded\""), std::string::npos);
}

TEST_F(DaemonTest, ColourIsForTerminalsThatWantIt) {
    local.status.reply.set_state("ok");
    EXPECT_NE(on_terminal({"status"}, true, 80).out.find("\x1b[32m"), std::string::npos);
    EXPECT_EQ(on_terminal({"status", "--no-color"}, true, 80).out.find('\x1b'), std::string::npos);
    EXPECT_EQ(warren({"status"}).out.find('\x1b'), std::string::npos);
}

TEST_F(DaemonTest, WritingToAFullDiskIsAFailure) {
    std::ostringstream out;
    std::ostringstream err;
    out.setstate(std::ios::badbit);
    const Environment environment{.warren_host = "unix://" + socket(), .working_directory = "/"};
    EXPECT_EQ(run({"network", "ls"}, environment, {.out = out, .err = err, .view = kSampleView}), Exit::kFailed);
    EXPECT_EQ(err.str(), "warren: cannot write to the standard output\n");
}

TEST_F(ProgramTest, UsageErrorsNeedNoDaemon) {
    const Outcome outcome = warren({"network", "create"});
    EXPECT_EQ(outcome.exit, Exit::kUsage);
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err, "warren: NAME is required; see 'warren network create --help'\n");
    EXPECT_EQ(warren({"network"}).exit, Exit::kUsage);
    EXPECT_EQ(warren({"network"}).out, "");
    EXPECT_EQ(warren({"network", "--help"}).exit, Exit::kDone);
    EXPECT_EQ(warren({"network", "--help"}).err, "");
    EXPECT_EQ(warren({"version"}).exit, Exit::kDone);
}

TEST_F(ProgramTest, NoDaemonIsThreeAndSaysHowToStartIt) {
    const Outcome outcome = warren({"status"});
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_EQ(outcome.err, "warren: cannot reach warrend at " + socket() +
                               ": No such file or directory; is it running? Start it with: warrend --run-dir " +
                               directory().string() + "\n");
    // Said once, however many there are.
    EXPECT_EQ(warren({"network", "rm", "a", "b", "c"}).err, outcome.err);
}

// A listening socket that the test owns.
base::UniqueFd listen_on(const std::string& path) {
    base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 4), 0);
    return fd;
}

TEST_F(ProgramTest, ASocketThatADaemonLeftBehindIsThree) {
    listen_on(socket()).reset();
    const Outcome outcome = warren({"status"});
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_NE(outcome.err.find("Connection refused; is it running?"), std::string::npos) << outcome.err;
}

TEST_F(ProgramTest, NoPermissionNamesTheGroup) {
    const base::UniqueFd listener = listen_on(socket());
    std::filesystem::permissions(directory(), std::filesystem::perms{0755});
    std::filesystem::permissions(socket(), std::filesystem::perms{0600});
    if (::geteuid() != 0) {
        std::filesystem::permissions(socket(), std::filesystem::perms{0000});
    } else {
        ASSERT_EQ(::seteuid(65534), 0);
    }
    const Outcome outcome = warren({"status"});
    if (::getuid() == 0) {
        ASSERT_EQ(::seteuid(0), 0);
    }
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_EQ(outcome.err, "warren: cannot reach warrend at " + socket() +
                               ": Permission denied; be root or in the group warren (usermod -aG warren USER, then log "
                               "in again)\n");
}

TEST_F(ProgramTest, ADaemonThatDiesInTheMiddleIsThree) {
    const base::UniqueFd listener = listen_on(socket());
    std::thread daemon([&] {
        const base::UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        std::array<char, 24> preface{};
        EXPECT_GT(::read(connection.get(), preface.data(), preface.size()), 0);
    });
    const Outcome outcome = warren({"network", "ls"});
    daemon.join();
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(outcome.err.starts_with("warren: lost the connection to warrend at " + socket())) << outcome.err;
}

}  // namespace
}  // namespace warren::cli
