#include "tests/lab/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace warren::lab {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

[[noreturn]] void die_in_child(const char* what) {
    const std::string message = fmt::format("{}: {}\n", what, std::strerror(errno));
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message.data(), message.size());
    ::_exit(127);
}

// Between fork and exec. The test program has one thread, so anything is allowed here.
[[noreturn]] void become(const Argv& argv, const Where& where, int out, int err) {
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    if (!where.netns.empty()) {
        const std::string path = "/run/netns/" + where.netns;
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0 || ::setns(fd, CLONE_NEWNET) != 0) {
            die_in_child(path.c_str());
        }
    }
    std::vector<char*> words;
    for (const auto& word : argv) {
        words.push_back(const_cast<char*>(word.c_str()));
    }
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    die_in_child(words[0]);
}

std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error(fmt::format("pipe: {}", std::strerror(errno)));
    }
    ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return ends;
}

// Reads what is there; closes the descriptor at the end of the stream.
void take(int& fd, std::string& into) {
    std::array<char, 65536> buffer{};
    while (fd >= 0) {
        const auto got = ::read(fd, buffer.data(), buffer.size());
        if (got > 0) {
            into.append(buffer.data(), static_cast<size_t>(got));
        } else if (got < 0 && errno == EAGAIN) {
            return;
        } else if (got == 0 || errno != EINTR) {
            ::close(std::exchange(fd, -1));
        }
    }
}

}  // namespace

Process::Process(const Argv& argv, const Where& where) {
    std::array<int, 2> out{-1, -1};
    std::array<int, 2> err{-1, -1};
    if (where.out_file.empty()) {
        out = make_pipe();
        err = make_pipe();
    } else {
        out[1] = ::open(where.out_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (out[1] < 0) {
            throw std::runtime_error(fmt::format("{}: {}", where.out_file.string(), std::strerror(errno)));
        }
        err[1] = ::dup(out[1]);
    }
    pid_ = ::fork();
    if (pid_ == 0) {
        become(argv, where, out[1], err[1]);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
    if (pid_ < 0) {
        throw std::runtime_error(fmt::format("fork: {}", std::strerror(errno)));
    }
    ::setpgid(pid_, pid_);  // also here: whoever comes first
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      out_(std::exchange(other.out_, -1)),
      err_(std::exchange(other.err_, -1)),
      output_(std::move(other.output_)) {}

Process::~Process() {
    if (pid_ > 0) {
        ::kill(-pid_, SIGKILL);
        ::kill(-pid_, SIGCONT);
        reap(0);
    }
    for (const int fd : {out_, err_}) {
        if (fd >= 0) {
            ::close(fd);
        }
    }
}

void Process::reap(int flags) {
    int status = 0;
    if (!status_ && ::waitpid(pid_, &status, flags) == pid_) {
        status_ = status;
        output_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

bool Process::running() {
    reap(WNOHANG);
    return !status_;
}

void Process::signal(int number) const {
    if (!status_) {
        ::kill(-pid_, number);
    }
}

const Output& Process::output() {
    drain(milliseconds(0));
    return output_;
}

void Process::drain(milliseconds patience) {
    std::array<pollfd, 2> ends{pollfd{.fd = out_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = err_, .events = POLLIN, .revents = 0}};
    ::poll(ends.data(), ends.size(), static_cast<int>(patience.count()));
    take(out_, output_.out);
    take(err_, output_.err);
}

Output Process::wait(milliseconds deadline) {
    const auto end = Clock::now() + deadline;
    while (running()) {
        if (Clock::now() > end) {
            signal(SIGKILL);
            reap(0);
            output_.err += fmt::format("\n(killed: did not end within {} ms)\n", deadline.count());
            break;
        }
        drain(milliseconds(5));
    }
    drain(milliseconds(0));
    return output_;
}

Output run(const Argv& argv, const Where& where, milliseconds deadline) {
    return Process(argv, where).wait(deadline);
}

std::string must(const Argv& argv, const Where& where) {
    const auto output = run(argv, where);
    if (!output.ok()) {
        throw std::runtime_error(fmt::format("{}{}{}: exit code {}: {}{}", where.netns, where.netns.empty() ? "" : ": ",
                                             fmt::join(argv, " "), output.code, output.err, output.out));
    }
    return output.out;
}

bool eventually(milliseconds deadline, const std::function<bool()>& condition) {
    const auto end = Clock::now() + deadline;
    while (!condition()) {
        if (Clock::now() > end) {
            return false;
        }
        std::this_thread::sleep_for(milliseconds(10));
    }
    return true;
}

std::string file_content(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {(std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>()};
}

}  // namespace warren::lab
