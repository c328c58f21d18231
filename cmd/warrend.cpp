#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/fault_point.h"
#include "base/log.h"
#include "certs/grpc_credentials.h"
#include "certs/tls_policy.h"
#include "cmd/daemon.h"

namespace {

using warren::base::Log;

constexpr Log kLog{"warrend"};
constexpr int kFailed = 1;
constexpr int kUsage = 2;

struct Arguments {
    warren::cmd::DaemonOptions daemon;
    std::string log_level = "info";
};

void declare(CLI::App& app, Arguments& arguments) {
    app.set_config("--config", "", "A file with the options below, one KEY=VALUE a line");
    app.add_option("--state-dir", arguments.daemon.state_dir, "What survives a reboot: identity, a manager's store")
        ->capture_default_str();
    app.add_option("--run-dir", arguments.daemon.run_dir, "What does not: API socket, namespaces, the record of SAs")
        ->capture_default_str();
    app.add_option("--log-level", arguments.log_level, "debug, info, warn or error")->capture_default_str();
    app.set_version_flag("--version", WARREN_VERSION);
}

// Tests live through many renewals; no cluster should have certificates of a few seconds.
constexpr const char* kShortestLeafVariable = "WARREN_TEST_SHORTEST_LEAF";

warren::base::Status read_environment(Arguments& arguments) {
    WARREN_TRY(warren::base::arm_fault(std::getenv(warren::base::kFaultVariable)));
    if (const char* shortest = std::getenv(kShortestLeafVariable)) {
        WARREN_TRY_ASSIGN(arguments.daemon.shortest_leaf,
                          warren::base::parse_duration(kShortestLeafVariable, shortest));
    }
    return {};
}

int fail(const warren::base::Error& error) {
    std::fprintf(stderr, "warrend: %s\n", error.message().c_str());
    return kFailed;
}

int run(Arguments& arguments) {
    const auto level = warren::base::parse_log_level(arguments.log_level);
    if (!level) {
        (void)fail(level.error());
        return kUsage;
    }
    if (auto read = read_environment(arguments); !read) {
        (void)fail(read.error());
        return kUsage;
    }
    if (::geteuid() != 0) {
        return fail({warren::base::Code::kDenied, "must run as root: it makes network devices and IPsec SAs"});
    }
    // No core dump and no ptrace by other users: the process holds keys.
    ::prctl(PR_SET_DUMPABLE, 0);
    warren::base::start_logging(*level);
    warren::certs::adopt_grpc_log();
    if (auto tls = warren::certs::require_tls13(); !tls) {
        return fail(tls.error());
    }
    auto daemon = warren::cmd::Daemon::start(arguments.daemon);
    if (!daemon) {
        return fail(daemon.error());
    }
    (*daemon)->run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        CLI::App app("warrend: the daemon of an encrypted overlay network for containers", "warrend");
        Arguments arguments;
        declare(app, arguments);
        try {
            app.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return app.exit(error) == 0 ? 0 : kUsage;
        }
        return run(arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "warrend: %s\n", error.what());
        return kFailed;
    }
}
