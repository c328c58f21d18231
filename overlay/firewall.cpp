#include "overlay/firewall.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "netlink/attributes.h"

namespace warren::overlay {

namespace {

using base::Code;
using base::Result;
using base::Status;

constexpr const char* kList = "list table inet warren";
constexpr const char* kNever = "no listing is like this";

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

// The first line that says what is wrong; the others quote the ruleset.
std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find('\n'));
}

bool concerns_us(const netlink::Received& event) {
    if (event.type >> 8U != NFNL_SUBSYS_NFTABLES) {
        return false;
    }
    const auto attributes = netlink::Attributes::parse(netlink::after_header(event.payload, sizeof(nfgenmsg)));
    // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, ... are all 1.
    std::string table;
    return attributes && attributes->read_string(NFTA_TABLE_NAME, table) && table == "warren";
}

// Who made the changes that the event ends (NFT_MSG_NEWGEN); nullopt for other events. Empty: it was this thread, or
// the kernel does not say.
std::optional<std::string> maker_of_changes(const netlink::Received& event) {
    if (event.type != ((NFNL_SUBSYS_NFTABLES << 8U) | NFT_MSG_NEWGEN)) {
        return std::nullopt;
    }
    const auto attributes = netlink::Attributes::parse(netlink::after_header(event.payload, sizeof(nfgenmsg)));
    std::uint32_t pid = 0;
    std::string name;
    if (!attributes || !attributes->read_be32(NFTA_GEN_PROC_PID, pid) ||
        !attributes->read_string(NFTA_GEN_PROC_NAME, name) || pid == static_cast<std::uint32_t>(::gettid())) {
        return std::string();
    }
    return fmt::format("process {} ({})", pid, name);
}

// Restores what it found.
class DryRun {
  public:
    explicit DryRun(nft_ctx* context) : context_(context) { nft_ctx_set_dry_run(context_, true); }
    DryRun(const DryRun&) = delete;
    DryRun& operator=(const DryRun&) = delete;
    ~DryRun() { nft_ctx_set_dry_run(context_, false); }

  private:
    nft_ctx* context_;
};

// Rules that drop, in a ruleset or in a listing.
std::size_t drops_in(std::string_view text) {
    std::size_t count = 0;
    for (auto at = text.find(" drop"); at != std::string_view::npos; at = text.find(" drop", at + 1)) {
        ++count;
    }
    return count;
}

// Which says nothing about what the kernel can do.
bool is_shortage(const base::Error& error) {
    return error.message().find(std::strerror(ENOMEM)) != std::string::npos ||
           error.message().find(std::strerror(ENOBUFS)) != std::string::npos;
}

}  // namespace

void free_nft_context(nft_ctx* context) noexcept {
    nft_ctx_free(context);
}

Result<Firewall> Firewall::open() {
    // libnftables exits the process when it cannot open its socket: so this comes first.
    constexpr std::array<unsigned, 1> kGroups{NFNLGRP_NFTABLES};
    auto events = netlink::Subscription::open(netlink::Protocol::kNetfilter, kGroups);
    if (!events) {
        return base::fail(Code::kPrecondition,
                          "the kernel has no nf_tables (CONFIG_NF_TABLES), which encrypted networks need: {}",
                          events.error().message());
    }
    Context context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (context == nullptr || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
        return base::fail(Code::kInternal, "nftables: out of memory");
    }
    return Firewall(std::move(context), *std::move(events));
}

Result<std::string> Firewall::run(const std::string& commands, unsigned output_flags) {
    nft_ctx_output_set_flags(context_.get(), output_flags);
    const int failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
    std::string output = nft_ctx_get_output_buffer(context_.get());
    const std::string error = nft_ctx_get_error_buffer(context_.get());
    if (failed != 0) {
        return base::fail(Code::kInternal, "nftables: {}", first_line(error));
    }
    return output;
}

Result<std::string> Firewall::ruleset() {
    return run("list ruleset", NFT_CTX_OUTPUT_JSON);
}

Status Firewall::check_support() {
    const DryRun dry(context_.get());
    const auto whole = run(barrier_ruleset({{.reqid = 1, .port = base::UdpPort(1)}}, {}));
    if (whole) {
        return {};
    }
    if (is_shortage(whole.error())) {
        return base::fail(Code::kUnavailable, "the kernel lacks memory for the table that encrypted networks need: {}",
                          whole.error().message());
    }
    for (const auto& [ruleset, option] : kRequirements) {
        if (const auto part = run(ruleset); !part) {
            return base::fail(Code::kPrecondition,
                              "the kernel cannot filter by IPsec, which encrypted networks need: {} is missing ({})",
                              option, part.error().message());
        }
    }
    return base::fail(Code::kPrecondition, "the kernel refuses the table that encrypted networks need: {}",
                      whole.error().message());
}

Result<std::optional<std::string>> Firewall::listing() {
    // Without the numbers of counters, and with ports as numbers whatever /etc/services says.
    auto out = run(kList, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL);
    if (out) {
        return std::optional(*std::move(out));
    }
    if (out.error().message().find("No such file or directory") != std::string::npos) {
        return std::nullopt;
    }
    return base::fail_with(std::move(out));
}

Result<bool> Firewall::intact() {
    if (!applied_) {
        return false;
    }
    WARREN_TRY_ASSIGN(const auto now, listing());
    return now.value_or("") == expected_;
}

Status Firewall::apply(const ProtectedPorts& ports) {
    WARREN_TRY_ASSIGN(const bool same, intact());
    if (same && *applied_ == ports) {
        return {};
    }
    if (same && !applied_->empty() && !ports.empty()) {
        WARREN_TRY(run(barrier_elements(ports)));  // the counters stay
    } else {
        WARREN_TRY(write(ports));
    }
    WARREN_TRY_ASSIGN(const auto now, listing());
    applied_ = ports;
    // What is there a moment later is what it is compared with from now on: not if somebody was faster.
    if (!ports.empty() && (!now || drops_in(*now) < drops_in(barrier_ruleset(ports, {})))) {
        expected_ = kNever;
        return base::fail(Code::kAborted, "another program changed the table inet warren while it was put in place");
    }
    expected_ = now.value_or("");
    return {};
}

Status Firewall::write(const ProtectedPorts& ports) {
    if (ports.empty()) {
        WARREN_TRY(run(barrier_removal()));
        return {};
    }
    // Of a table that somebody spoilt, or that a former process left.
    const auto counted = drop_counters();
    const auto before = counted && *counted ? **counted : DropCounters{};
    if (auto done = run(barrier_ruleset(ports, before)); !done) {
        if (auto support = check_support(); !support) {
            return support;
        }
        return base::fail_in("put the table inet warren", std::move(done));
    }
    return {};
}

Status Firewall::read_events() {
    // Who did it comes behind what was done (net/netfilter/nf_tables_api.c, nf_tables_commit).
    bool ours = false;
    auto outcome = events_.receive([&](const netlink::Received& event) -> Status {
        if (concerns_us(event)) {
            ours = true;
        } else if (auto maker = maker_of_changes(event); maker && std::exchange(ours, false)) {
            seen_ = true;
            seen_by_ = maker->empty() ? seen_by_ : *std::move(maker);
        }
        return {};
    });
    seen_ = seen_ || ours || !outcome || *outcome == netlink::Subscription::Outcome::kLost;
    return outcome ? Status{} : Status(base::fail_with(std::move(outcome)));
}

Result<std::optional<Firewall::Restored>> Firewall::handle_events() {
    WARREN_TRY(read_events());
    if (!std::exchange(seen_, false) || !applied_) {
        return std::nullopt;
    }
    Restored restored{.by = std::exchange(seen_by_, {})};
    // Our own changes are among the events.
    WARREN_TRY_ASSIGN(const bool same, intact());
    if (same) {
        return std::nullopt;
    }
    WARREN_TRY(apply(ProtectedPorts(*applied_)));
    return restored;
}

void Firewall::put_off_events() {
    (void)read_events();
    seen_ = true;
}

Result<std::optional<DropCounters>> Firewall::drop_counters() {
    auto out = run("list counters table inet warren");
    if (!out) {
        if (out.error().message().find("No such file or directory") != std::string::npos) {
            return std::nullopt;
        }
        return base::fail_with(std::move(out));
    }
    return parse_drop_counters(*out);
}

}  // namespace warren::overlay
