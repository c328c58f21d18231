#include "certs/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/obj_mac.h>

#include "tests/unit/certs/forge.h"
#include "tests/unit/certs/test_cluster.h"

namespace warren::certs {
namespace {

using testing::HasSubstr;

class AuthorityTest : public testing::Test {
  protected:
    [[nodiscard]] base::Result<std::string> issue(std::string_view request) const {
        return cluster_.authority.issue(request, who_, kDefaultLeafLifetime, kNow);
    }

    TestCluster cluster_;
    Identity who_ = cluster_.identity(Role::kWorker);
    PrivateKey key_ = must(PrivateKey::generate());
    std::string request_ = must(make_request(key_));
};

TEST_F(AuthorityTest, ALeafSaysWhatItWasIssuedFor) {
    for (const Role role : {Role::kManager, Role::kWorker, Role::kOperator}) {
        const Identity who = cluster_.identity(role);
        const std::string pem = must(cluster_.authority.issue(request_, who, 48h, kNow));
        const Leaf leaf = must(cluster_.roots.verify("leaf", pem, kNow));
        EXPECT_EQ(leaf.identity, who);
        EXPECT_EQ(leaf.not_before, kNow - 1h);
        EXPECT_EQ(leaf.not_after, kNow + 48h);
        EXPECT_EQ(public_key(pem), public_key(key_));
    }
}

TEST_F(AuthorityTest, SerialsAreRandom) {
    const Leaf one = must(parse_leaf("leaf", must(issue(request_))));
    const Leaf two = must(parse_leaf("leaf", must(issue(request_))));
    EXPECT_NE(one.serial, two.serial);
    EXPECT_GE(one.serial.size(), 24U);  // 128 random bits are that short once in 2^32 times
}

TEST_F(AuthorityTest, TheRootLastsTwentyYears) {
    ASSERT_EQ(cluster_.roots.certificates().size(), 1U);
    const RootInfo& root = cluster_.roots.certificates().front();
    EXPECT_EQ(root.name, "harbour");
    EXPECT_EQ(root.not_before, kNow - 1h);
    EXPECT_EQ(root.not_after, kNow + kRootLifetime);
    EXPECT_TRUE(cluster_.roots.check_validity(kNow));
    EXPECT_THAT(error_of(cluster_.roots.check_validity(kNow - 2h)),
                HasSubstr("2026-03-01 10:00:00 UTC: set the clock"));
    EXPECT_FALSE(cluster_.roots.check_validity(kNow + kRootLifetime + 1s));
}

TEST_F(AuthorityTest, ALeafNeverOutlivesItsRoot) {
    const base::Time late = kNow + kRootLifetime - 10 * kDay;
    const Leaf leaf =
        must(parse_leaf("leaf", must(cluster_.authority.issue(request_, who_, kDefaultLeafLifetime, late))));
    EXPECT_EQ(leaf.not_after, kNow + kRootLifetime);
    const auto after = cluster_.authority.issue(request_, who_, kDefaultLeafLifetime, kNow + kRootLifetime + 1s);
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().code(), base::Code::kPrecondition);
}

TEST_F(AuthorityTest, LifetimesHaveARule) {
    for (const base::Duration lifetime : {base::Duration(59min), base::Duration(0), base::Duration(-1h), 3651 * kDay}) {
        const auto issued = cluster_.authority.issue(request_, who_, lifetime, kNow);
        ASSERT_FALSE(issued);
        EXPECT_EQ(issued.error().code(), base::Code::kInvalid);
    }
    EXPECT_TRUE(cluster_.authority.issue(request_, who_, 1h, kNow));
}

TEST_F(AuthorityTest, OnlyThePublicKeyOfARequestCounts) {
    const Identity manager = cluster_.identity(Role::kManager);
    const std::string forged = forge_request(
        "P-256",
        {{NID_organizationName, cluster_.id.text()}, {NID_organizationalUnitName, "manager"}, {NID_commonName, "root"}},
        "URI:" + spiffe_id(manager) + ",DNS:" + manager_dns_name(cluster_.id));
    const std::string pem = must(issue(forged));
    EXPECT_EQ(must(cluster_.roots.verify("leaf", pem, kNow)).identity, who_);
    EXPECT_EQ(public_key(pem), requested_public_key(forged));
}

TEST_F(AuthorityTest, ARequestMustProveThatItsSenderHasTheKey) {
    const PrivateKey victim = must(PrivateKey::generate());
    const auto issued = issue(stolen_key_request(key_, victim));
    ASSERT_FALSE(issued);
    EXPECT_EQ(issued.error().code(), base::Code::kDenied);
    EXPECT_THAT(issued.error().message(), HasSubstr("its signature is not of the key"));
}

TEST_F(AuthorityTest, RequestsForOtherKindsOfKeysAreRefused) {
    for (const char* kind : {"P-384", "RSA", "P-256 spelt out"}) {
        EXPECT_THAT(error_of(issue(forge_request(kind, {}, ""))),
                    HasSubstr("must be an ECDSA key on the named curve P-256"));
    }
}

TEST_F(AuthorityTest, GarbageIsNoRequest) {
    for (const std::string& garbage : {std::string(), std::string("hello"), request_.substr(0, request_.size() / 2),
                                       cluster_.authority.root_pem(), std::string(200, '\0')}) {
        EXPECT_THAT(error_of(issue(garbage)), HasSubstr("certificate request: must be PKCS#10 in PEM form"));
    }
    EXPECT_THAT(error_of(issue(std::string(1U << 20U, 'A'))), HasSubstr("must be at most 8192"));
}

TEST_F(AuthorityTest, ComesBackFromItsBytes) {
    const base::SecretBytes der = must(cluster_.authority.key().der());
    const Authority again =
        must(Authority::load(cluster_.authority.root_pem(), must(PrivateKey::from_der("CA key", der.reveal()))));
    EXPECT_TRUE(cluster_.roots.verify("leaf", must(again.issue(request_, who_, 2h, kNow)), kNow));
}

TEST_F(AuthorityTest, DoesNotLoadWhatDoesNotBelongTogether) {
    const base::SecretBytes der = must(cluster_.authority.key().der());
    EXPECT_THAT(error_of(Authority::load(cluster_.authority.root_pem(), must(PrivateKey::generate()))),
                HasSubstr("its key is another one"));
    EXPECT_THAT(error_of(Authority::load(must(issue(request_)), must(PrivateKey::from_der("CA key", der.reveal())))),
                HasSubstr("must be the certificate of an authority"));
    EXPECT_THAT(error_of(PrivateKey::from_der("CA key", der.reveal().first(der.size() - 1))),
                HasSubstr("CA key: must be a whole, unencrypted private key"));
}

TEST_F(AuthorityTest, TheClusterNameHasARule) {
    EXPECT_THAT(error_of(Authority::make(cluster_.id, "a name", kNow)), HasSubstr("cluster name 'a name'"));
    EXPECT_TRUE(Authority::make(cluster_.id, std::string(63, 'x'), kNow));
}

}  // namespace
}  // namespace warren::certs
