#include "agent/proof.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::agent {

namespace {

constexpr const char* kEncrypted = "encrypted";
constexpr const char* kClear = "clear";
constexpr const char* kUnproven = "unproven";

// Why there is no proof although nothing was seen in clear; empty: there is.
std::string what_lacks(const v1::PeerProof& proof, bool told) {
    if (!told || !proof.detail().empty()) {
        return proof.detail().empty() ? "it did not say what it saw" : proof.detail();
    }
    if (proof.sent() == 0 || proof.answered() == 0) {
        return fmt::format("{} of {} frames were answered: see warren doctor", proof.answered(), proof.sent());
    }
    if (proof.esp_sent_here() < proof.sent() || proof.esp_seen_there() < proof.answered()) {
        return fmt::format("of {} frames {} were seen to leave here in ESP, and {} to come in there", proof.sent(),
                           proof.esp_sent_here(), proof.esp_seen_there());
    }
    if (proof.esp_seen_here() < proof.answered()) {
        return fmt::format("of {} answers {} were seen to come back in ESP", proof.answered(), proof.esp_seen_here());
    }
    if (proof.forged_seen_there() == 0) {
        return fmt::format("of {} forged frames in clear none came to it", proof.forged_sent());
    }
    if (proof.refused_by().empty()) {
        return "no counter says who refused the forged frames";
    }
    return {};
}

}  // namespace

void judge(v1::PeerProof& proof, bool told) {
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
    auto lacks = what_lacks(proof, told);
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
