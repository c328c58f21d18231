#include "manager/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "certs/node_identity.h"
#include "certs/renewal.h"
#include "manager/changes.h"
#include "tests/unit/manager/founded_cluster.h"

namespace warren::manager {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

const base::Time kStart{std::chrono::hours(500'000)};
constexpr base::Duration kDay = 24h;

class CertificatesTest : public testing::Test {
  protected:
    // A worker that has been let in, with its certificate.
    certs::NodeIdentity admit(const std::string& name, const std::string& address) {
        auto key = certs::PrivateKey::generate().value();
        const certs::Identity who{
            .cluster = founded_.cluster, .node = base::random_id<base::NodeId>(), .role = certs::Role::kWorker};
        const auto issued = certificates_.issue(certs::make_request(key).value(), who, now_).value();
        const NewNode node{.id = who.node,
                           .name = name,
                           .role = "worker",
                           .data_address = ip(address),
                           .advertise_address = ip(address),
                           .certificate = issued.leaf};
        EXPECT_TRUE(ledger_->commit([&](const Cluster& state) { return admit_node(state, node, now_); }));
        return certs::NodeIdentity::assemble(std::move(key), issued.chain_pem, roots_).value();
    }

    certs::NodeIdentity renew(const certs::NodeIdentity& before) {
        auto key = certs::PrivateKey::generate().value();
        v1::CertificateRequest request;
        request.set_csr_pem(certs::make_request(key).value());
        const auto reply = certificates_.renew(before.identity().node, request, now_);
        EXPECT_EQ(reply.error(), "");
        return certs::NodeIdentity::assemble(std::move(key), reply.certificate_pem(),
                                             certs::Roots::parse("roots", reply.roots_pem()).value())
            .value();
    }
    void confirm(const certs::NodeIdentity& identity) {
        v1::CertificateUse use;
        use.set_serial(identity.leaf().serial);
        use.set_not_after_unix_ms(unix_ms(identity.leaf().not_after));
        use.set_issuer(identity.leaf().issuer_key);
        certificates_.note_use(identity.identity().node, use);
    }

    // What a node sends that was off until its certificate expired.
    [[nodiscard]] v1::ReadmitRequest readmission(const certs::NodeIdentity& identity) {
        v1::ReadmitRequest request;
        request.set_certificate_pem(identity.chain_pem());
        request.set_csr_pem(certs::make_request(new_key_).value());
        request.set_challenge(certificates_.challenge(now_).challenge());
        sign(request, identity);
        return request;
    }
    void sign(v1::ReadmitRequest& request, const certs::NodeIdentity& signer) const {
        request.set_signature(certs::prove_possession(signer.key(), {.cluster = founded_.cluster,
                                                                     .manager = founded_.node,
                                                                     .challenge = request.challenge(),
                                                                     .request_pem = request.csr_pem()})
                                  .value());
    }
    // The reason of a refusal, or nothing.
    [[nodiscard]] std::string refusal(const v1::ReadmitRequest& request) {
        const auto reply = certificates_.readmit(request, now_);
        return reply ? "" : reply.error().message();
    }

    base::Time now_ = kStart;
    FoundedCluster cluster_{now_};
    Founded& founded_ = cluster_.founded;
    Vault vault_{test_kek()};
    certs::PrivateKey new_key_ = certs::PrivateKey::generate().value();
    std::unique_ptr<Ledger> ledger_ = Ledger::open(*cluster_.store).value();
    Certificates certificates_{*ledger_, vault_, founded_.node, certs::kShortestLeafLifetime};
    certs::Roots roots_ = certs::Roots::parse("roots", founded_.roots_pem).value();
};

TEST_F(CertificatesTest, RenewsForTheNodeThatAsks) {
    const auto node = admit("w1", "192.0.2.2");
    now_ += 60 * kDay;
    const auto renewed = renew(node);
    EXPECT_EQ(renewed.identity(), node.identity());
    EXPECT_EQ(renewed.leaf().not_after, now_ + certs::kDefaultLeafLifetime);
    EXPECT_NE(renewed.leaf().serial, node.leaf().serial);
    confirm(renewed);
    const auto& record = ledger_->cluster().node(node.identity().node)->record;
    EXPECT_EQ(record.certificate_serial(), renewed.leaf().serial);
    EXPECT_EQ(record.certificate_expires(), unix_ms(renewed.leaf().not_after));
}

TEST_F(CertificatesTest, RefusesWhatIsNoRequestAndWhoIsNoNode) {
    const auto node = admit("w1", "192.0.2.2");
    v1::CertificateRequest request;
    request.set_csr_pem("no request");
    EXPECT_THAT(certificates_.renew(node.identity().node, request, now_).error(), HasSubstr("certificate request"));
    request.set_csr_pem(certs::make_request(new_key_).value());
    EXPECT_THAT(certificates_.renew(base::random_id<base::NodeId>(), request, now_).error(), HasSubstr("was removed"));
}

TEST_F(CertificatesTest, AnExpiredNodeThatProvesItselfIsReadmitted) {
    const auto node = admit("w1", "192.0.2.2");
    now_ = node.leaf().not_after + 29 * kDay;
    const auto reply = certificates_.readmit(readmission(node), now_);
    ASSERT_TRUE(reply) << reply.error().message();
    const auto leaf = certs::parse_leaf("leaf", reply->certificate_pem()).value();
    EXPECT_EQ(leaf.identity, node.identity()) << "the same node as before";
    EXPECT_EQ(leaf.not_after, now_ + certs::kDefaultLeafLifetime);
}

TEST_F(CertificatesTest, ReadmitsWithTheLastCertificateEvenIfItNeverArrived) {
    const auto node = admit("w1", "192.0.2.2");
    const auto on_its_way = renew(node);
    now_ = on_its_way.leaf().not_after + kDay;
    EXPECT_EQ(refusal(readmission(node)), "") << "the answer to its renewal may have been lost";
}

TEST_F(CertificatesTest, ReadmitsNobodyWithAKeyFromAnOldBackup) {
    const auto node = admit("w1", "192.0.2.2");
    confirm(renew(node));
    now_ = node.leaf().not_after + kDay;
    EXPECT_THAT(refusal(readmission(node)), HasSubstr("is not the last one of node w1"));
}

TEST_F(CertificatesTest, AfterTheLimitATokenIsNeededAndTheMessageSaysSo) {
    const auto node = admit("w1", "192.0.2.2");
    now_ = node.leaf().not_after + 30 * kDay + 1s;
    const auto why = refusal(readmission(node));
    EXPECT_THAT(why, HasSubstr("node w1 was valid until"));
    EXPECT_THAT(why, HasSubstr("more than 30d"));
    EXPECT_THAT(why, HasSubstr("warren token show worker"));
}

TEST_F(CertificatesTest, ARemovedNodeIsNotReadmitted) {
    const auto node = admit("w1", "192.0.2.2");
    ASSERT_TRUE(ledger_->commit([&](const Cluster& /*state*/) -> base::Result<store::Transaction> {
        store::Transaction change;
        change.deletes.push_back(key::node(node.identity().node));
        return change;
    }));
    now_ = node.leaf().not_after + kDay;
    EXPECT_THAT(refusal(readmission(node)), HasSubstr("was removed from the cluster"));
}

TEST_F(CertificatesTest, AGoodCertificateNeedsNoReadmission) {
    const auto node = admit("w1", "192.0.2.2");
    now_ = node.leaf().not_after - 1h;
    EXPECT_THAT(refusal(readmission(node)), HasSubstr("compare the clocks"));
}

TEST_F(CertificatesTest, TheProofMustBeFreshAndOfThisKeyAndRequest) {
    const auto node = admit("w1", "192.0.2.2");
    const auto other = admit("w2", "192.0.2.3");
    now_ = node.leaf().not_after + kDay;
    auto request = readmission(node);
    request.set_challenge(certificates_.challenge(now_ - 2min).challenge());
    sign(request, node);
    EXPECT_THAT(refusal(request), HasSubstr("challenge is too old"));

    request = readmission(node);
    sign(request, other);
    EXPECT_THAT(refusal(request), HasSubstr("signature")) << "another node's key";

    request = readmission(node);
    request.set_csr_pem(certs::make_request(cluster_.key).value());
    EXPECT_THAT(refusal(request), HasSubstr("signature")) << "somebody put in a request of his own";

    request = readmission(node);
    request.clear_signature();
    EXPECT_NE(refusal(request), "");
    EXPECT_NE(refusal(v1::ReadmitRequest()), "");
}

TEST_F(CertificatesTest, ACertificateOfAnotherClusterReadmitsNobody) {
    const auto foreign = certs::Authority::make(founded_.cluster, "test", now_).value();
    const auto node = admit("w1", "192.0.2.2");
    auto key = certs::PrivateKey::generate().value();
    const auto chain =
        foreign.issue(certs::make_request(key).value(), node.identity(), certs::kDefaultLeafLifetime, now_).value();
    const auto impostor =
        certs::NodeIdentity::assemble(std::move(key), chain, certs::Roots::parse("roots", foreign.root_pem()).value())
            .value();
    now_ = node.leaf().not_after + kDay;
    EXPECT_NE(refusal(readmission(impostor)), "");
}

}  // namespace
}  // namespace warren::manager
