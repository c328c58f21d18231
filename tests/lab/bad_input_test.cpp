#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <optional>
#include <sstream>
#include <string_view>

#include "tests/lab/expect.h"
#include "tests/lab/kernel_state.h"
#include "tests/lab/lab.h"
#include "tests/lab/udp_sender.h"

// Every mistake gets one error that says which field, which value, which rule and, where it is not plain, the remedy;
// the exit code that docs/cli.md promises; and nothing is changed by it.
namespace warren::lab {
namespace {

struct Mistake {
    unsigned host = 1;
    Argv args;
    int code = 1;
    std::string error;                            // all of what follows "warren: "; "…" stands for anything
    std::optional<std::chrono::seconds> clock{};  // the host's daemon starts anew first, its clock wrong by that
};

// Whether the text is the pattern, in which "…" stands for anything.
bool is_like(std::string_view text, std::string_view pattern) {
    constexpr std::string_view kAnything = "…";
    const auto gap = pattern.find(kAnything);
    if (gap == std::string_view::npos) {
        return text == pattern;
    }
    if (!text.starts_with(pattern.substr(0, gap))) {
        return false;
    }
    const auto rest = pattern.substr(gap + kAnything.size());
    for (auto at = gap; at <= text.size(); ++at) {
        if (is_like(text.substr(at), rest)) {
            return true;
        }
    }
    return false;
}

std::string line_of(const Output& output) {
    constexpr std::string_view kPrefix = "warren: ";
    auto text = output.err;
    text.erase(0, text.starts_with(kPrefix) ? kPrefix.size() : 0);
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

// An endpoint that was made and taken back has changed the network's revision, and nothing else.
std::string without_revisions(const std::string& json) {
    std::istringstream in(json);
    std::string kept;
    for (std::string line; std::getline(in, line);) {
        if (line.find("\"revision\":") == std::string::npos) {
            kept += line + "\n";
        }
    }
    return kept;
}

// The host's files with the hashes of what is in them, but for the store's: that has the revisions, and is compared as
// the manager shows it.
std::string files_of(const Host& host) {
    std::string text;
    Argv hash{"sha256sum", "--", "/dev/null"};  // one at least
    for (const auto& entry : std::filesystem::recursive_directory_iterator(host.state_dir())) {
        text += entry.path().string() + "\n";
        if (entry.is_regular_file() && !entry.path().filename().string().starts_with("store.db")) {
            hash.push_back(entry.path().string());
        }
    }
    return text + must(hash);
}

// h1 and h2 are a cluster with network net1 and its endpoint web, h3 is another cluster, h4 is in none. c1 is
// connected, spare is not.
class BadInput : public testing::Test {
  protected:
    BadInput() : lab(std::make_unique<Lab>(4)) {
        for (const auto& host : lab->hosts()) {
            host->start_daemon();
        }
        for (const unsigned number : {1U, 3U}) {
            auto& host = lab->host(number);
            host.warren_ok({"cluster", "init", "--data-addr", "eth0", "--node-name", host.name()});
            tokens.push_back(lab->host(number).ask<v1::TokenShowReply>({"token", "show", "worker"}).token());
        }
        lab->host(2).warren_ok(join(tokens[0], {"--node-name", "h2"}));
        lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "--subnet", "10.1.0.0/24", "net1"});
        lab->host(1).connect("net1", web, {"--ip", "10.1.0.7"});
    }

    [[nodiscard]] static Argv join(const std::string& token, const Argv& extra = {}) {
        Argv argv{"cluster", "join", "--token", token, "--data-addr", "eth0"};
        argv.insert(argv.end(), extra.begin(), extra.end());
        argv.emplace_back("192.0.2.1");
        return argv;
    }
    // On top of net1, with everything else right.
    [[nodiscard]] static Argv create(const Argv& options, const std::string& name = "net2") {
        Argv argv{"network", "create"};
        argv.insert(argv.end(), options.begin(), options.end());
        argv.push_back(name);
        return argv;
    }
    [[nodiscard]] static Argv connect(const Argv& options, const std::string& netns = "spare") {
        Argv argv{"network", "connect", "net1", "--netns", netns};
        argv.insert(argv.end(), options.begin(), options.end());
        return argv;
    }

    // What a mistake must not change: what managers know, what is on disk, what is in the kernels.
    [[nodiscard]] std::string everything() {
        std::string text;
        for (const unsigned number : {1U, 3U}) {
            for (const Argv& args : {Argv{"network", "ls"},
                                     {"endpoint", "ls"},
                                     {"key", "ls"},
                                     {"token", "show", "worker"},
                                     {"token", "show", "manager"},
                                     {"ca", "show"},
                                     {"cert", "ls"}}) {
                Argv json{"--format", "json"};
                json.insert(json.end(), args.begin(), args.end());
                text += without_revisions(lab->host(number).warren_ok(json)) + "\n";
            }
            const auto list = lab->host(number).ask<v1::NodeListReply>({"node", "ls"});
            for (const auto& node : list.nodes()) {
                text += fmt::format("node {} {} {}\n", node.id(), node.name(), node.data_address());
            }
            for (const auto& event : lab->host(number).ask_all<v1::Event>({"events"})) {
                if (event.kind() != "refused") {  // who is refused is noted
                    text += event.ShortDebugString() + "\n";
                }
            }
        }
        for (const auto& host : lab->hosts()) {
            text += kernel_state(*host) + files_of(*host);
        }
        return text;
    }

    void expect_refused(const std::vector<Mistake>& mistakes) {
        const auto before = everything();
        for (const auto& mistake : mistakes) {
            if (mistake.clock) {
                lab->host(mistake.host).stop_daemon();
                lab->host(mistake.host).start_daemon_at_other_time(*mistake.clock);
            }
            const auto output = lab->host(mistake.host).warren(mistake.args);
            const auto said =
                fmt::format("h{}: warren {}\n{}{}", mistake.host, fmt::join(mistake.args, " "), output.out, output.err);
            EXPECT_EQ(output.code, mistake.code) << said;
            EXPECT_EQ(output.out, "") << said;
            EXPECT_TRUE(output.err.starts_with("warren: ")) << said;
            EXPECT_EQ(std::ranges::count(output.err, '\n'), 1) << said;
            EXPECT_TRUE(is_like(line_of(output), mistake.error)) << said << "but wanted: " << mistake.error;
        }
        const auto after = everything();
        EXPECT_EQ(missing_lines(before, after), "") << "is gone or another now";
        EXPECT_EQ(missing_lines(after, before), "") << "has come";
    }

    std::unique_ptr<Lab> lab;
    Container web{"web"};
    Container spare{"spare"};
    std::vector<std::string> tokens;  // of h1's cluster and of h3's
};

// The secret of one token under the root of another cluster.
std::string with_secret_of(const std::string& token, const std::string& other) {
    return token.substr(0, token.rfind('-')) + other.substr(other.rfind('-'));
}

const std::string kNameRule = "must be 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit";

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

TEST_F(BadInput, OfNetworkCommandsIsRefused) {
    const std::string long_name(64, 'x');
    expect_refused({
        {1, {"network", "create"}, 2, "NAME is required; see 'warren network create --help'"},
        {1, create({}, "net1"), 1, "network name 'net1': taken by network …; choose another one"},
        {1, create({}, "a b"), 1, "network name 'a b': " + kNameRule},
        {1, create({}, ""), 1, "network name '': " + kNameRule},
        {1, create({}, long_name), 1, fmt::format("network name '{}': {}", long_name, kNameRule)},
        {1, create({"--driver", "bridge"}), 1, "--driver 'bridge': must be overlay"},
        {1, create({"--label", "=value"}), 1, "--label '=value': must be KEY or KEY=VALUE"},
        {1, create({"--subnet", "10.1.0.0/16"}), 1,
         "--subnet 10.1.0.0/16: overlaps 10.1.0.0/24 of network net1; choose another one"},
        {1, create({"--subnet", "10.2.0.1/24"}), 1,
         "--subnet 10.2.0.1/24: has bits set behind the prefix; the subnet is 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/31"}), 1, "--subnet 10.2.0.0/31: the prefix length must be 8 to 29"},
        {1, create({"--subnet", "fe80::/64"}), 1, "--subnet fe80::/64: must not be in the link-local range fe80::/10"},
        {1, create({"--subnet", "fd01::/64", "--subnet", "fd02::/64"}), 1,
         "--subnet fd02::/64: has no IPv4 subnet to go with: the first one of IPv6 goes with the first one of IPv4, "
         "and "
         "so on; give as many of each"},
        {1, create({"--ipv6", "--opt", "mtu=1200"}), 1, "--opt mtu=1200: must be at least 1280 where there is IPv6"},
        {1, create({"--opt", "vni=0"}), 1,
         "--opt vni=0: must be a number from 1 to 16777215, or several with commas between them"},
        {1, create({"--subnet", "banana"}), 1, "--subnet 'banana': must be ADDRESS/LENGTH, such as 10.1.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--gateway", "10.3.0.1"}), 1,
         "--gateway 10.3.0.1: must be in the network's subnet 10.2.0.0/24"},
        {1, create({"--ip-range", "10.2.0.0/25"}), 1, "--ip-range: needs the --subnet that it belongs to"},
        {1, create({"--subnet", "10.2.0.0/24", "--ip-range", "10.3.0.0/25"}), 1,
         "--ip-range 10.3.0.0/25: must be a part of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "10.2.0.0/24", "--aux-address", "10.2.0.9"}), 1,
         "--aux-address '10.2.0.9': must be NAME=IP"},
        {1, create({"--subnet", "10.2.0.0/24", "--aux-address", "router=10.2.0.1"}), 1,
         "--aux-address 10.2.0.1: is the gateway of the subnet 10.2.0.0/24"},
        {1, create({"--subnet", "192.0.2.0/25"}), 1, "--subnet 192.0.2.0/25: …"},
        {1, create({"--opt", "foo"}), 1,
         "--opt foo: unknown option; known are encrypted, cipher, encap, replay-window, key-rotation, "
         "rekey-after-packets, rekey-after-bytes, multicast, mtu, vni"},
        {1, create({"--opt", "encrypted=maybe"}), 1, "--opt encrypted=maybe: must be true or false"},
        {1, create({"--opt", "encrypted", "--opt", "encrypted=false"}), 1, "--opt encrypted: given twice"},
        {1, create({"--opt", "encrypted", "--opt", "cipher=des"}), 1,
         "--opt cipher 'des': must be aes-128-gcm, aes-256-gcm or chacha20-poly1305, or auto"},
        {1, create({"--opt", "encrypted", "--opt", "encap=tcp"}), 1,
         "--opt encap=tcp: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        {1, create({"--opt", "encrypted", "--opt", "encap=udp:10001"}), 1,
         "--opt encap=udp:10001: UDP ports 4789, and 10000 to 26383 belong to networks of this cluster; choose another "
         "port"},
        {1, create({"--opt", "cipher=aes-256-gcm"}), 1,
         "--opt cipher: only for encrypted networks; add --opt encrypted"},
        {1, create({"--opt", "encrypted", "--opt", "replay-window=7"}), 1,
         "--opt replay-window=7: must be a number from 32 to 4096"},
        {1, create({"--opt", "mtu=abc"}), 1, "--opt mtu=abc: must be a number from 576 to 65535, or auto"},
        {1, create({"--opt", "mtu=9000"}), 1, "--opt mtu=9000: …1450…"},
        {1, {"network", "inspect", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "rm", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "rm", "net1"}, 1, "network 'net1' is in use by 1 endpoint (web on h1): disconnect it first"},
        {1,
         {"network", "ls", "--filter", "colour=red"},
         2,
         "--filter colour=red: unknown key; known are name, id, driver, label, encrypted, dangling"},
        {1, {"endpoint", "inspect", "nope"}, 1, "endpoint 'nope': not found; see warren endpoint ls"},
        {1, {"endpoint", "ls", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"key", "rotate", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"key", "status", "nope"}, 1, "network 'nope': not found; see: warren network ls"},
    });
}

TEST_F(BadInput, OfConnectIsRefused) {
    const auto pid = fmt::format("{}", lab->host(1).daemon_pid());
    expect_refused({
        {1, {"network", "connect", "nope", "--netns", "spare"}, 1, "network 'nope': not found; see: warren network ls"},
        {1,
         {"network", "connect", "net1"},
         2,
         "which container? give --netns NAME|PATH or --pid PID; see 'warren network connect --help'"},
        {1,
         {"network", "connect", "net1", "--pid", "banana"},
         2,
         "--pid 'banana': must be a number from 0 to 4194304; see 'warren network connect --help'"},
        {1,
         {"network", "connect", "net1", "--pid", "4194303"},
         1,
         "--pid 4194303: network namespace of process 4194303: no such process"},
        {1, {"network", "connect", "net1", "--pid", pid}, 1, "--pid " + pid + ": is the host's own network namespace"},
        {1, connect({}, "nope"), 1,
         "--netns nope: network namespace 'nope': no /run/netns/nope; 'ip netns list' shows what there is"},
        {1, connect({}, "/etc/hostname"), 1, "--netns /etc/hostname: /etc/hostname: is not a network namespace"},
        {1, connect({}, "h1"), 1, "--netns h1: is the host's own network namespace"},
        {1, connect({"--ip", "10.9.9.9"}), 1, "--ip 10.9.9.9: must be in the network's subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.1"}), 1, "--ip 10.1.0.1: is the gateway of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.0"}), 1, "--ip 10.1.0.0: is the network address of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0.255"}), 1, "--ip 10.1.0.255: is the broadcast address of the subnet 10.1.0.0/24"},
        {1, connect({"--ip", "10.1.0"}), 1, "--ip '10.1.0': must be an IPv4 or IPv6 address"},
        {2, connect({"--ip", "10.1.0.7"}), 1,
         "--ip 10.1.0.7: is taken by another endpoint of the network; choose another one, or none for the next that is "
         "free"},
        {2, connect({"--name", "web"}), 1,
         "--name 'web': taken by endpoint … of network 'net1' on node 'h1'; choose another one, or --take-over if this "
         "is to be it"},
        {1, connect({"--publish", "http:80"}), 1,
         "--publish 'http:80': a port must be a number from 1 to 65535; it is [IP:]HOSTPORT:PORT[/tcp|udp], such as "
         "8080:80/tcp"},
        {1, connect({"--publish", "80:80/sctp"}), 1,
         "--publish '80:80/sctp': the protocol must be tcp or udp; it is …"},
        {1, connect({"--publish", "7443:80/udp"}), 1,
         "--publish 7443:80/udp: UDP port 7443 is that of ESP in UDP; choose another one"},
        {1, connect({"--publish", "80:80", "--publish", "80:81"}), 1, "--publish 80:81/tcp: given twice"},
        {1, connect({"--service", "80:80"}), 1,
         "--service '80:80': the name must be 1 to 15 letters, digits and single hyphens between them, with a letter "
         "among them (RFC 6335); it is NAME:PORT[/tcp|udp], such as http:80/tcp"},
        {1, connect({"--service", "http:0"}), 1, "--service 'http:0': the port must be a number from 1 to 65535; …"},
        {1, connect({"--service", "http:80", "--service", "HTTP:80/tcp"}), 1,
         "--service http:80/tcp: given twice; once is enough"},
        {1, connect({"--name", "x/y"}), 1, "--name 'x/y': " + kNameRule},
        {1, connect({"--mac", "02:00"}), 1, "--mac '02:00': must be a unicast MAC address such as 02:57:00:00:00:01"},
        {1, connect({"--mac", "03:00:00:00:00:01"}), 1,
         "--mac '03:00:00:00:00:01': must be a unicast MAC address such as 02:57:00:00:00:01"},
        {1, connect({"--ifname", "averyveryverylongname"}), 1,
         "--ifname 'averyveryverylongname': must be an interface name: 1 to 15 bytes, no '/', ':' or white space"},
        {1, connect({}, "web"), 1, "--netns /run/netns/web: is in network 'net1' already, as endpoint 'web'"},
        {1, connect({"--ifname", "lo"}), 1,
         "--ifname lo: the container has an interface of that name already; choose another one"},
        {1, {"network", "disconnect", "nope", "web"}, 1, "network 'nope': not found; see: warren network ls"},
        {1, {"network", "disconnect", "net1", "nope"}, 1, "endpoint 'nope': not found; see: warren endpoint ls"},
        {2,
         {"network", "disconnect", "net1", "web"},
         1,
         "endpoint 'web' of network 'net1' is on node 'h1': disconnect it there"},
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
