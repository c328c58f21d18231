#include "agent/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace warren::agent {
namespace {

using testing::HasSubstr;

v1::PeerProof whole() {
    v1::PeerProof proof;
    proof.set_sent(10);
    proof.set_answered(10);
    proof.set_esp_sent_here(10);
    proof.set_esp_seen_there(10);
    proof.set_esp_sent_there(10);
    proof.set_esp_seen_here(10);
    proof.set_forged_sent(3);
    proof.set_forged_seen_there(3);
    return proof;
}

std::optional<v1::Seen> refusing(const std::string& counter, std::uint64_t by) {
    v1::Seen seen;
    (*seen.mutable_refusals())[counter] = by;
    return seen;
}
const auto kRefusing = refusing("nft received_clear", 3);

TEST(Proof, OfWhatWasSeenWholeIsOne) {
    auto proof = whole();
    judge(proof, kRefusing);
    EXPECT_EQ(proof.verdict(), "encrypted");
    EXPECT_EQ(proof.detail(), "");
    EXPECT_EQ(proof.refused_by(), "nft received_clear +3");
}

struct Case {
    const char* verdict;
    const char* detail;
    std::function<void(v1::PeerProof&)> change;
    std::optional<v1::Seen> told = kRefusing;
};

TEST(Proof, WhatSpeaksAgainstItIsSaid) {
    for (const auto& [verdict, detail, change, told] : {
             Case{"clear", "in clear: 1 were seen here, 0 there", [](auto& p) { p.set_clear_here(1); }},
             Case{"clear", "in clear: 0 were seen here, 2 there", [](auto& p) { p.set_clear_there(2); }},
             Case{"clear", "1 of 3 forged frames in clear were let in", [](auto& p) { p.set_forged_delivered(1); }},
             Case{"clear", "in clear", [](auto& p) { p.set_clear_here(1); }, std::nullopt},
             Case{"unproven", "it did not say what it saw", [](auto&) {}, std::nullopt},
             Case{"unproven", "no session", [](auto& p) { p.set_detail("it has no session"); }},
             Case{"unproven", "0 of 10 frames were answered", [](auto& p) { p.set_answered(0); }},
             Case{"unproven", "9 were seen to leave here in ESP", [](auto& p) { p.set_esp_sent_here(9); }},
             Case{"unproven", "and 9 to come in there", [](auto& p) { p.set_esp_seen_there(9); }},
             Case{"unproven", "of 10 answers 0 were seen to come back in ESP", [](auto& p) { p.set_esp_seen_here(0); }},
             Case{"unproven", "of 3 forged frames in clear none came", [](auto& p) { p.set_forged_seen_there(0); }},
             Case{"unproven", "its barriers count 2 as refused", [](auto&) {}, refusing("nft received_clear", 2)},
             Case{"unproven", "its barriers count 0 as refused", [](auto&) {}, refusing("XfrmOutNoStates", 9)},
         }) {
        auto proof = whole();
        change(proof);
        judge(proof, told);
        EXPECT_EQ(proof.verdict(), verdict) << detail;
        EXPECT_THAT(proof.detail(), HasSubstr(detail));
    }
}

TEST(Proof, TheWorstPeerDecides) {
    v1::NetworkVerifyReply reply;
    EXPECT_EQ(verdict_of(reply), "unproven") << "of nobody";
    reply.add_peers()->set_verdict("encrypted");
    EXPECT_EQ(verdict_of(reply), "encrypted");
    reply.add_peers()->set_verdict("unproven");
    EXPECT_EQ(verdict_of(reply), "unproven");
    reply.add_peers()->set_verdict("clear");
    EXPECT_EQ(verdict_of(reply), "clear");
}

}  // namespace
}  // namespace warren::agent
