#include "doctor/firewall_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "doctor/ruleset_judge.h"
#include "overlay/gateway.h"

namespace warren::doctor {

namespace {

// What has to pass, and its name for people.
struct Needed {
    Arriving packet;
    std::string name;
};

// A line for each chain that keeps out some of it, or `good` if there is none. Once frames have come through
// (`answered`), even what is surely dropped is a warning: ESP may come in as an answer to ESP that this host has sent
// (conntrack).
template <typename Remedy>
std::vector<Finding> find_blocking_chains(const std::string& check, const base::Result<std::string>& ruleset,
                                          const std::vector<Needed>& needed, bool answered, const std::string& good,
                                          Remedy remedy) {
    std::vector<Arriving> packets;
    for (const auto& it : needed) {
        packets.push_back(it.packet);
    }
    const auto verdicts = ruleset ? judge(*ruleset, packets) : base::fail_with(base::Result<std::string>(ruleset));
    if (!verdicts) {
        return {{.check = check, .verdict = Verdict::kUnknown, .detail = verdicts.error().message(), .remedy = {}}};
    }
    struct Bad {
        ChainVerdict chain;
        bool surely = false;
        std::vector<std::string> what;
    };
    std::map<std::tuple<std::string, std::string, std::string>, Bad> bad;  // by family, table, name
    for (std::size_t i = 0; i < needed.size(); ++i) {
        for (const auto& chain : (*verdicts)[i]) {
            if (!chain.may_drop || (chain.may_accept && answered)) {
                continue;
            }
            auto& entry = bad[{chain.family, chain.table, chain.chain}];
            entry.chain = chain;
            entry.surely = entry.surely || !chain.may_accept;
            entry.what.push_back(needed[i].name);
        }
    }
    std::vector<Finding> findings;
    for (const auto& [id, entry] : bad) {
        const auto& chain = entry.chain;
        findings.push_back(
            {.check = check,
             .verdict = entry.surely && !answered ? Verdict::kWrong : Verdict::kWarning,
             .detail = fmt::format("chain {} of table {} {} {} {}", chain.chain, chain.family, chain.table,
                                   entry.surely ? "drops" : "may drop", fmt::join(entry.what, ", ")),
             .remedy = remedy(chain)});
    }
    if (findings.empty()) {
        findings.push_back({.check = check, .verdict = Verdict::kOk, .detail = good, .remedy = {}});
    }
    return findings;
}

// One command after the other, each made for one carrier of ESP.
template <typename Command>
std::string for_carriers(const NeededPorts& needed, Command command) {
    std::string text;
    for (const auto port : needed.carriers) {
        text += command(port) + "; ";
    }
    return text;
}

std::string remedy(const ChainVerdict& verdict, const NeededPorts& needed) {
    std::vector<std::string> names;
    for (const auto port : needed.decrypted) {
        names.push_back(fmt::to_string(port));
    }
    const auto ports = fmt::format("{}", fmt::join(names, ","));
    constexpr base::UdpPort kPlain{};
    if (verdict.table == "firewalld") {
        const auto carriers = for_carriers(needed, [&](base::UdpPort port) {
            return port == kPlain ? std::string("firewall-cmd --permanent --add-protocol=esp")
                                  : fmt::format("firewall-cmd --permanent --add-port={}/udp", port);
        });
        return fmt::format(
            "{}and --add-port=PORT/udp for each of {}; then firewall-cmd --reload. What comes in clear to these ports "
            "is refused all the same",
            carriers, ports);
    }
    if (verdict.chain == "INPUT" && verdict.family != "inet") {
        const std::string command = verdict.family == "ip" ? "iptables" : "ip6tables";
        const auto carriers = for_carriers(needed, [&](base::UdpPort port) {
            return port == kPlain ? fmt::format("{} -I INPUT -p esp -j ACCEPT", command)
                                  : fmt::format("{} -I INPUT -p udp --dport {} -j ACCEPT", command, port);
        });
        return fmt::format(
            "{}{} -I INPUT -p udp -m multiport --dports {} -m policy --dir in --pol ipsec -j ACCEPT (with ufw: in "
            "before.rules)",
            carriers, command, ports);
    }
    const auto insert = fmt::format("nft insert rule {} {} {}", verdict.family, verdict.table, verdict.chain);
    const auto carriers = for_carriers(needed, [&](base::UdpPort port) {
        return port == kPlain ? fmt::format("{} meta l4proto esp accept", insert)
                              : fmt::format("{} udp dport {} accept", insert, port);
    });
    return fmt::format("{}{} meta secpath exists udp dport '{{ {} }}' accept", carriers, insert, ports);
}

// Both ways: what comes in is ours to judge. Docker has a chain of its own for such rules.
std::string forwarding_remedy(const ChainVerdict& chain, const std::string& ruleset) {
    const auto* bridge = overlay::kGatewayBridge;
    if (chain.table == "firewalld") {
        return fmt::format("firewall-cmd --permanent --zone=trusted --add-interface={}; firewall-cmd --reload", bridge);
    }
    if (chain.chain == "FORWARD" && chain.family != "inet") {
        const bool docker = ruleset.find("\"DOCKER-USER\"") != std::string::npos;
        return fmt::format(
            "iptables -I {0} -i {1} -j ACCEPT; iptables -I {0} -o {1} -j ACCEPT (with ufw: ufw route allow in on {1}; "
            "ufw route allow out on {1})",
            docker ? "DOCKER-USER" : "FORWARD", bridge);
    }
    return fmt::format("nft insert rule {0} {1} {2} iifname {3} accept; nft insert rule {0} {1} {2} oifname {3} accept",
                       chain.family, chain.table, chain.chain, bridge);
}

std::string text(const Arriving& packet) {
    if (!packet.esp) {
        return fmt::format("decrypted UDP to port {}", packet.port);
    }
    return packet.udp() ? fmt::format("ESP in UDP to port {}", packet.port) : std::string("ESP");
}

}  // namespace

std::vector<Finding> check_firewall(const base::Result<std::string>& ruleset, const std::string& device,
                                    base::Family family, const NeededPorts& needed, bool answered) {
    std::vector<Needed> arriving;
    const auto add = [&](const Arriving& packet) { arriving.push_back({.packet = packet, .name = text(packet)}); };
    for (const auto port : needed.carriers) {
        add({.device = device, .family = family, .esp = true, .port = port});
    }
    for (const auto port : needed.decrypted) {
        add({.device = device, .family = family, .port = port});
    }
    return find_blocking_chains("host firewall", ruleset, arriving, answered, "lets in ESP and what was in it",
                                [&](const ChainVerdict& chain) { return remedy(chain, needed); });
}

std::vector<Finding> check_forwarding(const base::Result<std::string>& ruleset, const std::string& device,
                                      bool published) {
    using Forwarded = Arriving::Forwarded;
    const std::string bridge = overlay::kGatewayBridge;
    std::vector<Needed> passing{{.packet = {.device = bridge, .forwarded = Forwarded{.to = device}},
                                 .name = "what containers send out of this host"},
                                {.packet = {.device = device, .forwarded = Forwarded{.to = bridge, .answer = true}},
                                 .name = "the answers to it"}};
    if (published) {
        passing.push_back({.packet = {.device = device, .forwarded = Forwarded{.to = bridge, .published = true}},
                           .name = "what comes for published ports"});
    }
    return find_blocking_chains("forwarding", ruleset, passing, false, "no rule keeps containers from getting out",
                                [&](const ChainVerdict& chain) { return forwarding_remedy(chain, *ruleset); });
}

std::vector<Finding> check_legacy_tables(const std::string& tables) {
    if (tables.empty()) {
        return {};
    }
    return {{.check = "host firewall",
             .verdict = Verdict::kUnknown,
             .detail = "the old iptables has rules, too, which are not looked at",
             .remedy = "iptables-legacy -S shows them; iptables-nft has the same commands and is looked at"}};
}

}  // namespace warren::doctor
