#include "cli/parse.h"

#include <sys/un.h>

#include <algorithm>

#include "base/ip.h"
#include "cli/grammar.h"

namespace warren::cli {

namespace {

constexpr std::string_view kScheme = "unix://";
constexpr std::string_view kRemoteScheme = "tcp://";
constexpr std::uint16_t kManagerPort = 7443;
constexpr const char* kDefaultHost = "unix:///run/warren/warren.sock";

constexpr const char* kFirstSteps =
    R"(First steps (warrend runs on every host, as root):
  warren cluster init                                     on the first host
  warren token show worker                                prints the command for the others:
  warren cluster join --token TOKEN 192.0.2.1             on each of them
  warren network create --opt encrypted net1              anywhere a manager runs
  warren network connect net1 --netns web                 an interface for the network namespace web
  warren status                                           is everything well?

Every command has a --help with an example.
Exit codes: 0 done, 1 refused or failed, 2 usage, 3 daemon not reachable, 4 degraded (status).)";

// The options that stand before or after any command.
struct Globals {
    std::string host;
    std::string certificates;
    std::string format = "table";
    bool no_color = false;
};

void declare_globals(CLI::App& root, Globals& globals) {
    root.add_option("--host", globals.host, "whom to talk to (WARREN_HOST; unix:///run/warren/warren.sock)")
        ->option_text("unix://PATH|tcp://IP[:PORT]");
    root.add_option("--cert", globals.certificates, "with tcp://: the directory that 'warren cert issue' made")
        ->option_text("DIR");
    root.add_option("--format", globals.format, "table for people, json for scripts (the API's messages)")
        ->option_text("table|json")
        ->check([](const std::string& value) {
            return value == "table" || value == "json" ? std::string() : "'" + value + "': must be table or json";
        });
    root.add_flag("--no-color", globals.no_color, "no colours, as with NO_COLOR in the environment")
        ->check(true_or_false);
}

void declare_commands(CLI::App& root, Command& chosen, const Environment& environment) {
    add_cluster_commands(root, chosen);
    add_token_commands(root, chosen);
    add_cert_commands(root, chosen);
    add_node_commands(root, chosen);
    add_network_commands(root, chosen, environment);
    add_endpoint_commands(root, chosen);
    add_key_commands(root, chosen);
    add_events_command(root, chosen);
    add_ca_commands(root, chosen);
    add_status_command(root, chosen);
    add_command<ShowVersion>(root, chosen, {"version", "Show the version of this program", "warren version"},
                             [](Syntax& /*syntax*/, ShowVersion& /*value*/) {});
}

// The command that the line has got to, for the help to point at.
const CLI::App& deepest(const CLI::App& app) {
    const std::vector<CLI::App*> chosen = app.get_subcommands();
    return chosen.empty() ? app : deepest(*chosen.back());
}

bool is_group(const CLI::App& app) {
    return !app.get_subcommands(std::function<bool(const CLI::App*)>{}).empty();
}

tl::unexpected<base::Error> usage_error(const CLI::App& root, std::string_view what) {
    return base::fail(base::Code::kInvalid, "{}; see '{} --help'", what, full_name(deepest(root)));
}

// "--ip: At Most 1 required but received 2" and the like, as the rest of the program speaks.
std::string in_plain_words(const CLI::ParseError& error) {
    std::string text = error.what();
    const std::string name = text.substr(0, text.find(':'));
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
        return name + (text.find("At Most") == std::string::npos ? ": needs a value" : ": give it once only");
    }
    if (const auto quoted = text.find(": '"); quoted != std::string::npos) {
        text.erase(quoted, 1);  // "--format: 'xml': ..." is "--format 'xml': ..." everywhere else
    }
    return text;
}

// What CLI11 could not place says more than what it misses because of that.
std::string describe(const CLI::App& root, const CLI::ParseError& error) {
    const std::vector<std::string> unplaced = root.remaining(true);
    const auto option =
        std::find_if(unplaced.begin(), unplaced.end(), [](const std::string& word) { return word.starts_with('-'); });
    if (option != unplaced.end()) {
        return "unknown option " + *option;
    }
    if (!unplaced.empty()) {
        return (is_group(deepest(root)) ? "unknown command '" : "unexpected argument '") + unplaced.front() + "'";
    }
    return in_plain_words(error);
}

base::Result<Destination> remote(const std::string& what, const std::string& host, const std::string& certificates) {
    const auto address = base::parse_socket_address(what, host.substr(kRemoteScheme.size()), kManagerPort);
    if (!address) {
        return base::fail(base::Code::kInvalid, "{} '{}': must be tcp://IP or tcp://IP:PORT; see 'warren --help'", what,
                          host);
    }
    if (certificates.empty()) {
        return base::fail(base::Code::kInvalid,
                          "{} '{}': needs --cert DIR, the directory that 'warren cert issue' made; see 'warren --help'",
                          what, host);
    }
    return Destination{.socket = {}, .manager = address->text(), .certificates = certificates};
}

base::Result<Destination> destination(const Globals& globals, const Environment& environment) {
    const bool from_environment = globals.host.empty() && !environment.warren_host.empty();
    const std::string host = !globals.host.empty() ? globals.host
                             : from_environment    ? environment.warren_host
                                                   : kDefaultHost;
    const char* what = from_environment ? "WARREN_HOST" : "--host";
    if (host.starts_with(kRemoteScheme)) {
        return remote(what, host, globals.certificates);
    }
    if (!globals.certificates.empty()) {
        return base::fail(base::Code::kInvalid, "--cert: only with --host tcp://IP:PORT; see 'warren --help'");
    }
    if (!host.starts_with(kScheme) || host.size() == kScheme.size()) {
        return base::fail(base::Code::kInvalid,
                          "{} '{}': must be unix://PATH, such as {}, or tcp://IP:PORT; see 'warren --help'", what, host,
                          kDefaultHost);
    }
    std::string path = host.substr(kScheme.size());
    constexpr std::size_t kLongest = sizeof(sockaddr_un::sun_path) - 1;
    if (path.size() > kLongest) {
        return base::fail(base::Code::kInvalid, "{} '{}': a socket's path has at most {} bytes; see 'warren --help'",
                          what, host, kLongest);
    }
    return Destination{.socket = std::move(path), .manager = {}, .certificates = {}};
}

// Runs CLI11, whose exceptions end here.
base::Status run_parser(CLI::App& root, const std::vector<std::string>& arguments, Command& chosen) {
    try {
        root.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::CallForHelp&) {
        chosen = PrintHelp{.text = root.help()};
        return {};
    } catch (const CLI::CallForVersion&) {
        chosen = ShowVersion{};
        return {};
    } catch (const CLI::ParseError& error) {
        return usage_error(root, describe(root, error));
    }
    if (is_group(deepest(root))) {
        chosen = PrintHelp{.text = root.help(), .exit = Exit::kUsage};
    }
    return {};
}

}  // namespace

base::Result<Invocation> parse(const std::vector<std::string>& arguments, const Environment& environment) {
    Globals globals;
    Invocation invocation;
    CLI::App root("Encrypted overlay networks for containers on Linux hosts", "warren");
    root.formatter(std::make_shared<HelpText>());
    root.set_help_flag("-h,--help", "this text");
    root.set_version_flag("--version", std::string(), "as 'warren version'");
    // At most one, at every level: without it CLI11 takes a network named "status" for a second command.
    root.require_subcommand(0, 1);
    root.footer(kFirstSteps);
    declare_globals(root, globals);
    declare_commands(root, invocation.command, environment);

    WARREN_TRY(run_parser(root, arguments, invocation.command));
    WARREN_TRY_ASSIGN(invocation.destination, destination(globals, environment));
    invocation.format = globals.format == "json" ? Format::kJson : Format::kTable;
    invocation.no_color = globals.no_color;
    return invocation;
}

}  // namespace warren::cli
