#include "tests/lab/bad_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "proto/control.pb.h"
#include "tests/lab/kernel_state.h"

namespace warren::lab {
namespace {

// An endpoint that was made and taken back has changed the network's revision, and nothing else.
std::string without_revisions(const std::string& json) {
    std::istringstream in(json);
    std::string kept;
    for (std::string line; std::getline(in, line);) {
        if (line.find("\"revision\":") == std::string::npos) {
            kept += line + "\n";
        }
    }
    return kept;
}

// The host's files with the hashes of what is in them, but for the store's: that has the revisions, and is compared as
// the manager shows it.
std::string files_of(const Host& host) {
    std::string text;
    Argv hash{"sha256sum", "--", "/dev/null"};  // one at least
    for (const auto& entry : std::filesystem::recursive_directory_iterator(host.state_dir())) {
        text += entry.path().string() + "\n";
        if (entry.is_regular_file() && !entry.path().filename().string().starts_with("store.db")) {
            hash.push_back(entry.path().string());
        }
    }
    return text + must(hash);
}

}  // namespace

bool is_like(std::string_view text, std::string_view pattern) {
    constexpr std::string_view kAnything = "…";
    const auto gap = pattern.find(kAnything);
    if (gap == std::string_view::npos) {
        return text == pattern;
    }
    if (!text.starts_with(pattern.substr(0, gap))) {
        return false;
    }
    const auto rest = pattern.substr(gap + kAnything.size());
    for (auto at = gap; at <= text.size(); ++at) {
        if (is_like(text.substr(at), rest)) {
            return true;
        }
    }
    return false;
}

std::string line_of(const Output& output) {
    constexpr std::string_view kPrefix = "warren: ";
    auto text = output.err;
    text.erase(0, text.starts_with(kPrefix) ? kPrefix.size() : 0);
    text.erase(text.find_last_not_of('\n') + 1);
    return text;
}

BadInput::BadInput() : lab(std::make_unique<Lab>(4)) {
    for (const auto& host : lab->hosts()) {
        host->start_daemon();
    }
    for (const unsigned number : {1U, 3U}) {
        auto& host = lab->host(number);
        host.warren_ok({"cluster", "init", "--data-addr", "eth0", "--node-name", host.name()});
        tokens.push_back(lab->host(number).ask<v1::TokenShowReply>({"token", "show", "worker"}).token());
    }
    lab->host(2).warren_ok(join(tokens[0], {"--node-name", "h2"}));
    lab->host(1).warren_ok({"network", "create", "--opt", "encrypted", "--subnet", "10.1.0.0/24", "--aux-address",
                            "router=10.1.0.9", "net1"});
    lab->host(1).connect("net1", web, {"--ip", "10.1.0.7"});
}

std::string BadInput::everything() {
    std::string text;
    for (const unsigned number : {1U, 3U}) {
        for (const Argv& args : {Argv{"network", "ls"},
                                 {"endpoint", "ls"},
                                 {"key", "ls"},
                                 {"token", "show", "worker"},
                                 {"token", "show", "manager"},
                                 {"ca", "show"},
                                 {"cert", "ls"}}) {
            Argv json{"--format", "json"};
            json.insert(json.end(), args.begin(), args.end());
            text += without_revisions(lab->host(number).warren_ok(json)) + "\n";
        }
        const auto list = lab->host(number).ask<v1::NodeListReply>({"node", "ls"});
        for (const auto& node : list.nodes()) {
            text += fmt::format("node {} {} {}\n", node.id(), node.name(), node.data_address());
        }
        for (const auto& event : lab->host(number).ask_all<v1::Event>({"events"})) {
            if (event.kind() != "refused") {  // who is refused is noted
                text += event.ShortDebugString() + "\n";
            }
        }
    }
    for (const auto& host : lab->hosts()) {
        text += kernel_state(*host) + files_of(*host);
    }
    // Before its first connection no host knows of the container.
    text += "in spare " + spare.run({"ip", "-o", "address"}).out + spare.run({"ip", "-o", "link"}).out;
    return text;
}

void BadInput::expect_refused(const std::vector<Mistake>& mistakes) {
    const auto before = everything();
    for (const auto& mistake : mistakes) {
        if (mistake.clock) {
            lab->host(mistake.host).stop_daemon();
            lab->host(mistake.host).start_daemon_at_other_time(*mistake.clock);
        }
        const auto output = lab->host(mistake.host).warren(mistake.args);
        const auto said =
            fmt::format("h{}: warren {}\n{}{}", mistake.host, fmt::join(mistake.args, " "), output.out, output.err);
        EXPECT_EQ(output.code, mistake.code) << said;
        EXPECT_EQ(output.out, "") << said;
        EXPECT_TRUE(output.err.starts_with("warren: ")) << said;
        EXPECT_EQ(std::ranges::count(output.err, '\n'), 1) << said;
        EXPECT_TRUE(is_like(line_of(output), mistake.error)) << said << "but wanted: " << mistake.error;
    }
    const auto after = everything();
    EXPECT_EQ(missing_lines(before, after), "") << "is gone or another now";
    EXPECT_EQ(missing_lines(after, before), "") << "has come";
}

}  // namespace warren::lab
