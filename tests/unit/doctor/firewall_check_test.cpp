#include "doctor/firewall_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <sstream>

#include "doctor/ruleset_judge.h"

// The rulesets are what `nft --json list ruleset` printed (nftables 1.0.6), without counters, handles and what does not
// hang on the input hook: firewalld 1.3.3 and ufw 0.36.2 as they are when they are switched on, and with what the
// remedy says; Docker 20.10 as it starts, the rules of its table filter alone.
namespace warren::doctor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string ruleset(const std::string& name) {
    std::ifstream file(std::string(WARREN_RULESETS) + "/" + name + ".json");
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_FALSE(text.str().empty()) << name;
    return text.str();
}

base::Result<std::vector<ChainVerdict>> judged_all(std::string_view json, const Arriving& packet) {
    WARREN_TRY_ASSIGN(const auto verdicts, judge(json, std::array{packet}));
    return verdicts.at(0);
}

// Of the only chain: "accept", "drop" or "maybe".
std::string judged(const std::string& json, const Arriving& packet) {
    const auto verdicts = judged_all(json, packet);
    if (!verdicts) {
        return verdicts.error().message();
    }
    if (verdicts->size() != 1) {
        return std::to_string(verdicts->size()) + " chains";
    }
    const auto& verdict = verdicts->front();
    return verdict.may_accept && verdict.may_drop ? "maybe" : verdict.may_accept ? "accept" : "drop";
}

Arriving esp() {
    return {.device = "eth0", .esp = true};
}
Arriving esp_in_udp(std::uint16_t port) {
    return {.device = "eth0", .esp = true, .port = base::UdpPort{port}};
}
Arriving udp(std::uint16_t port = 10001) {
    return {.device = "eth0", .port = base::UdpPort{port}};
}

TEST(JudgeInput, FirewallsAsTheyComeDropIt) {
    for (const auto* name : {"firewalld", "ufw"}) {
        EXPECT_EQ(judged(ruleset(name), esp()), "drop") << name;
        EXPECT_EQ(judged(ruleset(name), udp()), "drop") << name;
    }
}

TEST(JudgeInput, WithTheRemedyTheyLetItIn) {
    EXPECT_EQ(judged(ruleset("firewalld-open"), esp()), "accept");
    EXPECT_EQ(judged(ruleset("firewalld-open"), udp()), "accept");
    EXPECT_EQ(judged(ruleset("firewalld-open"), udp(10009)), "drop");
    EXPECT_EQ(judged(ruleset("ufw-open"), esp()), "accept");
    EXPECT_EQ(judged(ruleset("ufw-open"), udp()), "maybe") << "nft does not tell what multiport and policy ask for";
}

TEST(JudgeInput, RulesByHandAreRead) {
    const auto json = ruleset("hand");
    EXPECT_EQ(judged(json, esp()), "accept");
    EXPECT_EQ(judged(json, udp(10100)), "accept");
    EXPECT_EQ(judged(json, udp(10101)), "maybe") << "its source address may be one of a set";
    EXPECT_EQ(judged(json, {.device = "lo", .port = base::UdpPort{9}}), "accept");
}

std::string one_chain(const std::string& policy, const std::string& rules) {
    std::string json = R"({"nftables": [{"chain": {"family": "inet", "table": "t", "name": "c", "type": "filter",
        "hook": "input", "prio": 0, "policy": ")" +
                       policy + R"("}},
        {"chain": {"family": "inet", "table": "t", "name": "sub"}})";
    std::istringstream lines(rules);
    for (std::string line; std::getline(lines, line);) {
        const bool sub = line.starts_with("sub: ");
        json += R"(, {"rule": {"family": "inet", "table": "t", "chain": ")" + std::string(sub ? "sub" : "c") +
                R"(", "expr": [)" + (sub ? line.substr(5) : line) + "]}}";
    }
    return json + "]}";
}

TEST(JudgeInput, ChainsAreWalkedAsTheKernelDoes) {
    const std::string accept = R"({"accept": null})";
    const std::string drop = R"({"drop": null})";
    const std::string jump = R"({"jump": {"target": "sub"}})";
    const std::string go = R"({"goto": {"target": "sub"}})";
    const std::string leave = R"({"return": null})";
    const std::string maybe =
        R"({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "192.0.2.9"}}, )";
    const std::string tcp =
        R"({"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, )";
    const std::string not_lo = R"({"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, )";
    const std::string eth = R"({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "eth*"}}, )";
    const auto result = [](const std::string& policy, const std::string& rules) {
        return judged(one_chain(policy, rules), udp());
    };
    EXPECT_EQ(result("accept", ""), "accept");
    EXPECT_EQ(result("drop", ""), "drop");
    EXPECT_EQ(result("drop", tcp + accept), "drop");
    EXPECT_EQ(result("drop", not_lo + accept), "accept");
    EXPECT_EQ(result("drop", eth + accept), "accept");
    EXPECT_EQ(result("drop", maybe + accept), "maybe");
    EXPECT_EQ(result("drop", maybe + drop), "drop");
    EXPECT_EQ(result("accept", drop + "\n" + accept), "drop");
    EXPECT_EQ(result("drop", jump + "\n" + accept + "\nsub: " + leave + "\nsub: " + drop), "accept");
    EXPECT_EQ(result("drop", go + "\n" + accept + "\nsub: " + leave + "\nsub: " + accept), "drop");
    EXPECT_EQ(result("accept", jump + "\nsub: " + drop), "drop");
    EXPECT_EQ(result("accept", jump + "\nsub: " + jump), "maybe") << "a loop, which the kernel would not take";
    EXPECT_EQ(result("accept", R"({"xt": {"type": "match", "name": "recent"}}, )" + drop), "maybe");
    EXPECT_EQ(result("accept", R"({"vmap": {"key": {"ct": {"key": "state"}}, "data": "@m"}})"), "maybe");
}

TEST(JudgeInput, EspInUdpIsUdpThatWasNotDecrypted) {
    const auto match = [](const std::string& left, const std::string& right) {
        return R"({"match": {"op": "==", "left": )" + left + R"(, "right": )" + right + "}}, ";
    };
    const std::string accept = R"({"accept": null})";
    const auto port = match(R"({"payload": {"protocol": "udp", "field": "dport"}})", "7443");
    const auto source = match(R"({"payload": {"protocol": "udp", "field": "sport"}})", "7443");
    const auto protocol = match(R"({"payload": {"protocol": "ip", "field": "protocol"}})", R"("udp")");
    const auto secpath = match(R"({"meta": {"key": "ipsec"}})", "true");
    const auto result = [&](const std::string& rule) { return judged(one_chain("drop", rule), esp_in_udp(7443)); };
    EXPECT_EQ(result(port + accept), "accept");
    EXPECT_EQ(result(source + accept), "accept") << "from and to the same port";
    EXPECT_EQ(result(protocol + accept), "accept");
    EXPECT_EQ(result(secpath + accept), "drop");
    EXPECT_EQ(judged(one_chain("drop", port + accept), esp_in_udp(4501)), "drop");
    EXPECT_EQ(judged(one_chain("drop", protocol + accept), esp()), "drop");
}

TEST(JudgeInput, OurOwnTableOtherFamiliesAndOtherHooksDoNotCount) {
    EXPECT_THAT(*judged_all(R"({"nftables": [
        {"chain": {"family": "inet", "table": "warren", "name": "in", "type": "filter", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "ip6", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "type": "filter", "hook": "forward", "policy": "drop"}}
        ]})",
                            esp()),
                IsEmpty());
}

TEST(JudgeInput, WhatIsNotNftsIsSaid) {
    for (const auto* text : {"", "{}", "[1]", R"({"nftables": [{"rule": {}}]})", R"({"nftables": 7})"}) {
        EXPECT_FALSE(judged_all(text, esp())) << text;
    }
}

std::vector<Finding> checked(const std::string& name, bool answered) {
    return check_firewall(ruleset(name), "eth0", base::Family::kIpv4,
                          {.decrypted = {base::UdpPort{10001}, base::UdpPort{10002}}, .carriers = {base::UdpPort{}}},
                          answered);
}

TEST(CheckFirewall, NamesTheChainAndTheRuleToAdd) {
    auto findings = checked("ufw", false);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_EQ(findings[0].detail,
              "chain INPUT of table ip filter drops ESP, decrypted UDP to port 10001, decrypted UDP to port 10002");
    EXPECT_THAT(findings[0].remedy, HasSubstr("iptables -I INPUT -p udp -m multiport --dports 10001,10002 -m policy"));
    findings = checked("firewalld", false);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_THAT(findings[0].remedy, HasSubstr("firewall-cmd --permanent --add-protocol=esp"));
    EXPECT_EQ(checked("ufw-open", false)[0].detail,
              "chain INPUT of table ip filter may drop decrypted UDP to port 10001, decrypted UDP to port 10002");
    EXPECT_EQ(checked("ufw-open", true)[0].verdict, Verdict::kOk);
    EXPECT_EQ(checked("firewalld-open", false)[0].verdict, Verdict::kWrong) << "of one of the two networks";
    findings = checked("firewalld-open", true);
    EXPECT_EQ(findings[0].verdict, Verdict::kWarning);
    EXPECT_EQ(findings[0].detail, "chain filter_INPUT of table inet firewalld drops decrypted UDP to port 10002");
}

TEST(CheckFirewall, TellsOfThePortThatEspIsWrappedIn) {
    const auto check = [](const std::string& name) {
        return check_firewall(ruleset(name), "eth0", base::Family::kIpv4,
                              {.decrypted = {base::UdpPort{10001}}, .carriers = {base::UdpPort{7443}}}, false)
            .at(0);
    };
    EXPECT_EQ(check("ufw").detail,
              "chain INPUT of table ip filter drops ESP in UDP to port 7443, decrypted UDP to port 10001");
    EXPECT_THAT(check("ufw").remedy, HasSubstr("iptables -I INPUT -p udp --dport 7443 -j ACCEPT; iptables"));
    EXPECT_THAT(check("firewalld").remedy, HasSubstr("firewall-cmd --permanent --add-port=7443/udp; and"));
}

TEST(CheckFirewall, WhatMayBeDroppedIsNotOnceItWasSeenToComeThrough) {
    auto json = ruleset("hand");
    const auto findings = [&](bool answered) {
        return check_firewall(json, "eth0", base::Family::kIpv4,
                              {.decrypted = {base::UdpPort{11000}}, .carriers = {base::UdpPort{}}}, answered);
    };
    ASSERT_EQ(findings(false).size(), 1U);
    EXPECT_EQ(findings(false)[0].verdict, Verdict::kWarning);
    EXPECT_EQ(findings(false)[0].detail, "chain input of table inet filter may drop decrypted UDP to port 11000");
    EXPECT_EQ(findings(true)[0].verdict, Verdict::kOk);
    EXPECT_EQ(
        check_firewall(base::fail(base::Code::kInternal, "no nft"), "eth0", base::Family::kIpv4, {}, true)[0].verdict,
        Verdict::kUnknown);
}

std::vector<Finding> forwarding(const std::string& json, bool published = false) {
    return check_forwarding(json, "eth0", published);
}

TEST(CheckForwarding, DockersPolicyKeepsContainersIn) {
    const auto findings = forwarding(ruleset("docker"), true);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kWrong);
    EXPECT_EQ(findings[0].detail,
              "chain FORWARD of table ip filter drops what containers send out of this host, the answers to it, what "
              "comes for published ports");
    EXPECT_THAT(findings[0].remedy, HasSubstr("iptables -I DOCKER-USER -i warren_gw -j ACCEPT; "
                                              "iptables -I DOCKER-USER -o warren_gw -j ACCEPT"));
    EXPECT_THAT(forwarding(ruleset("docker"))[0].detail, testing::Not(HasSubstr("published")));
}

TEST(CheckForwarding, WithTheRemedyTheyGetOut) {
    const auto findings = forwarding(ruleset("docker-open"), true);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].verdict, Verdict::kOk) << findings[0].detail;
}

TEST(CheckForwarding, OthersAreToldTheirOwnWords) {
    const auto chain = [](const std::string& family, const std::string& table, const std::string& name,
                          const std::string& rules) {
        return forwarding(fmt::format(R"({{"nftables": [{{"chain": {{"family": "{0}", "table": "{1}", "name": "{2}",
            "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}}}}{3}]}})",
                                      family, table, name, rules),
                          true);
    };
    EXPECT_THAT(chain("inet", "firewalld", "filter_FORWARD", "")[0].remedy,
                HasSubstr("firewall-cmd --permanent --zone=trusted --add-interface=warren_gw"));
    EXPECT_THAT(chain("ip", "filter", "FORWARD", "")[0].remedy,
                HasSubstr("iptables -I FORWARD -o warren_gw -j ACCEPT (with ufw: ufw route allow in on warren_gw"));
    EXPECT_THAT(chain("inet", "mine", "f", "")[0].remedy,
                HasSubstr("nft insert rule inet mine f iifname warren_gw accept"));
    // What one rule lets pass is not among what the chain drops.
    const auto rule = [](const char* match) {
        return fmt::format(R"(, {{"rule": {{"family": "inet", "table": "mine", "chain": "f", "expr": [
        {{"match": {{"op": "in", "left": {}}}}}, {{"accept": null}}]}}}})",
                           match);
    };
    EXPECT_EQ(chain("inet", "mine", "f", rule(R"({"ct": {"key": "status"}}, "right": "dnat")"))[0].detail,
              "chain f of table inet mine drops what containers send out of this host, the answers to it");
    EXPECT_EQ(
        chain("inet", "mine", "f", rule(R"({"ct": {"key": "state"}}, "right": ["established", "related"])"))[0].detail,
        "chain f of table inet mine drops what containers send out of this host, what comes for published ports");
    // What comes in for this host itself is another hook's, and what ours do is right.
    EXPECT_EQ(forwarding(ruleset("ufw"))[0].verdict, Verdict::kOk);
    EXPECT_EQ(chain("inet", "warren_gw", "forward", "")[0].verdict, Verdict::kOk);
}

TEST(CheckForwarding, WhatCannotBeReadIsSaid) {
    EXPECT_EQ(check_forwarding(base::fail(base::Code::kInternal, "no nft"), "eth0", true)[0].verdict,
              Verdict::kUnknown);
    EXPECT_EQ(forwarding("nonsense")[0].verdict, Verdict::kUnknown);
}

TEST(CheckLegacyTables, OldRulesAreMentioned) {
    EXPECT_THAT(check_legacy_tables(""), IsEmpty());
    EXPECT_EQ(check_legacy_tables("filter\n").at(0).verdict, Verdict::kUnknown);
}

}  // namespace
}  // namespace warren::doctor
