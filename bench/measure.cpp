#include "bench/measure.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace warren::bench {

Summary summarise(std::vector<Milliseconds> samples) {
    std::sort(samples.begin(), samples.end());
    return {.least = samples.front(), .median = samples[samples.size() / 2], .most = samples.back()};
}

Milliseconds timed(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::steady_clock::now() - start;
}

Milliseconds computed(const std::function<void()>& work) {
    const auto now = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
    };
    const auto start = now();
    work();
    return now() - start;
}

void run_program(const std::vector<std::string>& arguments) {
    std::vector<std::string> copies = arguments;
    std::vector<char*> argv;
    argv.reserve(copies.size() + 1);
    for (std::string& copy : copies) {
        argv.push_back(copy.data());
    }
    argv.push_back(nullptr);
    pid_t child = 0;
    const int failure = ::posix_spawnp(&child, argv.front(), nullptr, nullptr, argv.data(), environ);
    if (failure != 0) {
        give_up(fmt::format("{}: {}", arguments.front(), std::strerror(failure)));
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        give_up(fmt::format("{} failed, status {}", fmt::join(arguments, " "), status));
    }
}

void print_comparison(std::string_view what, const Summary& ours, std::string_view rival, const Summary& theirs) {
    fmt::print(
        "{:<40} Warren {:.1f} ms ({:.1f}..{:.1f}), {} {:.1f} ms ({:.1f}..{:.1f}): ratio {:.3f}, of the best {:.3f}\n",
        what, ours.median.count(), ours.least.count(), ours.most.count(), rival, theirs.median.count(),
        theirs.least.count(), theirs.most.count(), ours.median / theirs.median, ours.least / theirs.least);
    std::fflush(stdout);
}

ScratchFile::ScratchFile(std::string_view content) {
    std::array<char, 32> name{"/dev/shm/warren-bench-XXXXXX"};
    const int fd = ::mkstemp(name.data());
    if (fd < 0) {
        give_up(fmt::format("{}: {}", name.data(), std::strerror(errno)));
    }
    path_ = name.data();
    std::FILE* file = ::fdopen(fd, "w");
    if (file == nullptr || std::fwrite(content.data(), 1, content.size(), file) != content.size() ||
        std::fclose(file) != 0) {
        give_up(fmt::format("write {}: {}", path_, std::strerror(errno)));
    }
}

ScratchFile::~ScratchFile() {
    ::unlink(path_.c_str());
}

void give_up(std::string_view why) {
    fmt::print(stderr, "bench: {}\n", why);
    std::exit(1);
}

}  // namespace warren::bench
