#include "overlay/firewall.h"

#include <nftables/libnftables.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace warren::overlay {

namespace {

using base::Code;
using base::Result;
using base::Status;

// What the table needs, from the general to the special, and which option of the kernel gives it. Each is tried for
// itself when the table is refused.
struct Requirement {
    const char* ruleset;
    const char* option;
};
constexpr std::array kRequirements{
    Requirement{"table inet warren_probe { }", "CONFIG_NF_TABLES_INET"},
    Requirement{"table inet warren_probe { set s { type inet_service; }; counter c { }; chain c { type filter hook "
                "input priority -300; udp dport @s counter name c drop; }; }",
                "CONFIG_NF_TABLES"},
    Requirement{
        "table inet warren_probe { chain c { type filter hook postrouting priority 300; rt ipsec missing drop; }; }",
        "CONFIG_XFRM"},
    Requirement{"table inet warren_probe { chain c { type filter hook output priority -300; notrack; }; }",
                "CONFIG_NFT_CT"},
    Requirement{
        "table inet warren_probe { set s { typeof ipsec in reqid . udp dport; }; chain c { type filter hook input "
        "priority -300; ipsec in reqid . udp dport @s accept; }; }",
        "CONFIG_NFT_XFRM"},
};

// Which says nothing about what the kernel can do.
bool is_shortage(const base::Error& error) {
    return error.message().find(std::strerror(ENOMEM)) != std::string::npos ||
           error.message().find(std::strerror(ENOBUFS)) != std::string::npos;
}

}  // namespace

Result<Firewall> Firewall::open() {
    auto table = NftTable::open("warren", {"inet"});
    if (!table) {
        return base::fail_in("encrypted networks need nf_tables", std::move(table));
    }
    return Firewall(*std::move(table));
}

Result<std::string> Firewall::ruleset() {
    return table_.run("list ruleset", NFT_CTX_OUTPUT_JSON);
}

Status Firewall::check_support() {
    const auto whole = table_.try_out(barrier_ruleset({{.reqid = 1, .port = base::UdpPort(1)}}, {}));
    if (whole) {
        return {};
    }
    if (is_shortage(whole.error())) {
        return base::fail(Code::kUnavailable, "the kernel lacks memory for the table that encrypted networks need: {}",
                          whole.error().message());
    }
    for (const auto& [ruleset, option] : kRequirements) {
        if (const auto part = table_.try_out(ruleset); !part) {
            return base::fail(Code::kPrecondition,
                              "the kernel cannot filter by IPsec, which encrypted networks need: {} is missing ({})",
                              option, part.error().message());
        }
    }
    return base::fail(Code::kPrecondition, "the kernel refuses the table that encrypted networks need: {}",
                      whole.error().message());
}

Result<bool> Firewall::intact() {
    return table_.intact();
}

Status Firewall::apply(const ProtectedPorts& ports) {
    WARREN_TRY_ASSIGN(const bool same, intact());
    if (same && applied_ == ports) {
        return {};
    }
    const bool elements_alone = same && applied_ && !applied_->empty() && !ports.empty();
    auto done = elements_alone ? table_.put(barrier_elements(ports), barrier_ruleset(ports, {}))
                               : write(ports);  // the counters stay
    if (done || done.error().code() == Code::kAborted) {
        applied_ = ports;
    }
    return done;
}

Status Firewall::write(const ProtectedPorts& ports) {
    if (ports.empty()) {
        return table_.put(barrier_removal(), {});
    }
    // Of a table that somebody spoilt, or that a former process left.
    const auto counted = drop_counters();
    const auto before = counted && *counted ? **counted : DropCounters{};
    const auto ruleset = barrier_ruleset(ports, before);
    auto done = table_.put(ruleset, ruleset);
    if (done || done.error().code() == Code::kAborted) {
        return done;
    }
    WARREN_TRY(check_support());
    return base::fail_in("put the table inet warren", std::move(done));
}

Result<std::optional<Firewall::Restored>> Firewall::handle_events() {
    WARREN_TRY_ASSIGN(auto by, table_.take_events());
    if (!by || !applied_) {
        return std::nullopt;
    }
    // Our own changes are among the events.
    WARREN_TRY_ASSIGN(const bool same, intact());
    if (same) {
        return std::nullopt;
    }
    WARREN_TRY(apply(ProtectedPorts(*applied_)));
    return Restored{.by = *std::move(by)};
}

Result<std::optional<DropCounters>> Firewall::drop_counters() {
    auto out = table_.run("list counters table inet warren");
    if (!out) {
        if (out.error().message().find("No such file or directory") != std::string::npos) {
            return std::nullopt;
        }
        return base::fail_with(std::move(out));
    }
    return parse_drop_counters(*out);
}

}  // namespace warren::overlay
