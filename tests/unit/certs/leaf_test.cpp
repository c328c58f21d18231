#include "certs/leaf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/obj_mac.h>

#include "tests/unit/certs/forge.h"
#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

using testing::HasSubstr;

constexpr std::size_t kOu = 1;
constexpr std::size_t kCn = 2;
constexpr std::size_t kConstraints = 0;
constexpr std::size_t kExtendedUsage = 2;
constexpr std::size_t kNames = 3;

class LeafTest : public testing::Test {
  protected:
    // What is wrong with a worker's certificate that was spoiled by `spoil`, signed by the right authority.
    template <typename Spoil>
    [[nodiscard]] std::string complaint(Spoil spoil) const {
        Forgery forgery = like_issued(worker_);
        spoil(forgery);
        return error_of(cluster_.roots.verify("leaf", forge_leaf(cluster_, forgery), kNow));
    }
    // The same with these alternative names.
    [[nodiscard]] std::string with_names(const std::string& names) const {
        return complaint([&](Forgery& f) { f.extensions[kNames].second = names; });
    }

    TestCluster cluster_;
    Identity worker_ = cluster_.identity(Role::kWorker);
    std::string uri_ = "URI:" + spiffe_id(worker_);
};

TEST_F(LeafTest, AnUnspoiledForgeryPasses) {
    EXPECT_EQ(complaint([](Forgery&) {}), "");
}

TEST_F(LeafTest, ExactlyOneUriNameOfOurForm) {
    EXPECT_THAT(complaint([](Forgery& f) { f.extensions.pop_back(); }), HasSubstr("alternative names"));
    EXPECT_THAT(complaint([](Forgery& f) { f.extensions.push_back(f.extensions[kNames]); }),
                HasSubstr("an extension of it is damaged or there twice"));
    const std::string other = "URI:" + spiffe_id(cluster_.identity(Role::kWorker));
    for (const std::string& names :
         {uri_ + "," + uri_, uri_ + "," + other, other, uri_ + "/", uri_ + "?x", "URI:spiffe://" + cluster_.id.text(),
          "URI:https://" + cluster_.id.text() + "/node/" + worker_.node.text(), "DNS:" + worker_.node.text()}) {
        EXPECT_THAT(with_names(names), HasSubstr("URI names: must be exactly spiffe://")) << names;
    }
    EXPECT_THAT(with_names(uri_ + ",IP:127.0.0.1"), HasSubstr("alternative names"));
    EXPECT_THAT(with_names(uri_ + ",email:a@b.example"), HasSubstr("alternative names"));
}

TEST_F(LeafTest, OnlyManagersHaveTheManagersName) {
    EXPECT_THAT(with_names(uri_ + ",DNS:" + manager_dns_name(cluster_.id)), HasSubstr("a worker must have none"));
    const auto as_manager = [&](const std::string& names) {
        return complaint([&](Forgery& f) {
            f.subject[kOu].second = "manager";
            f.extensions[kNames].second = names;
        });
    };
    const std::string name = ",DNS:" + manager_dns_name(cluster_.id);
    EXPECT_EQ(as_manager(uri_ + name), "");
    EXPECT_THAT(as_manager(uri_), HasSubstr("a manager must have manager."));
    EXPECT_THAT(as_manager(uri_ + name + ",DNS:extra"), HasSubstr("a manager must have manager."));
    EXPECT_THAT(as_manager(uri_ + ",DNS:manager." + base::random_id<base::ClusterId>().text()),
                HasSubstr("a manager must have manager."));
}

TEST_F(LeafTest, TheSubjectIsClusterRoleAndNode) {
    EXPECT_THAT(complaint([](Forgery& f) { f.subject[kOu].second = "admin"; }),
                HasSubstr("subject OU 'admin': must be manager, worker or operator"));
    EXPECT_THAT(complaint([](Forgery& f) { f.subject.emplace_back(NID_organizationalUnitName, "manager"); }),
                HasSubstr("exactly one OU"));
    EXPECT_THAT(complaint([](Forgery& f) { f.subject.erase(f.subject.begin() + kCn); }), HasSubstr("exactly one CN"));
    EXPECT_THAT(complaint([](Forgery& f) { f.subject[0].second = "warren"; }), HasSubstr("subject O"));
    EXPECT_THAT(complaint([](Forgery& f) { f.subject[kCn].second = base::random_id<base::NodeId>().text(); }),
                HasSubstr("URI names"));
    EXPECT_THAT(complaint([](Forgery& f) { f.subject[kOu].second = std::string("worker\0x", 8); }),
                HasSubstr("subject OU"));
}

TEST_F(LeafTest, AnAuthorityIsNoLeaf) {
    EXPECT_THAT(complaint([](Forgery& f) { f.extensions[kConstraints].second = "critical,CA:TRUE"; }),
                HasSubstr("must not be the certificate of an authority"));
}

TEST_F(LeafTest, MustBeForServersAndClients) {
    EXPECT_THAT(complaint([](Forgery& f) { f.extensions[kExtendedUsage].second = "clientAuth"; }),
                HasSubstr("servers and clients"));
    EXPECT_THAT(complaint([](Forgery& f) { f.extensions[kExtendedUsage].second = "serverAuth"; }),
                HasSubstr("unsuitable certificate purpose"));
}

TEST_F(LeafTest, VerificationKnowsTime) {
    const NodeIdentity node = cluster_.node(worker_, kNow, 2 * kDay);
    EXPECT_TRUE(cluster_.roots.verify("leaf", node.chain_pem(), kNow + kDay));
    EXPECT_THAT(error_of(cluster_.roots.verify("leaf", node.chain_pem(), kNow - 2h)), HasSubstr("not yet valid"));
    EXPECT_THAT(error_of(cluster_.roots.verify("leaf", node.chain_pem(), kNow + 3 * kDay)), HasSubstr("has expired"));
    EXPECT_TRUE(cluster_.roots.verify_at_any_time("leaf", node.chain_pem()));
}

TEST_F(LeafTest, ValidityErrorsSayBothTimesAndTheWayOut) {
    const Leaf leaf = must(parse_leaf("leaf", cluster_.node(worker_, kNow, 2 * kDay).chain_pem()));
    EXPECT_TRUE(check_validity(leaf, kNow - 1h));
    EXPECT_TRUE(check_validity(leaf, kNow + 2 * kDay));
    EXPECT_THAT(
        error_of(check_validity(leaf, kNow - 1h - 1ms)),
        HasSubstr("not valid before 2026-03-01 11:00:00 UTC, and this host's clock says 2026-03-01 10:59:59 UTC: set "
                  "the clock"));
    EXPECT_THAT(error_of(check_validity(leaf, kNow + 3 * kDay)), HasSubstr("valid until 2026-03-03 12:00:00 UTC"));
}

TEST_F(LeafTest, VerificationKnowsItsRoots) {
    const TestCluster impostor(kNow, cluster_.id);
    const NodeIdentity forged = impostor.node(Role::kManager);
    const auto refused = cluster_.roots.verify("leaf", forged.chain_pem(), kNow);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kDenied);
    const Roots both = must(Roots::parse("roots", impostor.authority.root_pem() + cluster_.authority.root_pem()));
    EXPECT_TRUE(both.verify("leaf", forged.chain_pem(), kNow));
    EXPECT_TRUE(both.verify("leaf", cluster_.node(Role::kWorker).chain_pem(), kNow));
}

TEST_F(LeafTest, RootsAreAuthoritiesAndNothingElse) {
    const std::string root = cluster_.authority.root_pem();
    const std::string leaf = cluster_.node(Role::kManager).chain_pem();
    EXPECT_THAT(error_of(Roots::parse("roots.pem", leaf)), HasSubstr("roots.pem: must be certificates of authorities"));
    EXPECT_THAT(error_of(Roots::parse("roots.pem", "")), HasSubstr("no certificate"));
    for (const std::string& text : {root + leaf.substr(0, leaf.size() - 30), root + "-----BEG", "x\n" + root,
                                    root + "\n", root.substr(0, root.size() - 1)}) {
        EXPECT_THAT(error_of(Roots::parse("roots.pem", text)),
                    HasSubstr("whole certificates in PEM form and nothing else"));
    }
    EXPECT_THAT(error_of(Roots::parse("roots.pem", root.substr(0, 100))), HasSubstr("no certificate"));
    std::string many;
    for (int i = 0; i < 9; ++i) {
        many += root;
    }
    EXPECT_THAT(error_of(Roots::parse("roots.pem", many)), HasSubstr("more than 8"));
    EXPECT_THAT(error_of(Roots::parse("roots.pem", std::string(1U << 20U, 'A'))), HasSubstr("must be at most"));
}

}  // namespace
}  // namespace warren::certs
