#include "tests/lab/bad_input.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/lab/kernel_state.h"
#include "tests/lab/udp_sender.h"

// What concerns the cluster, the daemon and its host.
namespace warren::lab {
namespace {

// The secret of one token under the root of another cluster.
std::string with_secret_of(const std::string& token, const std::string& other) {
    return token.substr(0, token.rfind('-')) + other.substr(other.rfind('-'));
}

TEST_F(BadInput, OfClusterCommandsIsRefused) {
    const auto spoilt = tokens[0].substr(0, tokens[0].size() - 1);
    expect_refused({
        {4, join("nonsense"), 1, "--token: must be WRN1-<root hash>-<secret>, as `warren token show` prints it"},
        {4, join(spoilt), 1,
         "--token: its secret is damaged, must be 26 characters a-z and 2-7: copy the whole token as `warren token "
         "show` prints it"},
        {4, join(with_secret_of(tokens[0], tokens[1])), 1,
         "manager 192.0.2.1:7443: the join token is not one of this cluster's: get the present one on a manager with "
         "warren token show worker"},
        {4, join(tokens[1]), 1,
         "the manager's root certificates do not include the one that the token names: the token is of another cluster "
         "or "
         "older than its last CA rotations, or somebody else answers at this address; take a new one from `warren "
         "token show` on a manager"},
        {4, join(tokens[0], {"--node-name", "h/4"}), 1, "--node-name 'h/4': " + kNameRule},
        {4, join(tokens[0], {"--node-name", "h1"}), 1,
         "manager 192.0.2.1:7443: --node-name 'h1': taken by node …; choose another one"},
        {4,
         {"cluster", "join", "--token", tokens[0], "--data-addr", "eth7", "192.0.2.1"},
         1,
         "--data-addr 'eth7': must be an address or an interface of this host"},
        {4,
         {"cluster", "join", "--token", tokens[0], "--data-addr", "192.0.2.99", "192.0.2.1"},
         1,
         "--data-addr 192.0.2.99: no interface of this host has this address"},
        {4,
         {"cluster", "join", "--token", tokens[0], "--data-addr", "eth0", "manager"},
         1,
         "MANAGER 'manager': must be IP, IP:PORT or [IPv6]:PORT"},
        {4,
         {"cluster", "join", "--token", tokens[0], "--data-addr", "eth0", "192.0.2.1:99"},
         1,
         "manager 192.0.2.1:99 can't be reached: Connection refused; does warrend run there, and is its port open?"},
        {2, join(tokens[0]), 1, "this host is in a cluster already (…/cluster); see warren cluster info"},
        {1, {"cluster", "init"}, 1, "this host is in a cluster already (…/cluster); see warren cluster info"},
        {4,
         {"network", "ls"},
         1,
         "no manager runs on this host: run the command on a manager (warren cluster info names them), or make a "
         "cluster with warren cluster init"},
        {4, connect({}), 1, "this host is in no cluster: warren cluster init, or warren cluster join"},
        {1,
         {"token", "show", "king"},
         2,
         "worker|manager 'king': must be worker or manager; see 'warren token show --help'"},
        {1, {"node", "inspect", "nope"}, 1, "node 'nope': not found; see: warren node ls"},
        {1, {"frobnicate"}, 2, "unknown command 'frobnicate'; see 'warren --help'"},
    });
}

TEST_F(BadInput, WithoutTheDaemonOrTheRightsIsSaidWithTheRemedy) {
    auto& host = lab->host(4);
    const auto before = kernel_state(host);
    const auto as_nobody = [&](const Argv& argv) {
        const auto nobody = fmt::format("{}", kNobody);
        Argv whole{"setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups"};
        whole.insert(whole.end(), argv.begin(), argv.end());
        return host.run(whole);
    };
    const auto refused = as_nobody(host.warren_command({"status"}));
    EXPECT_EQ(refused.code, 3) << refused.out;
    EXPECT_TRUE(is_like(line_of(refused),
                        "cannot reach warrend at …/warren.sock: Permission denied; be root or in the "
                        "group warren (usermod -aG warren USER, then log in again)"))
        << refused.err;
    const auto daemon = as_nobody(Host::daemon_program());
    EXPECT_EQ(daemon.code, 1);
    EXPECT_EQ(daemon.err, "warrend: must run as root: it makes network devices and IPsec SAs\n") << daemon.out;

    const std::string far = "/run/lab/" + std::string(100, 'x');
    auto too_long = Host::daemon_program();
    too_long.insert(too_long.end(), {"--state-dir", "/run/lab/state-of-none", "--run-dir", far});
    EXPECT_EQ(run(too_long).err, "warrend: --run-dir " + far + ": the path of its socket, " + far +
                                     "/warren.sock, has 121 bytes, and a socket's must have at most 107; choose a "
                                     "shorter one\n");

    host.stop_daemon();
    const auto silent = host.warren({"status"});
    EXPECT_EQ(silent.code, 3) << silent.out;
    EXPECT_TRUE(is_like(line_of(silent),
                        "cannot reach warrend at …/warren.sock: …; is it running? Start it with: "
                        "warrend --run-dir …"))
        << silent.err;
    EXPECT_EQ(kernel_state(host), before);
}

// A clock that is behind takes the cluster's certificates for not valid yet, one far ahead for expired.
TEST_F(BadInput, AWrongClockIsNamed) {
    constexpr std::chrono::hours kDay(24);
    expect_refused({
        {.host = 4,
         .args = join(tokens[0]),
         .error = "the cluster's root certificate is valid from … to …, and this host's clock says …: set the clock",
         .clock = -2 * kDay},
        {.host = 4,
         .args = join(tokens[0]),
         .error = "manager 192.0.2.1:7443: its certificate is not valid by this host's clock, or somebody else answers "
                  "there: compare the clocks of both hosts",
         .clock = 100 * kDay},
    });
}

}  // namespace
}  // namespace warren::lab
