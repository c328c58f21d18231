#include "certs/node_identity.h"
#include "tests/unit/manager/core_fixture.h"

namespace warren::manager {
namespace {

using base::Code;
using testing::HasSubstr;

class Operators : public CoreTest {
  protected:
    base::Result<v1::CertIssueReply> issue_to(const std::string& name, const std::string& expires = "",
                                              const std::string& role = "operator") {
        v1::CertIssueRequest request;
        request.set_role(role);
        request.set_name(name);
        request.set_expires(expires);
        request.set_csr_pem(certs::make_request(key_).value());
        return core_->cert_issue(request);
    }
    base::Result<v1::CertListReply> revoke(const std::string& which) {
        v1::CertRevokeRequest request;
        request.set_certificate(which);
        return core_->cert_revoke(request);
    }
    [[nodiscard]] static certs::Identity identity(const v1::CertIssueReply& reply) {
        return certs::parse_leaf("certificate", reply.certificate_pem()).value().identity;
    }

    certs::PrivateKey key_ = certs::PrivateKey::generate().value();
};

TEST_F(Operators, GetACertificateForTheirKeyThatTheClusterVouchesFor) {
    const auto reply = issue_to("alice", "24h").value();
    auto roots = certs::Roots::parse("roots", reply.roots_pem()).value();
    const auto own = certs::NodeIdentity::assemble(std::move(key_), reply.certificate_pem(), roots);
    ASSERT_TRUE(own) << own.error().message();
    EXPECT_EQ(own->identity().role, certs::Role::kOperator);
    EXPECT_EQ(own->leaf().not_after, now_ + 24h);
    EXPECT_EQ(reply.manager(), "192.0.2.1:7443");
    EXPECT_TRUE(core_->check_caller(own->identity()));
    EXPECT_EQ(core_->node_list({})->nodes_size(), 1) << "an operator is no node";
    EXPECT_FALSE(
        core_->session_opened({.cluster = founded_.cluster, .node = own->identity().node}, std::make_shared<Agent>()));
}

TEST_F(Operators, AreRefusedOnceRevokedAlsoByTheNextManager) {
    const auto alice = identity(issue_to("alice").value());
    const auto bob = identity(issue_to("bob").value());
    EXPECT_EQ(revoke("alice")->certificates(0).state(), "revoked");
    for (int manager = 0; manager < 2; ++manager) {
        const auto refused = core_->check_caller(alice);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code(), Code::kDenied);
        EXPECT_THAT(refused.error().message(), HasSubstr("the certificate of operator 'alice' was revoked on "));
        EXPECT_TRUE(core_->check_caller(bob));
        open();
    }
    EXPECT_TRUE(revoke("alice")) << "again is no error";
    EXPECT_EQ(revoke("carol").error().code(), Code::kNotFound);
}

TEST_F(Operators, HaveOneValidCertificateOfAName) {
    const auto first = identity(issue_to("alice", "1h").value());
    EXPECT_THAT(issue_to("alice").error().message(), HasSubstr("warren cert revoke alice"));
    ASSERT_TRUE(revoke("alice"));
    const auto second = identity(issue_to("alice", "1h").value());
    EXPECT_NE(second.node, first.node);
    EXPECT_FALSE(core_->check_caller(first)) << "the new one does not revive the old one";
    EXPECT_TRUE(core_->check_caller(second));
    now_ += 2h;
    ASSERT_TRUE(issue_to("alice"));
    std::vector<std::string> states;
    const auto list = core_->cert_list({}).value();
    for (const auto& certificate : list.certificates()) {
        states.push_back(certificate.state());
    }
    EXPECT_THAT(states, testing::UnorderedElementsAre("revoked", "expired", "valid"));
    ASSERT_TRUE(revoke("alice"));
    EXPECT_FALSE(core_->check_caller(first));
}

TEST_F(Operators, BadRequestsAreRefusedAndLeaveNothing) {
    EXPECT_THAT(issue_to("alice", "", "manager").error().message(), HasSubstr("--role 'manager': must be operator"));
    EXPECT_THAT(issue_to("a/b").error().message(), HasSubstr("NAME 'a/b'"));
    EXPECT_THAT(issue_to("alice", "1s").error().message(), HasSubstr("--expires"));
    EXPECT_THAT(issue_to("alice", "soon").error().message(), HasSubstr("--expires"));
    v1::CertIssueRequest request;
    request.set_role("operator");
    request.set_name("alice");
    request.set_csr_pem("nonsense");
    EXPECT_FALSE(core_->cert_issue(request));
    EXPECT_EQ(core_->cert_list({})->certificates_size(), 0);
}

TEST_F(Operators, ARevokedOrExpiredOnesCallThatLastsEndsAtOnce) {
    const auto alice = identity(issue_to("alice", "2h").value());
    const auto bob = identity(issue_to("bob", "1h").value());
    std::map<std::string, std::string> ended;
    const auto watch = [&](const std::string& name, const certs::Identity& who) {
        return core_->watch_caller(who, [&ended, name](const base::Error& why) { ended[name] += why.message(); });
    };
    (void)watch("alice", alice);
    (void)watch("bob", bob);
    core_->end_watch(watch("alice hung up", alice));
    (void)core_->run();
    EXPECT_TRUE(ended.empty());
    ASSERT_TRUE(revoke("alice"));
    (void)core_->run();
    (void)core_->run();
    EXPECT_THAT(ended, testing::ElementsAre(testing::Pair(
                           "alice", testing::StartsWith("the certificate of operator 'alice' was revoked"))));
    EXPECT_EQ(ended["alice"].find("revoked"), ended["alice"].rfind("revoked")) << "once";
    now_ += 1h;
    (void)core_->run();
    EXPECT_THAT(ended["bob"], HasSubstr("was valid until"));
}

TEST_F(Operators, AnotherCaNeedsNewCertificatesAndSaysWhose) {
    const auto old = identity(issue_to("alice").value());
    ASSERT_TRUE(issue_to("bob"));
    ASSERT_TRUE(revoke("bob"));
    const auto moving = core_->ca_rotate({}).value();
    ASSERT_EQ(moving.phase(), "moving");
    ASSERT_EQ(moving.operators_size(), 1);
    EXPECT_EQ(moving.operators(0).name(), "alice");
    EXPECT_EQ(moving.operators(0).ca(), "trusted");
    EXPECT_TRUE(core_->check_caller(old)) << "good until the old root goes";

    const auto fresh = identity(issue_to("alice").value());
    EXPECT_THAT(issue_to("alice").error().message(), HasSubstr("warren cert revoke alice"));
    EXPECT_EQ(core_->ca_show({})->operators_size(), 0);
    EXPECT_EQ(revoke("alice")->certificates_size(), 2);
    EXPECT_FALSE(core_->check_caller(old)) << "a name is revoked with all that is valid of it";
    EXPECT_FALSE(core_->check_caller(fresh));
}

TEST_F(Operators, UnknownOnesAreRefused) {
    const certs::Identity stranger{
        .cluster = founded_.cluster, .node = base::random_id<base::NodeId>(), .role = certs::Role::kOperator};
    EXPECT_EQ(core_->check_caller(stranger).error().code(), Code::kDenied);
}

}  // namespace
}  // namespace warren::manager
