#include "certs/possession.h"

#include <gtest/gtest.h>

#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

class PossessionTest : public testing::Test {
  protected:
    TestCluster cluster_;
    NodeIdentity node_ = cluster_.node(Role::kWorker);
    PossessionClaim claim_{.cluster = cluster_.id,
                           .manager = base::random_id<base::NodeId>(),
                           .challenge = "challenge",
                           .request_pem = must(make_request(must(PrivateKey::generate())))};
    std::string proof_ = must(prove_possession(node_.key(), claim_));
};

TEST_F(PossessionTest, TheHolderOfTheKeyProvesIt) {
    EXPECT_TRUE(check_possession(node_.chain_pem(), claim_, proof_));
}

TEST_F(PossessionTest, AnotherKeyDoesNot) {
    const NodeIdentity other = cluster_.node(Role::kWorker);
    const auto refused = check_possession(other.chain_pem(), claim_, proof_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kDenied);
}

TEST_F(PossessionTest, IsBoundToEverythingItIsAbout) {
    auto other = claim_;
    other.cluster = base::random_id<base::ClusterId>();
    EXPECT_FALSE(check_possession(node_.chain_pem(), other, proof_));
    other = claim_;
    other.manager = base::random_id<base::NodeId>();
    EXPECT_FALSE(check_possession(node_.chain_pem(), other, proof_));
    other = claim_;
    other.challenge = "challengf";
    EXPECT_FALSE(check_possession(node_.chain_pem(), other, proof_));
    other = claim_;
    other.request_pem = must(make_request(must(PrivateKey::generate())));
    EXPECT_FALSE(check_possession(node_.chain_pem(), other, proof_)) << "somebody else's key would be certified";
}

TEST_F(PossessionTest, GarbageIsNoSignature) {
    for (const std::string& garbage : {std::string(), std::string("x"), std::string(72, '\0'), std::string(1000, 'x'),
                                       proof_.substr(1), proof_ + "x"}) {
        EXPECT_FALSE(check_possession(node_.chain_pem(), claim_, garbage)) << garbage.size();
    }
    EXPECT_FALSE(check_possession("no certificate", claim_, proof_));
}

TEST(Challenges, AreKnownToWhoMadeThemForAMinute) {
    const Challenges challenges;
    const std::string made = challenges.make(kNow);
    EXPECT_TRUE(challenges.check(made, kNow));
    EXPECT_TRUE(challenges.check(made, kNow + 59s));
    EXPECT_FALSE(challenges.check(made, kNow + 61s));
    EXPECT_FALSE(challenges.check(made, kNow - 1s)) << "made in the future";
    EXPECT_FALSE(Challenges().check(made, kNow)) << "of another manager";
}

TEST(Challenges, CannotBeMadeByAnybodyElse) {
    const Challenges challenges;
    const std::string made = challenges.make(kNow);
    for (std::size_t i = 0; i < made.size(); ++i) {
        std::string forged = made;
        forged[i] = static_cast<char>(forged[i] ^ 1);
        EXPECT_FALSE(challenges.check(forged, kNow)) << i;
    }
    EXPECT_FALSE(challenges.check("", kNow));
    EXPECT_FALSE(challenges.check(made + "x", kNow));
    EXPECT_FALSE(challenges.check(made.substr(0, 8), kNow));
}

}  // namespace
}  // namespace warren::certs
