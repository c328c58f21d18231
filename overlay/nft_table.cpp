#include "overlay/nft_table.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/process.h"
#include "netlink/attributes.h"

namespace warren::overlay {

namespace {

using base::Code;
using base::Result;
using base::Status;

// The first line that says what is wrong; the others quote the ruleset.
std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find('\n'));
}

bool concerns(const std::string& name, const netlink::Received& event) {
    if (event.type >> 8U != NFNL_SUBSYS_NFTABLES) {
        return false;
    }
    const auto attributes = netlink::Attributes::parse(netlink::after_header(event.payload, sizeof(nfgenmsg)));
    // NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, ... are all 1.
    std::string table;
    return attributes && attributes->read_string(NFTA_TABLE_NAME, table) && table == name;
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
    return base::process_text(pid, name);
}

std::size_t count(std::string_view text, std::string_view word) {
    std::size_t found = 0;
    for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size())) {
        ++found;
    }
    return found;
}

// As many of each, in a listing and in the ruleset that made it, whose texts differ otherwise.
bool same_verdicts(std::string listing, std::string_view ruleset) {
    constexpr std::array<std::string_view, 9> kVerdicts{" accept", " drop",  " reject",      " return",    " jump ",
                                                        " goto ",  " queue", " dnat ip to ", " masquerade"};
    std::replace(listing.begin(), listing.end(), '\t', ' ');
    return std::all_of(kVerdicts.begin(), kVerdicts.end(),
                       [&](std::string_view word) { return count(listing, word) == count(ruleset, word); });
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

}  // namespace

void free_nft_context(nft_ctx* context) noexcept {
    nft_ctx_free(context);
}

Result<NftTable> NftTable::open(std::string name, std::vector<std::string> families) {
    // libnftables exits the process when it cannot open its socket: so this comes first.
    constexpr std::array<unsigned, 1> kGroups{NFNLGRP_NFTABLES};
    auto events = netlink::Subscription::open(netlink::Protocol::kNetfilter, kGroups);
    if (!events) {
        return base::fail(Code::kPrecondition, "the kernel has no nf_tables (CONFIG_NF_TABLES): {}",
                          events.error().message());
    }
    Context context(nft_ctx_new(NFT_CTX_DEFAULT));
    if (context == nullptr || nft_ctx_buffer_output(context.get()) != 0 || nft_ctx_buffer_error(context.get()) != 0) {
        return base::fail(Code::kInternal, "nftables: out of memory");
    }
    return NftTable(std::move(name), std::move(families), std::move(context), *std::move(events));
}

Result<std::string> NftTable::run(const std::string& commands, unsigned output_flags) {
    nft_ctx_output_set_flags(context_.get(), output_flags);
    const int failed = nft_run_cmd_from_buffer(context_.get(), commands.c_str());
    std::string output = nft_ctx_get_output_buffer(context_.get());
    const std::string error = nft_ctx_get_error_buffer(context_.get());
    if (failed != 0) {
        return base::fail(Code::kInternal, "nftables: {}", first_line(error));
    }
    return output;
}

Status NftTable::try_out(const std::string& commands) {
    const DryRun dry(context_.get());
    WARREN_TRY(run(commands));
    return {};
}

Result<std::string> NftTable::listing() {
    std::string all;
    for (const auto& family : families_) {
        // Without the numbers of counters, and with ports as numbers whatever /etc/services says.
        auto out =
            run(fmt::format("list table {} {}", family, name_), NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL);
        if (out) {
            all += *out;
        } else if (out.error().message().find("No such file or directory") == std::string::npos) {
            return base::fail_with(std::move(out));
        }
    }
    return all;
}

Status NftTable::put(const std::string& commands, const std::string& ruleset) {
    WARREN_TRY(run(commands));
    right_.reset();
    WARREN_TRY_ASSIGN(auto now, listing());
    // What is there a moment later is what it is compared with from now on: not if somebody was faster. What he did is
    // among the events.
    if (!same_verdicts(now, ruleset)) {
        return base::fail(Code::kAborted, "another program changed the table {} while it was put in place", name_);
    }
    right_ = std::move(now);
    return {};
}

Result<bool> NftTable::intact() {
    if (!right_) {
        return false;
    }
    WARREN_TRY_ASSIGN(const auto now, listing());
    return now == *right_;
}

Status NftTable::read_events() {
    // Who did it comes behind what was done (net/netfilter/nf_tables_api.c, nf_tables_commit).
    bool ours = false;
    auto outcome = events_.receive([&](const netlink::Received& event) -> Status {
        if (concerns(name_, event)) {
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

Result<std::optional<std::string>> NftTable::take_events() {
    WARREN_TRY(read_events());
    auto by = std::exchange(seen_by_, {});
    return std::exchange(seen_, false) ? std::optional(std::move(by)) : std::nullopt;
}

void NftTable::put_off_events() {
    (void)read_events();
    seen_ = true;
}

}  // namespace warren::overlay
