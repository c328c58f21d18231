#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "base/fault_point.h"
#include "base/log.h"
#include "certs/grpc_credentials.h"
#include "certs/secure_heap.h"
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
    bool core_dumps = false;
};

void declare(CLI::App& app, Arguments& arguments) {
    app.set_config("--config", "", "A file with the options below, one KEY=VALUE a line");
    app.add_option("--state-dir", arguments.daemon.state_dir, "What survives a reboot: identity, a manager's store")
        ->capture_default_str();
    app.add_option("--run-dir", arguments.daemon.run_dir, "What does not: API socket, namespaces, the record of SAs")
        ->capture_default_str();
    app.add_option("--resolv-conf", arguments.daemon.resolv_conf,
                   "This host's resolv.conf(5): whom to ask for containers about names that are no endpoint's")
        ->capture_default_str();
    app.add_option("--log-level", arguments.log_level, "debug, info, warn or error")->capture_default_str();
    app.add_option("--unlock-key-file", arguments.daemon.unlock_key_file,
                   "Unlocks a manager that is locked; a file that only its owner may read");
    app.add_flag("--core-dumps", arguments.core_dumps,
                 "Let a crash dump core. For developers: keys are in it, whatever is done to keep them out");
    app.set_version_flag("--version", WARREN_VERSION);
}

// Tests live through many renewals; no cluster should have certificates of a few seconds.
constexpr const char* kShortestLeafVariable = "WARREN_TEST_SHORTEST_LEAF";
// Nor wait a minute for an MTU to grow.
constexpr const char* kMtuPatienceVariable = "WARREN_TEST_MTU_PATIENCE";

warren::base::Status read_environment(Arguments& arguments) {
    WARREN_TRY(warren::base::arm_fault(std::getenv(warren::base::kFaultVariable)));
    if (const char* shortest = std::getenv(kShortestLeafVariable)) {
        WARREN_TRY_ASSIGN(arguments.daemon.shortest_leaf,
                          warren::base::parse_duration(kShortestLeafVariable, shortest));
    }
    if (const char* patience = std::getenv(kMtuPatienceVariable)) {
        WARREN_TRY_ASSIGN(arguments.daemon.mtu_patience, warren::base::parse_duration(kMtuPatienceVariable, patience));
    }
    return {};
}

int fail(const warren::base::Error& error) {
    std::fprintf(stderr, "warrend: %s\n", error.message().c_str());
    return kFailed;
}

// A peer that closes its end while it is answered is an error of that call, not the end of the daemon.
void ignore_broken_pipes() {
    ::signal(SIGPIPE, SIG_IGN);
}

// A manager holds a connection for each node, and whoever knocks on its port takes one for a while.
void raise_file_limit() {
    constexpr rlim_t kPlenty = 262'144;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    const rlim_t wanted = std::max(limit.rlim_max, kPlenty);
    const rlimit raised{.rlim_cur = wanted, .rlim_max = wanted};
    if (::setrlimit(RLIMIT_NOFILE, &raised) != 0) {  // without CAP_SYS_RESOURCE
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
        kLog.warn("at most {} files can be open here: a flood of connections may shut a manager's port",
                  limit.rlim_max);
    }
}

// Secrets have pages of their own that no dump has (base/secret.h). But gRPC, protobuf, OpenSSL and the kernel's
// messages have copies for a while, so the whole process makes none, and no other user may look into it.
warren::base::Status keep_out_of_core_dumps() {
    constexpr rlimit kNone{.rlim_cur = 0, .rlim_max = 0};
    if (::setrlimit(RLIMIT_CORE, &kNone) != 0 || ::prctl(PR_SET_DUMPABLE, 0) != 0) {
        return warren::base::fail_errno("core dumps can't be turned off", errno);
    }
    return {};
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
    warren::base::start_logging(*level);
    if (arguments.core_dumps) {
        kLog.warn("--core-dumps: a crash will write keys to the disk");
    } else if (auto kept = keep_out_of_core_dumps(); !kept) {
        return fail(kept.error());
    }
    warren::certs::use_secure_heap();
    ignore_broken_pipes();
    raise_file_limit();
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
        const int code = run(arguments);
        // Not by exit(): gRPC's threads outlive its servers and channels by a moment, and die of what it destroys.
        std::fflush(nullptr);
        std::quick_exit(code);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "warrend: %s\n", error.what());
        return kFailed;
    }
}
