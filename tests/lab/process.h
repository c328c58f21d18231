#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace warren::lab {

using Argv = std::vector<std::string>;

// What a finished program left behind. `code` is its exit code, or 128 + the signal that ended it.
struct Output {
    int code = 0;
    std::string out;
    std::string err;

    [[nodiscard]] bool ok() const { return code == 0; }
};

// Where a program runs and where its output goes.
struct Where {
    std::string netns;                 // a name below /run/netns; empty: the lab's own namespace
    std::filesystem::path out_file{};  // both stdout and stderr, appended; empty: they are kept in memory
};

// A child in a process group of its own, which dies with the test. Its output is read while the test waits for it, so
// a program that is left alone with more than a pipe's worth of output needs an out_file. Not thread-safe. Throws
// std::runtime_error when it cannot be started.
class Process {
  public:
    Process(const Argv& argv, const Where& where);
    Process(Process&& other) noexcept;
    Process& operator=(Process&&) = delete;
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    ~Process();  // kills the group

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] bool running();
    void signal(int number) const;
    // What it has written to memory so far.
    [[nodiscard]] const Output& output();
    // Waits for the end, and kills it with SIGKILL at the deadline (code 137).
    Output wait(std::chrono::milliseconds deadline = std::chrono::seconds(30));

  private:
    void drain(std::chrono::milliseconds patience);
    void reap(int flags);

    pid_t pid_ = -1;
    std::optional<int> status_;
    int out_ = -1;
    int err_ = -1;
    Output output_;
};

// Runs a program to its end.
Output run(const Argv& argv, const Where& where = {}, std::chrono::milliseconds deadline = std::chrono::seconds(30));
// The same for set-up steps: throws std::runtime_error, with the program's words, unless it exits with 0.
std::string must(const Argv& argv, const Where& where = {});

// Polls until the condition holds; false when it still does not at the deadline.
bool eventually(std::chrono::milliseconds deadline, const std::function<bool()>& condition);

// All of a file; nothing where there is none.
std::string file_content(const std::filesystem::path& file);

}  // namespace warren::lab
