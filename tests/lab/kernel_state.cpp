#include "tests/lab/kernel_state.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cctype>
#include <set>
#include <sstream>

namespace warren::lab {
namespace {

// Continuation lines of iproute2 are indented: they go to the line that they belong to.
std::string one_object_a_line(const std::string& section, const std::string& text) {
    std::istringstream in(text);
    std::string joined;
    for (std::string line; std::getline(in, line);) {
        if (line.empty()) {
            continue;
        }
        const bool continues = std::isspace(static_cast<unsigned char>(line.front())) != 0;
        // An IPv6 address is checked for duplicates by itself.
        if (const auto at = line.find(" tentative"); at != std::string::npos) {
            line.erase(at, std::string_view(" tentative").size());
        }
        joined += continues ? fmt::format(" {}", line.substr(line.find_first_not_of(" \t")))
                            : fmt::format("\n{}: {}", section, line);
    }
    return joined;
}

// SAs and policies with what tells one from its like made anew, without what traffic changes.
std::string xfrm(const Host& host, const std::string& what) {
    constexpr const char* kStable =
        "grep -vE '^\\s*(use|limit|stats|lifetime|[0-9]+\\(bytes\\)|replay-window|anti-replay|seq-hi|[0-9a-f]{8} "
        ")|expire' ";
    const auto command = fmt::format("ip -s xfrm {} {} | {} | sed -E 's/ use [-0-9: ]+$//'", what,
                                     what == "state" ? "list nokeys" : "list", kStable);
    return one_object_a_line(what, host.run({"bash", "-c", command}).out);
}

std::string links(const std::string& section, const Argv& enter) {
    std::string text;
    for (const auto& [name, argv] : {std::pair<std::string, Argv>{"link", {"ip", "-o", "link"}},
                                     {"address", {"ip", "-o", "address"}},
                                     {"fdb", {"bridge", "fdb"}},
                                     {"neighbour", {"ip", "neighbour", "show", "nud", "permanent"}}}) {
        Argv whole = enter;
        whole.insert(whole.end(), argv.begin(), argv.end());
        text += one_object_a_line(section + name, run(whole).out);
    }
    return text;
}

}  // namespace

std::string kernel_state(const Host& host) {
    std::string text = links("", {"ip", "netns", "exec", host.name()});
    // The gateway bridge's tables are replaced whole when a container comes or goes, if only for a moment.
    constexpr const char* kRules = "nft -as list ruleset | sed -E '/^table .* warren_gw/,/^}/ s/ # handle [0-9]+//'";
    text += one_object_a_line("nft", host.run({"bash", "-c", kRules}).out);
    text += xfrm(host, "state") + xfrm(host, "policy");
    std::error_code none;
    std::set<std::string> namespaces;
    for (const auto& entry : std::filesystem::directory_iterator(host.run_dir() / "netns", none)) {
        namespaces.insert(entry.path().string());
    }
    for (const auto& path : namespaces) {
        text += "\nnamespace: " + path + links(path + " ", {"nsenter", "--net=" + path});
    }
    return text + "\n";
}

std::string missing_lines(const std::string& wanted, const std::string& state) {
    std::istringstream in(state);
    std::multiset<std::string> there;
    for (std::string line; std::getline(in, line);) {
        there.insert(line);
    }
    std::string missing;
    std::istringstream lines(wanted);
    for (std::string line; std::getline(lines, line);) {
        if (const auto found = there.find(line); found != there.end()) {
            there.erase(found);
        } else {
            missing += line + "\n";
        }
    }
    return missing;
}

}  // namespace warren::lab
