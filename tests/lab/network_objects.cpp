#include "tests/lab/network_objects.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "tests/lab/addresses.h"
#include "tests/lab/kernel_view.h"

namespace warren::lab {
namespace {

// An object a line, as often as it is there.
using Objects = std::multiset<std::string>;

std::vector<std::vector<std::string>> words_of_lines(const std::string& text) {
    std::vector<std::vector<std::string>> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        auto& row = all.emplace_back();
        for (std::string word; words >> word;) {
            row.push_back(word);
        }
    }
    return all;
}

// The word behind this one; empty: it is not there.
std::string word_after(const std::vector<std::string>& words, std::string_view key) {
    const auto found = std::ranges::find(words, key);
    return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
}

bool has_endpoint(const v1::Network& network, const Host& host) {
    return std::ranges::any_of(network.endpoints(), [&](const auto& it) { return it.node() == host.name(); });
}

std::map<std::string, std::string> vteps_of(const v1::Network& network) {
    std::map<std::string, std::string> vteps;
    for (const auto& member : network.member_nodes()) {
        vteps.emplace(member.node(), member.data_address());
    }
    return vteps;
}

void add_wanted(const Host& host, const v1::Network& network, Objects& wanted) {
    const auto& name = network.name();
    const auto vteps = vteps_of(network);
    wanted.insert(fmt::format("{}: namespace", name));
    wanted.insert(fmt::format("{}: bridge br0 mtu {}", name, network.mtu()));
    wanted.insert(fmt::format("{}: vxlan vx0 mtu {} id {} local {} port {}", name, network.mtu(), network.vnis(0),
                              vteps.at(host.name()), network.udp_port()));
    for (const auto& endpoint : network.endpoints()) {
        if (!endpoint.ipv6().empty()) {  // of local ones, too: it is vx0 that is asked
            wanted.insert(fmt::format("{}: neighbour {} {}", name, without_length(endpoint.ipv6()), endpoint.mac()));
        }
        if (endpoint.node() == host.name()) {
            wanted.insert(fmt::format("{}: veth mtu {}", name, network.mtu()));
            continue;
        }
        wanted.insert(fmt::format("{}: entry {} to {}", name, endpoint.mac(), vteps.at(endpoint.node())));
        wanted.insert(fmt::format("{}: neighbour {} {}", name, without_length(endpoint.ip()), endpoint.mac()));
    }
    if (!network.encrypted()) {
        return;
    }
    for (int i = 0; i < 4; ++i) {
        wanted.insert(fmt::format("{}: policy", name));
    }
    for (const auto& [node, vtep] : vteps) {
        if (node != host.name()) {
            wanted.insert(fmt::format("{}: SA {} to {}", name, host.address(), vtep));
            wanted.insert(fmt::format("{}: SA {} to {}", name, vtep, host.address()));
        }
    }
}

// Each of its containers has a port at the gateway bridge if it is in any network that is not internal.
void add_wanted_of_gateway(const Host& host, const std::vector<v1::Network>& networks, Objects& wanted) {
    std::set<std::string> containers;
    for (const auto& network : networks) {
        for (const auto& endpoint : network.endpoints()) {
            if (endpoint.node() == host.name() && !network.internal()) {
                containers.insert(endpoint.netns());
            }
        }
    }
    if (containers.empty()) {
        return;
    }
    wanted.insert({"host: bridge warren_gw", "host: nft table bridge warren_gw", "host: nft table inet warren_gw"});
    for (std::size_t i = 0; i < containers.size(); ++i) {
        wanted.insert("host: veth at warren_gw");
    }
}

Objects wanted_objects(const Host& host, const std::vector<v1::Network>& networks) {
    Objects wanted{"host: link lo", "host: link eth0"};
    bool encrypts = false;
    for (const auto& network : networks) {
        if (has_endpoint(network, host)) {
            add_wanted(host, network, wanted);
            encrypts = encrypts || network.encrypted();
        }
    }
    if (encrypts) {
        wanted.insert("host: nft table inet warren");
    }
    add_wanted_of_gateway(host, networks, wanted);
    return wanted;
}

// "9: vx0@if4: <BROADCAST,…> mtu 1416 … vxlan id 5701632 local 192.0.2.1 …" of ip -o -d link.
std::string link_of_network(const std::vector<std::string>& words) {
    const auto name = words.at(1).substr(0, words.at(1).find_first_of("@:"));
    const auto mtu = word_after(words, "mtu");
    const auto is = [&](std::string_view kind) { return std::ranges::find(words, kind) != words.end(); };
    if (is("vxlan")) {
        return fmt::format("vxlan {} mtu {} id {} local {} port {}", name, mtu, word_after(words, "id"),
                           word_after(words, "local"), word_after(words, "dstport"));
    }
    if (is("veth")) {
        return fmt::format("veth mtu {}", mtu);
    }
    return is("bridge") ? fmt::format("bridge {} mtu {}", name, mtu) : "link " + name;
}

void add_seen(const std::string& name, const std::filesystem::path& space, Objects& seen) {
    const auto inside = [&](Argv argv) {
        argv.insert(argv.begin(), {"nsenter", "--net=" + space.string()});
        return words_of_lines(run(argv).out);
    };
    seen.insert(name + ": namespace");
    for (const auto& words : inside({"ip", "-o", "-d", "link"})) {
        if (words.at(1) != "lo:") {
            seen.insert(fmt::format("{}: {}", name, link_of_network(words)));
        }
    }
    for (const auto& words : inside({"bridge", "fdb"})) {
        if (const auto vtep = word_after(words, "dst"); !vtep.empty()) {
            seen.insert(fmt::format("{}: entry {} to {}", name, words.at(0), vtep));
        }
    }
    for (const auto& words : inside({"ip", "neighbour", "show", "dev", "vx0", "nud", "permanent"})) {
        seen.insert(fmt::format("{}: neighbour {} {}", name, words.at(0), word_after(words, "lladdr")));
    }
}

void add_seen_of_host(const Host& host, Objects& seen) {
    for (const auto& words : words_of_lines(host.run({"ip", "-o", "-d", "link"}).out)) {
        const auto name = words.at(1).substr(0, words.at(1).find_first_of("@:"));
        const auto bridge = word_after(words, "master");
        seen.insert(!bridge.empty()       ? "host: veth at " + bridge
                    : name == "warren_gw" ? "host: bridge warren_gw"
                                          : "host: link " + name);
    }
    for (const auto& words : words_of_lines(host.run({"nft", "list", "tables"}).out)) {
        seen.insert(fmt::format("host: nft table {} {}", words.at(1), words.at(2)));
    }
}

// What is of no network is of "?".
void add_seen_of_ipsec(const Host& host, const std::vector<v1::Network>& networks, Objects& seen) {
    std::map<std::string, std::string> by_port;
    std::map<std::uint32_t, std::string> by_reqid;
    for (const auto& network : networks) {
        if (network.encrypted()) {
            by_port.emplace(std::to_string(network.udp_port()), network.name());
            by_reqid.emplace(reqid_of_port(network.udp_port()), network.name());
        }
    }
    const auto name_in = [](const auto& names, const auto& key) {
        const auto found = names.find(key);
        return found == names.end() ? "?" : found->second;
    };
    for (const auto& words : words_of_lines(host.run({"ip", "xfrm", "policy"}).out)) {
        if (!words.empty() && words.at(0) == "src") {
            seen.insert(name_in(by_port, word_after(words, "dport")) + ": policy");
        }
    }
    for (const auto& sa : sa_table(host)) {
        seen.insert(fmt::format("{}: SA {} to {}", name_in(by_reqid, sa.reqid), sa.source, sa.destination));
    }
}

Objects seen_objects(const Host& host, const std::vector<v1::Network>& networks) {
    Objects seen;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(host.run_dir() / "netns", none)) {
        const auto id = entry.path().filename().string();
        const auto network = std::ranges::find_if(networks, [&](const auto& it) { return it.id() == id; });
        add_seen(network == networks.end() ? id : network->name(), entry.path(), seen);
    }
    add_seen_of_host(host, seen);
    add_seen_of_ipsec(host, networks, seen);
    return seen;
}

}  // namespace

std::string strays(const Host& host, const std::vector<v1::Network>& networks) {
    const auto wanted = wanted_objects(host, networks);
    const auto seen = seen_objects(host, networks);
    std::string text;
    for (const auto& [what, these, those] : {std::tuple{"missing", &wanted, &seen}, {"too many", &seen, &wanted}}) {
        Objects difference;
        std::ranges::set_difference(*these, *those, std::inserter(difference, difference.end()));
        for (const auto& object : difference) {
            text += fmt::format("{}: {}: {}\n", host.name(), what, object);
        }
    }
    return text;
}

}  // namespace warren::lab
