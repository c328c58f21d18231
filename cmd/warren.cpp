// warren: the command line program. Composition only; what it does is in cli/.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/time.h"
#include "cli/run.h"

namespace {

std::string environment_variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

warren::cli::Terminal terminal_of_this_process() {
    const bool live = ::isatty(STDOUT_FILENO) != 0 && environment_variable("TERM") != "dumb";
    winsize size{};
    const bool sized = live && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    return {.out = std::cout,
            .err = std::cerr,
            // https://no-color.org: any value but the empty one turns colours off.
            .view = {.now = warren::base::system_now(), .colour = live && environment_variable("NO_COLOR").empty()},
            .live = live,
            .width = sized ? size.ws_col : std::size_t{0}};
}

}  // namespace

int main(int argc, char** argv) {
    // What the user should know of gRPC's troubles is in the status of the call. Set the variable to see more.
    ::setenv("GRPC_VERBOSITY", "NONE", 0);
    std::error_code ignored;  // without a working directory there are no relative paths to get wrong
    const warren::cli::Environment environment{
        .warren_host = environment_variable("WARREN_HOST"),
        .working_directory = std::filesystem::current_path(ignored).string(),
    };
    const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    return static_cast<int>(warren::cli::run(arguments, environment, terminal_of_this_process()));
}
