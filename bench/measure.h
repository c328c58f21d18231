#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

// Stopwatch, statistics and printing of the benchmarks. A benchmark that cannot go on says why and ends the program.
namespace warren::bench {

using Milliseconds = std::chrono::duration<double, std::milli>;

struct Summary {
    Milliseconds least{};
    Milliseconds median{};
    Milliseconds most{};
};
[[nodiscard]] Summary summarise(std::vector<Milliseconds> samples);  // at least one

[[nodiscard]] Milliseconds timed(const std::function<void()>& work);
// The processor's time for this thread: for pure computation, which other processes of the machine must not blur.
[[nodiscard]] Milliseconds computed(const std::function<void()>& work);

// Runs a program of PATH to its end, which has to be a success.
void run_program(const std::vector<std::string>& arguments);

// One line: median, least and most of each, ours in terms of theirs by medians and by the best runs.
void print_comparison(std::string_view what, const Summary& ours, std::string_view rival, const Summary& theirs);

// A file in memory, gone with the value.
class ScratchFile {
  public:
    explicit ScratchFile(std::string_view content);
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ~ScratchFile();
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

[[noreturn]] void give_up(std::string_view why);

template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        give_up(result.error().message());
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

}  // namespace warren::bench
