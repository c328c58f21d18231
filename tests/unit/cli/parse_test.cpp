#include "cli/parse.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <ostream>

#include "base/text.h"

namespace warren::cli {
namespace {

const Environment kBare{.warren_host = "", .working_directory = "/home/alice"};

base::Result<Invocation> parse_line(std::string_view line, const Environment& environment = kBare) {
    std::vector<std::string> words;
    for (const std::string_view word : line.empty() ? std::vector<std::string_view>() : base::split(line, ' ')) {
        words.emplace_back(word);
    }
    return parse(words, environment);
}

std::string show(const google::protobuf::Message& message) {
    google::protobuf::TextFormat::Printer printer;
    printer.SetSingleLineMode(true);
    std::string text;
    printer.PrintToString(message, &text);
    return text.empty() ? text : text.substr(0, text.size() - 1);
}
// The request of any command, and how it is to be shown.
std::string show(const Command& command) {
    return std::visit(
        [](const auto& value) {
            std::string text;
            if constexpr (requires { value.request; }) {
                text = show(value.request);
            }
            if constexpr (requires { value.networks; }) {
                for (const std::string& network : value.networks) {
                    text += "<" + network + ">";
                }
            }
            if constexpr (requires { value.quiet; }) {
                text += value.quiet ? " quiet" : "";
            }
            if constexpr (requires { value.verbose; }) {
                text += value.verbose ? " verbose" : "";
            }
            if constexpr (requires { value.abort; }) {
                text += value.abort ? " abort" : "";
                text += value.all ? fmt::format(" all {}", value.at_once) : "";
            }
            return text;
        },
        command);
}

struct Line {
    std::string_view line;
    std::size_t command;  // index in the variant
    std::string_view request;
};
void PrintTo(const Line& line, std::ostream* out) {
    *out << line.line;
}

template <typename T, std::size_t I = 0>
constexpr std::size_t index_of() {
    if constexpr (std::is_same_v<std::variant_alternative_t<I, Command>, T>) {
        return I;
    } else {
        return index_of<T, I + 1>();
    }
}

class Understood : public testing::TestWithParam<Line> {};

TEST_P(Understood, BecomesTheRequest) {
    const auto invocation = parse_line(GetParam().line);
    ASSERT_TRUE(invocation) << invocation.error().message();
    EXPECT_EQ(invocation->command.index(), GetParam().command);
    EXPECT_EQ(show(invocation->command), GetParam().request);
}

INSTANTIATE_TEST_SUITE_P(
    Commands, Understood,
    testing::Values(
        Line{"cluster init", index_of<ClusterInit>(), ""},
        Line{"cluster init --listen 0.0.0.0:7000 --advertise-addr 192.0.2.1 --data-addr eth1 --name lab --node-name n1",
             index_of<ClusterInit>(),
             R"(listen: "0.0.0.0:7000" advertise_addr: "192.0.2.1" data_addr: "eth1" name: "lab" node_name: "n1")"},
        Line{"cluster init --subnet-pool 10.0.0.0/8 --subnet-size 26 --plain-port 4790 --port-base 20000 "
             "--rotation-grace 1s --straggler-limit 10m",
             index_of<ClusterInit>(),
             R"(subnet_pool: "10.0.0.0/8" subnet_size: 26 plain_port: 4790 port_base: 20000 rotation_grace: "1s" )"
             R"(straggler_limit: "10m")"},
        Line{"cluster join --token WRN1-a-b 192.0.2.1:7443 --node-name n2", index_of<ClusterJoin>(),
             R"(token: "WRN1-a-b" manager: "192.0.2.1:7443" node_name: "n2")"},
        Line{"cluster join --token T --data-addr eth1 --advertise-addr 192.0.2.2 [2001:db8::1]:7443",
             index_of<ClusterJoin>(),
             R"(token: "T" manager: "[2001:db8::1]:7443" advertise_addr: "192.0.2.2" data_addr: "eth1")"},
        Line{"cluster info", index_of<ClusterInfo>(), ""},
        Line{"cluster leave --force", index_of<ClusterLeave>(), "force: true"},
        Line{"cert issue --role operator --out d --expires 7d alice", index_of<CertIssue>(),
             R"(role: "operator" name: "alice" expires: "7d")"},
        Line{"cert ls", index_of<CertList>(), ""},
        Line{"cert revoke alice", index_of<CertRevoke>(), R"(certificate: "alice")"},
        Line{"node rm n1", index_of<NodeRemove>(), R"(node: "n1")"},
        Line{"node rm --force n1", index_of<NodeRemove>(), R"(node: "n1" force: true)"},
        Line{"token show worker", index_of<TokenShow>(), R"(role: "worker")"},
        Line{"token show -q manager", index_of<TokenShow>(), R"(role: "manager" quiet)"},
        Line{"token rotate worker", index_of<TokenRotate>(), R"(role: "worker")"},
        Line{"token rotate -q --expires 12h --uses 3 manager", index_of<TokenRotate>(),
             R"(role: "manager" expires: "12h" uses: 3 quiet)"},
        Line{"node ls", index_of<NodeList>(), ""}, Line{"node ls --quiet", index_of<NodeList>(), " quiet"},
        Line{"node inspect n1", index_of<NodeInspect>(), R"(node: "n1")"},
        Line{"network create net1", index_of<NetworkCreate>(), R"(name: "net1")"},
        Line{"network create --opt encrypted --opt cipher=aes-256-gcm --driver overlay --subnet 10.9.0.0/24 "
             "--gateway 10.9.0.254 --label a=b --label c --internal net1",
             index_of<NetworkCreate>(),
             R"(name: "net1" driver: "overlay" options: "encrypted" options: "cipher=aes-256-gcm" )"
             R"(subnets: "10.9.0.0/24" gateways: "10.9.0.254" labels: "a=b" labels: "c" internal: true)"},
        Line{"network create --ipv6 --subnet 10.9.0.0/24 --subnet fd09::/64 net1", index_of<NetworkCreate>(),
             R"(name: "net1" subnets: "10.9.0.0/24" subnets: "fd09::/64" ipv6: true)"},
        Line{"network create net1 --opt=encrypted=false", index_of<NetworkCreate>(),
             R"(name: "net1" options: "encrypted=false")"},
        Line{"network ls", index_of<NetworkList>(), ""}, Line{"network ls -q", index_of<NetworkList>(), " quiet"},
        Line{"network inspect net1", index_of<NetworkInspect>(), R"(network: "net1")"},
        Line{"network inspect -v net1", index_of<NetworkInspect>(), R"(network: "net1" verbose)"},
        Line{"network verify net1", index_of<NetworkVerify>(), R"(network: "net1")"},
        Line{"network rm net1 net2 net3", index_of<NetworkRemove>(), "<net1><net2><net3>"},
        Line{"network connect net1 --netns web", index_of<NetworkConnect>(), R"(network: "net1" netns: "web")"},
        Line{
            "network connect --netns /run/netns/web net1 --name w --alias a --alias b --ip 10.9.0.7 --ip fd09::7 --mac "
            "02:00:00:00:00:07 --ifname eth7",
            index_of<NetworkConnect>(),
            R"(network: "net1" netns: "/run/netns/web" name: "w" aliases: "a" aliases: "b" )"
            R"(mac: "02:00:00:00:00:07" ifname: "eth7" ips: "10.9.0.7" ips: "fd09::7")"},
        Line{"network connect net1 --netns web --service http:80 --service dns:53/udp", index_of<NetworkConnect>(),
             R"(network: "net1" netns: "web" services: "http:80" services: "dns:53/udp")"},
        Line{"network connect net1 --pid 42", index_of<NetworkConnect>(), R"(network: "net1" pid: 42)"},
        Line{"network disconnect net1 web", index_of<NetworkDisconnect>(), R"(network: "net1" endpoint: "web")"},
        Line{"endpoint ls", index_of<EndpointList>(), ""},
        Line{"endpoint ls net1", index_of<EndpointList>(), R"(network: "net1")"},
        Line{"key ls", index_of<KeyList>(), ""}, Line{"key status", index_of<KeyStatus>(), ""},
        Line{"key status net1", index_of<KeyStatus>(), R"(network: "net1")"},
        Line{"key rotate net1", index_of<KeyRotate>(), R"(network: "net1")"},
        Line{"key rotate --detach net1", index_of<KeyRotate>(), R"(network: "net1" detach: true)"},
        Line{"key rotate --abort net1", index_of<KeyRotate>(), R"(network: "net1" abort)"},
        Line{"key rotate --all", index_of<KeyRotate>(), " all 4"},
        Line{"key rotate --all --at-once 9", index_of<KeyRotate>(), " all 9"},
        Line{"key history net1", index_of<KeyHistory>(), R"(network: "net1")"},
        Line{"network update net1 --opt cipher=aes-256-gcm --opt key-rotation=1h", index_of<NetworkUpdate>(),
             R"(network: "net1" options: "cipher=aes-256-gcm" options: "key-rotation=1h")"},
        Line{"ca show", index_of<CaShow>(), ""}, Line{"cert show", index_of<CertShow>(), ""},
        Line{"cert renew", index_of<CertRenew>(), ""}, Line{"status", index_of<Status>(), ""},
        Line{"doctor", index_of<Doctor>(), ""}, Line{"version", index_of<ShowVersion>(), ""},
        Line{"--version", index_of<ShowVersion>(), ""},
        // Names of commands are good names of networks too.
        Line{"network inspect status", index_of<NetworkInspect>(), R"(network: "status")"},
        Line{"network rm network ls key", index_of<NetworkRemove>(), "<network><ls><key>"},
        Line{"network create version", index_of<NetworkCreate>(), R"(name: "version")"},
        // What begins with a dash is still a value where one is due, and a name after "--".
        Line{"network create --label -x net1", index_of<NetworkCreate>(), R"(name: "net1" labels: "-x")"},
        Line{"network inspect -- -x", index_of<NetworkInspect>(), R"(network: "-x")"}));

struct BadLine {
    std::string_view line;
    std::string_view error;
};
void PrintTo(const BadLine& line, std::ostream* out) {
    *out << line.line;
}

class Refused : public testing::TestWithParam<BadLine> {};

TEST_P(Refused, SaysWhatAndWhereToLook) {
    const auto invocation = parse_line(GetParam().line);
    ASSERT_FALSE(invocation);
    EXPECT_EQ(invocation.error().message(), GetParam().error);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, Refused,
    testing::Values(
        BadLine{"netwrk ls", "unknown command 'netwrk'; see 'warren --help'"},
        BadLine{"network frob", "unknown command 'frob'; see 'warren network --help'"},
        BadLine{"--verbose", "unknown option --verbose; see 'warren --help'"},
        BadLine{"network create --frob", "unknown option --frob; see 'warren network create --help'"},
        BadLine{"network create", "NAME is required; see 'warren network create --help'"},
        BadLine{"network create a b", "unexpected argument 'b'; see 'warren network create --help'"},
        BadLine{"network rm", "NETWORK is required; see 'warren network rm --help'"},
        BadLine{"network disconnect net1", "ENDPOINT is required; see 'warren network disconnect --help'"},
        BadLine{"network ls net1", "unexpected argument 'net1'; see 'warren network ls --help'"},
        BadLine{"network connect net1",
                "which container? give --netns NAME|PATH or --pid PID; see 'warren network connect --help'"},
        BadLine{"network connect net1 --netns web --pid 7",
                "--netns and --pid both name the container: give one of them; see 'warren network connect --help'"},
        BadLine{"network connect net1 --pid web",
                "--pid 'web': must be a number from 0 to 4194304; see 'warren network connect --help'"},
        BadLine{"network connect net1 --netns", "--netns: needs a value; see 'warren network connect --help'"},
        BadLine{"network connect net1 --netns a --mac 02:00:00:00:00:07 --mac 02:00:00:00:00:08",
                "--mac: give it once only; see 'warren network connect --help'"},
        BadLine{"network create --internal=maybe net1",
                "--internal 'maybe': must be true or false, or left out; see 'warren network create --help'"},
        BadLine{"network create --ipv6=2 net1",
                "--ipv6 '2': must be true or false, or left out; see 'warren network create --help'"},
        BadLine{"network connect net1 --netns a --take-over=yes",
                "--take-over 'yes': must be true or false, or left out; see 'warren network connect --help'"},
        BadLine{"network prune --force=maybe",
                "--force 'maybe': must be true or false, or left out; see 'warren network prune --help'"},
        BadLine{"network prune net1", "unexpected argument 'net1'; see 'warren network prune --help'"},
        BadLine{"network update --opt mtu=1400", "NETWORK is required; see 'warren network update --help'"},
        BadLine{"status --no-color=x",
                "--no-color 'x': must be true or false, or left out; see 'warren status --help'"},
        BadLine{"cluster join 192.0.2.1", "--token is required; see 'warren cluster join --help'"},
        BadLine{"cluster join --token T", "MANAGER is required; see 'warren cluster join --help'"},
        BadLine{"cluster init --plain-port 65536",
                "--plain-port '65536': must be a number from 0 to 65535; see 'warren cluster init --help'"},
        BadLine{"cluster init --subnet-size -1",
                "--subnet-size '-1': must be a number from 0 to 32; see 'warren cluster init --help'"},
        BadLine{"token show boss", "worker|manager 'boss': must be worker or manager; see 'warren token show --help'"},
        BadLine{"token rotate boss",
                "worker|manager 'boss': must be worker or manager; see 'warren token rotate --help'"},
        BadLine{"token show", "worker|manager is required; see 'warren token show --help'"},
        BadLine{"key rotate", "which network? give NETWORK or --all; see 'warren key rotate --help'"},
        BadLine{"key rotate --all net1", "--all and NETWORK exclude each other; see 'warren key rotate --help'"},
        BadLine{"key rotate --abort --detach net1",
                "--abort takes a NETWORK and no other option; see 'warren key rotate --help'"},
        BadLine{"key rotate --all --detach",
                "--all and --detach exclude each other: this command is what keeps to --at-once; see 'warren key "
                "rotate --help'"},
        BadLine{"key rotate --at-once 2 net1", "--at-once is for --all; see 'warren key rotate --help'"},
        BadLine{"key rotate --all --at-once 0", "--at-once '0': must be from 1 to 64; see 'warren key rotate --help'"},
        BadLine{"--format yaml status", "--format 'yaml': must be table or json; see 'warren status --help'"},
        BadLine{"--host tcp://192.0.2.1 node ls",
                "--host 'tcp://192.0.2.1': needs --cert DIR, the directory that 'warren cert issue' made; see 'warren "
                "--help'"},
        BadLine{"--host tcp://manager --cert d node ls",
                "--host 'tcp://manager': must be tcp://IP or tcp://IP:PORT; see 'warren --help'"},
        BadLine{"--cert d node ls", "--cert: only with --host tcp://IP:PORT; see 'warren --help'"},
        BadLine{"cert issue --role operator alice", "--out is required; see 'warren cert issue --help'"},
        BadLine{"--host http://192.0.2.1 status",
                "--host 'http://192.0.2.1': must be unix://PATH, such as unix:///run/warren/warren.sock, or "
                "tcp://IP:PORT; see "
                "'warren --help'"},
        BadLine{"--host unix:// status",
                "--host 'unix://': must be unix://PATH, such as unix:///run/warren/warren.sock, or tcp://IP:PORT; see "
                "'warren --help'"}));

TEST(Globals, StandAnywhereOnTheLine) {
    for (const std::string_view line : {"--format json --host unix:///tmp/w.sock --no-color network ls",
                                        "network --format json ls --host unix:///tmp/w.sock --no-color",
                                        "network ls --no-color --host=unix:///tmp/w.sock --format=json"}) {
        const auto invocation = parse_line(line);
        ASSERT_TRUE(invocation) << line;
        EXPECT_EQ(invocation->format, Format::kJson) << line;
        EXPECT_EQ(invocation->destination.socket, "/tmp/w.sock") << line;
        EXPECT_TRUE(invocation->no_color) << line;
    }
}

TEST(Globals, HaveDefaults) {
    const auto invocation = parse_line("status");
    ASSERT_TRUE(invocation);
    EXPECT_EQ(invocation->format, Format::kTable);
    EXPECT_EQ(invocation->destination.socket, "/run/warren/warren.sock");
    EXPECT_FALSE(invocation->no_color);
}

TEST(Globals, HostComesFromTheEnvironmentUnlessGiven) {
    const Environment environment{.warren_host = "unix:///run/a.sock", .working_directory = "/"};
    EXPECT_EQ(parse_line("status", environment)->destination.socket, "/run/a.sock");
    EXPECT_EQ(parse_line("status --host unix:///run/b.sock", environment)->destination.socket, "/run/b.sock");
    const auto bad = parse_line("status", {.warren_host = "/run/a.sock", .working_directory = "/"});
    ASSERT_FALSE(bad);
    EXPECT_TRUE(bad.error().message().starts_with("WARREN_HOST '/run/a.sock': must be unix://PATH"));
}

TEST(Globals, SocketPathFitsTheKernelsAddress) {
    EXPECT_TRUE(parse_line("status --host unix:///" + std::string(106, 'a')));
    const auto bad = parse_line("status --host unix:///" + std::string(107, 'a'));
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().message().find("at most 107 bytes"), std::string::npos);
}

// The daemon has another working directory; a name is not a path.
TEST(Netns, RelativePathsBecomeAbsolute) {
    const auto netns = [](std::string_view line) {
        return std::get<NetworkConnect>(parse_line(line)->command).request.netns();
    };
    EXPECT_EQ(netns("network connect net1 --netns ./web"), "/home/alice/web");
    EXPECT_EQ(netns("network connect net1 --netns ../web"), "/home/web");
    EXPECT_EQ(netns("network connect net1 --netns /proc/7/ns/net"), "/proc/7/ns/net");
    EXPECT_EQ(netns("network connect net1 --netns web"), "web");
}

TEST(Help, IsAskedForOrShownForWantOfACommand) {
    const auto text = [](std::string_view line, Exit exit) {
        const auto invocation = parse_line(line);
        const auto* help = invocation ? std::get_if<PrintHelp>(&invocation->command) : nullptr;
        return help != nullptr && help->exit == exit ? help->text : std::string();
    };
    EXPECT_NE(text("--help", Exit::kDone).find("First steps"), std::string::npos);
    EXPECT_NE(text("", Exit::kUsage).find("First steps"), std::string::npos);
    EXPECT_NE(text("network", Exit::kUsage).find("Usage: warren network [OPTIONS] COMMAND"), std::string::npos);
    EXPECT_NE(text("network create -h", Exit::kDone).find("Usage: warren network create [OPTIONS] NAME"),
              std::string::npos);
    EXPECT_NE(text("network rm --help", Exit::kDone).find("[OPTIONS] NETWORK..."), std::string::npos);
    EXPECT_NE(text("endpoint ls --help", Exit::kDone).find("[OPTIONS] [NETWORK]"), std::string::npos);
    EXPECT_NE(text("cluster join --help", Exit::kDone).find("[OPTIONS] MANAGER[:PORT]"), std::string::npos);
}

TEST(Help, FitsAnOrdinaryTerminalAndHasAnExample) {
    for (const std::string_view line : {"",
                                        "cluster",
                                        "cluster init",
                                        "cluster join",
                                        "cluster info",
                                        "token show",
                                        "token rotate",
                                        "node ls",
                                        "node inspect",
                                        "network",
                                        "network create",
                                        "network ls",
                                        "network inspect",
                                        "network rm",
                                        "network update",
                                        "network connect",
                                        "network disconnect",
                                        "endpoint ls",
                                        "key ls",
                                        "key status",
                                        "key history",
                                        "key rotate",
                                        "ca",
                                        "ca show",
                                        "ca rotate",
                                        "cert",
                                        "cert show",
                                        "cert renew",
                                        "status",
                                        "version"}) {
        const auto invocation = parse_line(line.empty() ? "--help" : std::string(line) + " --help");
        ASSERT_TRUE(invocation) << line;
        const std::string& text = std::get<PrintHelp>(invocation->command).text;
        EXPECT_NE(text.find(line.empty() ? "First steps" : "Example:\n  warren " + std::string(line.substr(0, 4))),
                  std::string::npos)
            << text;
        for (const std::string_view row : base::split(text, '\n')) {
            EXPECT_LE(row.size(), 100U) << row;
        }
    }
}

TEST(Host, MayBeAManagerFromAnywhereWithACertificate) {
    const Destination manager{.socket = {}, .manager = "192.0.2.1:7443", .certificates = "alice"};
    EXPECT_EQ(parse_line("--host tcp://192.0.2.1 --cert alice node ls")->destination, manager);
    EXPECT_EQ(parse_line("node ls --cert alice --host tcp://192.0.2.1:7443")->destination, manager);
    const Environment environment{.warren_host = "tcp://192.0.2.1", .working_directory = "/"};
    EXPECT_EQ(parse_line("node ls --cert alice", environment)->destination, manager);
    EXPECT_EQ(parse_line("--host tcp://[2001:db8::1]:7000 --cert alice node ls")->destination.manager,
              "[2001:db8::1]:7000");
}

}  // namespace
}  // namespace warren::cli
