#include "tests/lab/kernel_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace warren::lab {
namespace {

constexpr uint32_t kReqidBase = 0x57000000;
constexpr uint32_t kPortBase = 10000;

uint64_t number(const std::string& text) {
    return std::stoull(text, nullptr, 0);
}

// The word after `key` in the words of a line.
std::string after(const std::vector<std::string>& words, const std::string& key) {
    const auto at = std::find(words.begin(), words.end(), key);
    return at == words.end() || at + 1 == words.end() ? "0" : *(at + 1);
}

std::vector<std::string> words_of(std::string line) {
    std::replace(line.begin(), line.end(), ',', ' ');
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), {}};
}

void read_line(Sa& sa, const std::vector<std::string>& words, const std::string& line) {
    if (words[0] == "proto") {
        sa.spi = static_cast<uint32_t>(number(after(words, "spi")));
        sa.reqid = static_cast<uint32_t>(number(after(words, "reqid")));
    } else if (words[0] == "seq-hi") {
        sa.received = (number(after(words, "seq-hi")) << 32U) | number(after(words, "seq"));
        sa.sent = (number(after(words, "oseq-hi")) << 32U) | number(after(words, "oseq"));
    } else if (words[0] == "add") {
        sa.added = words.size() > 2 ? words[1] + " " + words[2] : "";
    } else if (words.size() == 2 && line.find("(packets)") != std::string::npos && words[0] != "limit:") {
        sa.packets = number(words[1]);  // "8400(bytes), 100(packets)" of the lifetime current
    }
}

bool is_ours(const Sa& sa) {
    return (sa.reqid & 0xff000000U) == kReqidBase && sa.spi != 0;
}

}  // namespace

std::vector<Sa> sa_table(const Host& host) {
    std::istringstream text(host.must({"ip", "-s", "xfrm", "state", "list", "nokeys"}));
    std::vector<Sa> table;
    for (std::string line; std::getline(text, line);) {
        const auto words = words_of(line);
        if (words.empty()) {
            continue;
        }
        if (line.starts_with("src ")) {
            table.push_back({.source = after(words, "src"), .destination = after(words, "dst")});
        } else if (!table.empty()) {
            read_line(table.back(), words, line);
        }
    }
    std::erase_if(table, [](const Sa& sa) { return !is_ours(sa); });
    return table;
}

std::vector<Sa> sa_table(const Host& host, uint32_t reqid) {
    auto table = sa_table(host);
    std::erase_if(table, [&](const Sa& sa) { return sa.reqid != reqid; });
    return table;
}

std::vector<SaKey> sa_keys(const Host& host) {
    std::istringstream text(host.must({"ip", "xfrm", "state"}));
    std::vector<SaKey> keys;
    Sa sa;
    for (std::string line; std::getline(text, line);) {
        std::istringstream in(line);
        const std::vector<std::string> words{std::istream_iterator<std::string>(in), {}};
        if (line.starts_with("src ")) {
            sa = {.source = after(words, "src"), .destination = after(words, "dst")};
        } else if (!words.empty()) {
            read_line(sa, words, line);
        }
        if (words.size() > 2 && words[0] == "aead" && is_ours(sa)) {
            keys.push_back({.source = sa.source,
                            .destination = sa.destination,
                            .spi = sa.spi,
                            .algorithm = words[1],
                            .key = words[2].substr(2)});
        }
    }
    return keys;
}

std::set<size_t> key_fingerprints(const Host& host) {
    std::istringstream text(host.must({"ip", "xfrm", "state"}));
    std::set<size_t> fingerprints;
    for (std::string line; std::getline(text, line);) {
        // "aead NAME KEY ICV": the name may have a comma in it, which words_of() takes for a blank.
        if (const auto words = words_of(line); words.size() > 3 && words[0] == "aead") {
            // 0x and the first 16 bytes: a longer key that begins like another is the same for us.
            fingerprints.insert(std::hash<std::string>{}(words[words.size() - 2].substr(0, 34)));
        }
    }
    return fingerprints;
}

size_t keys_in_both(const std::set<size_t>& one, const std::set<size_t>& other) {
    return static_cast<size_t>(std::ranges::count_if(one, [&](size_t key) { return other.contains(key); }));
}

std::map<std::string, uint64_t> xfrm_stat(const Host& host) {
    std::istringstream text(host.must({"cat", "/proc/net/xfrm_stat"}));
    std::map<std::string, uint64_t> counters;
    std::string name;
    for (uint64_t value = 0; text >> name >> value;) {
        counters[name] = value;
    }
    return counters;
}

uint64_t barrier_counter(const Host& host, const std::string& name) {
    const auto words = words_of(host.must({"nft", "list", "counter", "inet", "warren", name}));
    return number(after(words, "packets"));
}

uint32_t reqid_of_port(uint32_t udp_port) {
    return kReqidBase | (udp_port - kPortBase);
}

}  // namespace warren::lab
