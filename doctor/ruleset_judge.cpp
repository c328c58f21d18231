#include "doctor/ruleset_judge.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "overlay/gateway.h"
#include "overlay/model.h"

namespace warren::doctor {

namespace {

using nlohmann::json;

// Deeper than the kernel lets chains jump (NFT_JUMP_STACK_SIZE).
constexpr int kDeepest = 16;

constexpr std::array<std::string_view, 9> kTransports{"tcp",  "udp", "icmp", "icmpv6", "sctp",
                                                      "dccp", "esp", "ah",   "udplite"};

enum class Match : std::uint8_t { kNo, kMaybe, kYes };

Match negated(Match match) {
    return match == Match::kYes ? Match::kNo : match == Match::kNo ? Match::kYes : Match::kMaybe;
}
Match known(bool matches) {
    return matches ? Match::kYes : Match::kNo;
}

// What may become of a packet: it stays in the chain, or gets a verdict.
struct Fate {
    bool accepted = false;
    bool dropped = false;
    bool goes_on = false;

    void add(const Fate& other) {
        accepted = accepted || other.accepted;
        dropped = dropped || other.dropped;
    }
};

constexpr Fate kAnything{.accepted = true, .dropped = true, .goes_on = true};

using ChainId = std::tuple<std::string, std::string, std::string>;  // family, table, name

struct Chain {
    std::vector<const json*> rules;
    std::string hook;
    bool drops = false;  // by its policy
};

class Judge {
  public:
    Judge(const json& ruleset, const Arriving& packet) : packet_(packet) {
        for (const auto& item : ruleset.at("nftables").get_ref<const json::array_t&>()) {
            if (item.contains("chain")) {
                const auto& chain = item["chain"];
                auto& known_chain = chains_[id(chain, "name")];
                known_chain.hook = chain.value("type", "") == "filter" ? chain.value("hook", "") : "";
                known_chain.drops = chain.value("policy", "accept") == "drop";
            } else if (item.contains("rule")) {
                chains_[id(item["rule"], "chain")].rules.push_back(&item["rule"]["expr"]);
            }
        }
    }

    [[nodiscard]] std::vector<ChainVerdict> verdicts() const {
        std::vector<ChainVerdict> verdicts;
        for (const auto& [chain, content] : chains_) {
            const auto& [family, table, name] = chain;
            const bool concerned = family == "inet" || family == (packet_.family == base::Family::kIpv4 ? "ip" : "ip6");
            const bool ours = family == "inet" && (table == "warren" || table == overlay::kGatewayTable);
            if (content.hook != (packet_.forwarded ? "forward" : "input") || !concerned || ours) {
                continue;
            }
            auto fate = walk(chain, 0);
            if (fate.goes_on) {
                (content.drops ? fate.dropped : fate.accepted) = true;
            }
            verdicts.push_back({.family = family,
                                .table = table,
                                .chain = name,
                                .may_accept = fate.accepted,
                                .may_drop = fate.dropped});
        }
        return verdicts;
    }

  private:
    const Arriving& packet_;
    std::map<ChainId, Chain> chains_;

    static ChainId id(const json& object, const char* name) {
        return {object.at("family"), object.at("table"), object.at(name)};
    }

    [[nodiscard]] Fate walk(const ChainId& chain, int depth) const {
        Fate fate;
        const auto found = chains_.find(chain);
        if (found == chains_.end() || depth > kDeepest) {
            return kAnything;
        }
        for (const auto* rule : found->second.rules) {
            auto matches = Match::kYes;
            for (const auto& statement : *rule) {
                if (statement.contains("match")) {
                    matches = std::min(matches, match(statement["match"]));
                    continue;
                }
                const auto verdict = matches == Match::kNo ? std::nullopt : judge(statement, chain, depth);
                if (!verdict) {
                    matches = std::min(matches, match_other(statement, *rule));
                    continue;
                }
                fate.add(*verdict);
                const bool ends = !verdict->goes_on || statement.contains("return") || statement.contains("goto");
                if (matches == Match::kYes && ends) {
                    fate.goes_on = verdict->goes_on;
                    return fate;
                }
            }
        }
        fate.goes_on = true;
        return fate;
    }

    // nullopt: no verdict.
    [[nodiscard]] std::optional<Fate> judge(const json& statement, const ChainId& chain, int depth) const {
        if (statement.contains("accept")) {
            return Fate{.accepted = true};
        }
        if (statement.contains("drop") || statement.contains("reject")) {
            return Fate{.dropped = true};
        }
        if (statement.contains("return")) {
            return Fate{.goes_on = true};
        }
        const bool jump = statement.contains("jump");
        if (jump || statement.contains("goto")) {
            const std::string target = statement[jump ? "jump" : "goto"].at("target");
            return walk({std::get<0>(chain), std::get<1>(chain), target}, depth + 1);
        }
        if (statement.contains("vmap")) {
            return judge_map(statement["vmap"], chain, depth);
        }
        if (statement.contains("queue")) {
            return kAnything;
        }
        return std::nullopt;
    }

    [[nodiscard]] Fate judge_map(const json& map, const ChainId& chain, int depth) const {
        if (!map.at("data").contains("set")) {
            return kAnything;
        }
        Fate fate;
        for (const auto& element : map["data"]["set"]) {
            const auto matches = match({{"op", "=="}, {"left", map.at("key")}, {"right", element.at(0)}});
            const auto verdict = matches == Match::kNo ? std::nullopt : judge(element.at(1), chain, depth);
            if (!verdict) {
                continue;
            }
            fate.add(*verdict);
            if (matches == Match::kYes) {
                fate.goes_on = verdict->goes_on;
                return fate;
            }
        }
        fate.goes_on = true;
        return fate;
    }

    [[nodiscard]] Match match(const json& match) const {
        const std::string op = match.value("op", "==");
        const auto& left = match.at("left");
        const auto& right = match.at("right");
        const auto equal = [&] {
            if (left.contains("meta")) {
                return match_meta(left["meta"].value("key", ""), right);
            }
            if (left.contains("payload")) {
                return match_payload(left["payload"], right);
            }
            const std::string of_connection = left.contains("ct") ? left["ct"].value("key", "") : "";
            if (of_connection == "state") {
                return contains(right, is_answer() ? "established" : "new");
            }
            if (of_connection == "status" && right == "dnat") {
                return known(packet_.forwarded && packet_.forwarded->published);  // nobody else's NAT has sent it here
            }
            return Match::kMaybe;
        }();
        if (op == "==" || op == "in") {
            return equal;
        }
        return op == "!=" ? negated(equal) : Match::kMaybe;
    }

    [[nodiscard]] bool is_answer() const { return packet_.forwarded && packet_.forwarded->answer; }

    // What may restrict a rule without being a match. nft does not say what an extension of iptables asks for; one for
    // the state of connections, in a rule that asks for nothing else, is for those that are there already.
    [[nodiscard]] Match match_other(const json& statement, const json& rule) const {
        const auto restricts = [](const json& other) { return other.contains("xt") || other.contains("match"); };
        if (statement.contains("xt") && statement["xt"].value("name", "") == "conntrack" &&
            std::ranges::count_if(rule, restricts) == 1) {
            return is_answer() ? Match::kMaybe : Match::kNo;
        }
        return statement.contains("xt") || statement.contains("limit") ? Match::kMaybe : Match::kYes;
    }

    [[nodiscard]] Match match_meta(const std::string& key, const json& right) const {
        if (key == "iifname" || key == "iif") {
            return contains(right, packet_.device);
        }
        if ((key == "oifname" || key == "oif") && packet_.forwarded) {
            return contains(right, packet_.forwarded->to);
        }
        if (key == "l4proto") {
            return match_protocol(right);
        }
        if (key == "ipsec" && right.is_boolean()) {  // nft's "secpath"
            const bool decrypted = !packet_.esp && !packet_.forwarded;
            return known(right.get<bool>() == decrypted);
        }
        if (key == "nfproto") {
            return contains(right, packet_.family == base::Family::kIpv4 ? "ipv4" : "ipv6");
        }
        return Match::kMaybe;
    }

    [[nodiscard]] std::string_view transport() const {
        return packet_.forwarded ? "tcp" : packet_.udp() ? "udp" : "esp";
    }

    [[nodiscard]] Match match_protocol(const json& right) const {
        const auto name = contains(right, transport());
        return name == Match::kNo ? contains(right, packet_.forwarded ? 6U : packet_.udp() ? 17U : 50U) : name;
    }

    [[nodiscard]] Match match_payload(const json& payload, const json& right) const {
        const std::string protocol = payload.value("protocol", "");
        const std::string field = payload.value("field", "");
        if ((protocol == "ip" && field == "protocol") || (protocol == "ip6" && field == "nexthdr")) {
            return match_protocol(right);
        }
        if (protocol == "udp" && packet_.udp() && field == "dport") {
            return contains(right, packet_.port.value);
        }
        if (protocol == "udp" && packet_.udp() && packet_.esp && field == "sport") {
            return contains(right, packet_.port.value);
        }
        if (protocol == "udp" && !packet_.esp && field == "sport") {
            const auto low = contains(right, overlay::kSourceLow.value);
            return low == contains(right, overlay::kSourceHigh.value) && low != Match::kYes ? low : Match::kMaybe;
        }
        if (std::ranges::find(kTransports, protocol) != kTransports.end()) {
            return protocol == transport() ? Match::kMaybe : Match::kNo;
        }
        if (protocol == "ip" || protocol == "ip6") {
            return (protocol == "ip") == (packet_.family == base::Family::kIpv4) ? Match::kMaybe : Match::kNo;
        }
        return Match::kMaybe;
    }

    // Whether the value is what is asked for, or among it.
    template <typename Value>
    static Match contains(const json& right, const Value& value) {
        if (right.is_array() || right.contains("set")) {
            auto best = Match::kNo;
            for (const auto& element : right.is_array() ? right : right["set"]) {
                best = std::max(best, contains(element, value));
            }
            return best;
        }
        if constexpr (std::is_integral_v<Value>) {
            if (right.contains("range") && right["range"].size() == 2 && right["range"][0].is_number() &&
                right["range"][1].is_number()) {
                return known(right["range"][0] <= value && value <= right["range"][1]);
            }
            return right.is_number() ? known(right == value) : right.is_string() ? named(right) : Match::kMaybe;
        } else {
            if (right.is_number()) {
                return Match::kNo;
            }
            if (!right.is_string() || named(right) == Match::kMaybe) {
                return Match::kMaybe;
            }
            const std::string text = right;
            const std::string_view wanted = value;
            return known(text.ends_with('*') ? wanted.starts_with(std::string_view(text).substr(0, text.size() - 1))
                                             : text == wanted);
        }
    }

    // A set that has a name is not looked into.
    static Match named(const json& right) {
        return right.get<std::string>().starts_with('@') ? Match::kMaybe : Match::kNo;
    }
};

}  // namespace

base::Result<std::vector<std::vector<ChainVerdict>>> judge(std::string_view ruleset,
                                                           std::span<const Arriving> packets) {
    try {
        const auto parsed = json::parse(ruleset);
        std::vector<std::vector<ChainVerdict>> verdicts;
        for (const auto& packet : packets) {
            verdicts.push_back(Judge(parsed, packet).verdicts());
        }
        return verdicts;
    } catch (const json::exception& error) {
        return base::fail(base::Code::kInvalid, "nft's list of rules: {}", error.what());
    }
}

}  // namespace warren::doctor
