#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/lab/lab.h"

// Every mistake gets one error that says which field, which value, which rule and, where it is not plain, the remedy;
// the exit code that docs/cli.md promises; and nothing is changed by it.
namespace warren::lab {

struct Mistake {
    unsigned host = 1;
    Argv args;
    int code = 1;
    std::string error;                            // all of what follows "warren: "; "…" stands for anything
    std::optional<std::chrono::seconds> clock{};  // the host's daemon starts anew first, its clock wrong by that
};

// Whether the text is the pattern, in which "…" stands for anything.
[[nodiscard]] bool is_like(std::string_view text, std::string_view pattern);
// What the command said on stderr, without the program's name.
[[nodiscard]] std::string line_of(const Output& output);

// h1 and h2 are a cluster with network net1 and its endpoint web, h3 is another cluster, h4 is in none. web is
// connected, spare is not.
class BadInput : public testing::Test {
  protected:
    BadInput();

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

    [[nodiscard]] static Argv update(const Argv& options, const std::string& name = "net1") {
        Argv argv{"network", "update"};
        for (const auto& option : options) {
            argv.insert(argv.end(), {"--opt", option});
        }
        argv.push_back(name);
        return argv;
    }

    // What a mistake must not change: what managers know, what is on disk, what is in the kernels.
    [[nodiscard]] std::string everything();
    void expect_refused(const std::vector<Mistake>& mistakes);

    std::unique_ptr<Lab> lab;
    Container web{"web"};
    Container spare{"spare"};
    std::vector<std::string> tokens;  // of h1's cluster and of h3's
};

inline const std::string kNameRule =
    "must be 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit";
inline const std::string kIsWorker = "this node is a worker: run the command on manager 192.0.2.1:7443";

}  // namespace warren::lab
