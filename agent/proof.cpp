#include "agent/proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace warren::agent {

namespace {

constexpr const char* kEncrypted = "encrypted";
constexpr const char* kClear = "clear";
constexpr const char* kUnproven = "unproven";
// net/ipv4/esp4_offload.c, esp4_gro_receive.
constexpr const char* kOffload = "; a kernel that decrypts in GRO (esp4_offload) shows none of what comes in";
// The barriers' own: policies, and the nft table.
constexpr std::array<std::string_view, 3> kRefusals{"nft received_clear", "XfrmInPolBlock", "XfrmInTmplMismatch"};

// Why there is no proof although nothing was seen in clear; empty: there is.
std::string what_lacks(const v1::PeerProof& proof, bool told, std::uint64_t refused) {
    if (!told || !proof.detail().empty()) {
        return proof.detail().empty() ? "it did not say what it saw" : proof.detail();
    }
    if (proof.sent() == 0 || proof.answered() == 0) {
        return fmt::format("{} of {} frames were answered: see warren doctor", proof.answered(), proof.sent());
    }
    if (proof.esp_sent_here() < proof.sent() || proof.esp_seen_there() < proof.answered()) {
        return fmt::format("of {} frames {} were seen to leave here in ESP, and {} to come in there{}", proof.sent(),
                           proof.esp_sent_here(), proof.esp_seen_there(), kOffload);
    }
    if (proof.esp_seen_here() < proof.answered()) {
        return fmt::format("of {} answers {} were seen to come back in ESP{}", proof.answered(), proof.esp_seen_here(),
                           kOffload);
    }
    if (proof.forged_seen_there() == 0) {
        return fmt::format("of {} forged frames in clear none came to it", proof.forged_sent());
    }
    if (refused < proof.forged_seen_there()) {
        return fmt::format("of {} forged frames that came to it its barriers count {} as refused",
                           proof.forged_seen_there(), refused);
    }
    return {};
}

}  // namespace

void judge(v1::PeerProof& proof, const std::optional<v1::Seen>& told) {
    const auto refusals = told.value_or(v1::Seen()).refusals();
    std::string who;
    std::uint64_t refused = 0;
    for (const auto counter : kRefusals) {
        const auto by = refusals.find(std::string(counter));
        if (by != refusals.end()) {
            who += fmt::format("{}{} +{}", who.empty() ? "" : ", ", counter, by->second);
            refused += by->second;
        }
    }
    proof.set_refused_by(who);
    if (proof.clear_here() + proof.clear_there() > 0) {
        proof.set_verdict(kClear);
        proof.set_detail(fmt::format("frames crossed the underlay in clear: {} were seen here, {} there",
                                     proof.clear_here(), proof.clear_there()));
        return;
    }
    if (proof.forged_delivered() > 0) {
        proof.set_verdict(kClear);
        proof.set_detail(
            fmt::format("{} of {} forged frames in clear were let in", proof.forged_delivered(), proof.forged_sent()));
        return;
    }
    auto lacks = what_lacks(proof, told.has_value(), refused);
    proof.set_verdict(lacks.empty() ? kEncrypted : kUnproven);
    proof.set_detail(std::move(lacks));
}

std::string verdict_of(const v1::NetworkVerifyReply& reply) {
    const auto any = [&](std::string_view verdict) {
        return std::ranges::any_of(reply.peers(), [&](const auto& peer) { return peer.verdict() == verdict; });
    };
    if (any(kClear)) {
        return kClear;
    }
    return reply.peers().empty() || any(kUnproven) ? kUnproven : kEncrypted;
}

}  // namespace warren::agent
