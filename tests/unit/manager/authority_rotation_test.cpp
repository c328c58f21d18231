#include "manager/authority_rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "certs/node_identity.h"
#include "certs/token.h"
#include "manager/certificates.h"
#include "manager/changes.h"
#include "tests/unit/manager/founded_cluster.h"

namespace warren::manager {
namespace {

using base::Code;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

const base::Time kStart{std::chrono::hours(500'000)};

class Sink final : public SessionSink {
  public:
    void send(v1::FromManager message) override {
        if (message.has_trust()) {
            trust = message.trust();
        }
    }
    void close(const base::Error& /*why*/) override {}
    std::optional<v1::Trust> trust;
};

// A manager's certificates, with nodes that do what an agent does: take the roots, renew, and say what they use.
class AuthorityRotationTest : public testing::Test {
  protected:
    struct Node {
        std::optional<certs::NodeIdentity> identity;
        std::shared_ptr<Sink> sink;
        SessionId session;
    };

    AuthorityRotationTest() {
        nodes_["m1"].identity =
            certs::NodeIdentity::assemble(std::move(cluster_.key), cluster_.founded.certificate_pem,
                                          certs::Roots::parse("roots", cluster_.founded.roots_pem).value())
                .value();
        open();
        connect("m1");
        for (const char* worker : {"w1", "w2"}) {
            admit(worker);
            connect(worker);
        }
    }
    // A manager that begins, or begins again, on what the store holds; nobody has a session.
    void open() {
        rotation_.reset();
        certificates_.reset();
        hub_.reset();
        ledger_ = Ledger::open(*cluster_.store).value();
        hub_.emplace(
            ledger_->cluster(), [](const auto& /*network*/, auto /*epoch*/) { return std::nullopt; }, now_);
        certificates_.emplace(*ledger_, vault_, self_, certs::kShortestLeafLifetime);
        rotation_.emplace(*ledger_, *hub_, vault_, self_);
    }

    void admit(const std::string& name) {
        auto key = certs::PrivateKey::generate().value();
        const certs::Identity who{
            .cluster = cluster_.founded.cluster, .node = base::random_id<base::NodeId>(), .role = certs::Role::kWorker};
        const auto issued = certificates_->issue(certs::make_request(key).value(), who, now_).value();
        const auto address = ip(fmt::format("192.0.2.{}", nodes_.size() + 1));
        const NewNode node{.id = who.node,
                           .name = name,
                           .role = "worker",
                           .data_address = address,
                           .advertise_address = address,
                           .certificate = issued.leaf};
        ASSERT_TRUE(ledger_->commit([&](const Cluster& state) { return admit_node(state, node, now_); }));
        nodes_[name].identity =
            certs::NodeIdentity::assemble(
                std::move(key), issued.chain_pem,
                certs::Roots::parse("roots", ledger_->cluster().cluster().record.roots_pem()).value())
                .value();
    }
    [[nodiscard]] base::NodeId id(const std::string& name) { return nodes_.at(name).identity->identity().node; }

    void connect(const std::string& name) {
        auto& node = nodes_.at(name);
        node.sink = std::make_shared<Sink>();
        node.session = hub_->open(id(name), node.sink, now_);
        ASSERT_TRUE(hub_->start(node.session, 5000, now_));
        node.sink->trust = trust_of(ledger_->cluster().cluster().record);
        confirm(name);
    }
    void disconnect(const std::string& name) {
        hub_->close(nodes_.at(name).session, now_);
        nodes_.at(name).sink.reset();
    }
    void confirm(const std::string& name) {
        const auto& identity = *nodes_.at(name).identity;
        const auto hash = identity.roots().hash();
        v1::CertificateUse use;
        use.set_serial(identity.leaf().serial);
        use.set_not_after_unix_ms(unix_ms(identity.leaf().not_after));
        use.set_issuer(identity.leaf().issuer_key);
        use.set_roots_hash(std::string(hash.begin(), hash.end()));
        certificates_->note_use(id(name), use);
        rotation_->run(now_);
    }
    // Does what its sink was told.
    void obey(const std::string& name) {
        auto& node = nodes_.at(name);
        const auto trust = *node.sink->trust;
        (void)node.identity->trust(certs::Roots::parse("roots", trust.roots_pem()).value());
        if (node.identity->leaf().issuer_key != trust.issuer()) {
            auto key = certs::PrivateKey::generate().value();
            v1::CertificateRequest request;
            request.set_csr_pem(certs::make_request(key).value());
            const auto reply = certificates_->renew(id(name), request, now_);
            ASSERT_EQ(reply.error(), "");
            node.identity = certs::NodeIdentity::assemble(std::move(key), reply.certificate_pem(),
                                                          certs::Roots::parse("roots", reply.roots_pem()).value())
                                .value();
        }
        confirm(name);
    }
    v1::CaShowReply rotate(const std::string& external = "") {
        v1::CaRotateRequest request;
        request.set_external_pem(external);
        const auto reply = rotation_->rotate(request, now_);
        EXPECT_TRUE(reply) << reply.error().message();
        return reply.value_or(v1::CaShowReply());
    }
    [[nodiscard]] std::vector<std::string> waiting() const {
        std::vector<std::string> names;
        const auto shown = rotation_->show(now_);
        for (const auto& node : shown.waiting()) {
            names.push_back(node.node());
        }
        return names;
    }
    [[nodiscard]] std::string phase() const { return rotation_->show(now_).phase(); }
    // The peers' view of each other: does `one` accept what `other` shows?
    [[nodiscard]] bool accepts(const std::string& one, const std::string& other) {
        return nodes_.at(one)
            .identity->roots()
            .verify("peer", nodes_.at(other).identity->chain_pem(), now_)
            .has_value();
    }
    void expect_all_accept_all(const std::string& when) {
        for (const auto& [one, left] : nodes_) {
            for (const auto& [other, right] : nodes_) {
                EXPECT_TRUE(accepts(one, other)) << when << ": " << one << " refuses " << other;
            }
        }
    }

    base::Time now_ = kStart;
    FoundedCluster cluster_{now_};
    base::NodeId self_ = cluster_.founded.node;
    Vault vault_{test_kek()};
    std::map<std::string, Node> nodes_;
    std::unique_ptr<Ledger> ledger_;
    std::optional<SessionHub> hub_;
    std::optional<Certificates> certificates_;
    std::optional<AuthorityRotation> rotation_;
};

TEST_F(AuthorityRotationTest, AllAcceptAllAtEachStepAndTheOldRootGoesAtTheEnd) {
    const auto old_root = nodes_["w1"].identity->roots().pem();
    expect_all_accept_all("before");
    EXPECT_EQ(rotate().phase(), "moving");
    EXPECT_THAT(waiting(), testing::UnorderedElementsAre("m1", "w1", "w2"));
    for (const char* name : {"w1", "m1", "w2"}) {
        EXPECT_EQ(phase(), "moving") << "with " << name << " not there";
        obey(name);
        expect_all_accept_all(fmt::format("{} has moved", name));
    }
    EXPECT_EQ(phase(), "idle");
    for (const char* name : {"m1", "w1", "w2"}) {
        obey(name);  // now they are told of the new root alone
        EXPECT_EQ(nodes_[name].identity->roots().pem().find(old_root), std::string::npos);
        expect_all_accept_all(fmt::format("{} has dropped the old root", name));
    }
    const auto shown = rotation_->show(now_);
    EXPECT_EQ(shown.moved(), 3U);
    ASSERT_EQ(shown.roots_size(), 2);
    EXPECT_EQ(shown.roots(0).state(), "issuing");
    EXPECT_EQ(shown.roots(0).name(), "test-2");
    EXPECT_EQ(shown.roots(1).state(), "dropped");
}

TEST_F(AuthorityRotationTest, GoesOnAfterARestartOfTheManagerAtAnyPoint) {
    (void)rotate();
    open();
    EXPECT_EQ(phase(), "moving");
    for (const char* name : {"m1", "w1", "w2"}) {
        connect(name);
        obey(name);
        open();
        for (const char* each : {"m1", "w1", "w2"}) {
            connect(each);
        }
    }
    rotation_->run(now_);
    EXPECT_EQ(phase(), "idle");
    expect_all_accept_all("after");
}

TEST_F(AuthorityRotationTest, WhoIsAwayIsWaitedForUpToTheLimitAndComesBack) {
    disconnect("w2");
    (void)rotate();
    obey("m1");
    obey("w1");
    EXPECT_THAT(waiting(), ElementsAre("w2"));
    now_ += 61min;  // the straggler limit is an hour
    rotation_->run(now_);
    EXPECT_EQ(phase(), "idle");
    ASSERT_EQ(rotation_->show(now_).left_size(), 1);
    EXPECT_EQ(rotation_->show(now_).left(0).node(), "w2");
    obey("m1");
    obey("w1");

    // TLS refuses it now; it still knows the manager by the cross-signed certificate, and proves itself.
    EXPECT_FALSE(accepts("m1", "w2"));
    EXPECT_TRUE(accepts("w2", "m1"));
    auto& node = *nodes_["w2"].identity;
    v1::ReadmitRequest request;
    request.set_certificate_pem(node.chain_pem());
    auto key = certs::PrivateKey::generate().value();
    request.set_csr_pem(certs::make_request(key).value());
    request.set_challenge(certificates_->challenge(now_).challenge());
    request.set_signature(certs::prove_possession(node.key(), {.cluster = cluster_.founded.cluster,
                                                               .manager = self_,
                                                               .challenge = request.challenge(),
                                                               .request_pem = request.csr_pem()})
                              .value());
    const auto reply = certificates_->readmit(request, now_);
    ASSERT_TRUE(reply) << reply.error().message();
    nodes_["w2"].identity = certs::NodeIdentity::assemble(std::move(key), reply->certificate_pem(),
                                                          certs::Roots::parse("roots", reply->roots_pem()).value())
                                .value();
    connect("w2");
    EXPECT_THAT(rotation_->show(now_).left(), IsEmpty());
    expect_all_accept_all("with w2 back");

    now_ += 24h * 31;
    EXPECT_EQ(certificates_->readmit(request, now_).error().code(), Code::kDenied);
}

// Its disk is full, say: it has its session, and no new certificate.
TEST_F(AuthorityRotationTest, WhoIsConnectedAndDoesNotRenewIsListedAndNotWaitedForForEver) {
    (void)rotate();
    obey("m1");
    obey("w1");
    now_ += 119min;
    rotation_->run(now_);
    EXPECT_THAT(waiting(), ElementsAre("w2")) << "longer than for one that is away: it may get there";
    ASSERT_EQ(rotation_->show(now_).waiting_size(), 1);
    EXPECT_EQ(rotation_->show(now_).waiting(0).state(), "ready");
    now_ += 1min;
    rotation_->run(now_);
    EXPECT_EQ(phase(), "idle");
    obey("m1");
    obey("w1");
    EXPECT_TRUE(accepts("w2", "m1"));
    obey("w2");  // at last
    EXPECT_EQ(rotation_->show(now_).moved(), 3U);
    expect_all_accept_all("with w2 moved late");
}

TEST_F(AuthorityRotationTest, WhatHasBecomeOfACa) {
    const auto first = issuing_key(ledger_->cluster().cluster().record);
    const auto state = [this](const std::string& key) {
        return name(state_of_authority(ledger_->cluster().cluster().record, key));
    };
    EXPECT_EQ(state(first), "issuing");
    (void)rotate();
    EXPECT_EQ(state(first), "trusted");
    for (const char* node : {"m1", "w1", "w2"}) {
        obey(node);
    }
    EXPECT_EQ(phase(), "idle");
    EXPECT_EQ(state(first), "dropped");
    EXPECT_EQ(state("of nobody"), "dropped");
}

TEST_F(AuthorityRotationTest, AManagerNeverLeavesItsOwnNodeBehind) {
    disconnect("m1");
    (void)rotate();
    obey("w1");
    obey("w2");
    now_ += 24h;
    rotation_->run(now_);
    EXPECT_THAT(waiting(), ElementsAre("m1"));
    EXPECT_EQ(phase(), "moving");
}

TEST_F(AuthorityRotationTest, OneAtATime) {
    (void)rotate();
    const auto begun = rotation_->show(now_).roots(0).key_id();
    EXPECT_EQ(rotate().roots(0).key_id(), begun) << "the second call joins in";
    v1::CaRotateRequest request;
    request.set_external_pem("any");
    EXPECT_EQ(rotation_->rotate(request, now_).error().code(), Code::kConflict);
}

TEST_F(AuthorityRotationTest, RefusesABadFileAndChangesNothing) {
    const auto before = ledger_->cluster().cluster().record.SerializeAsString();
    v1::CaRotateRequest request;
    request.set_external_pem("nothing of the kind");
    const auto refused = rotation_->rotate(request, now_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kInvalid);
    EXPECT_THAT(refused.error().message(), HasSubstr("--external-root"));
    EXPECT_EQ(ledger_->cluster().cluster().record.SerializeAsString(), before);
}

TEST_F(AuthorityRotationTest, TokensOutliveARotation) {
    const certs::JoinToken token{
        .root_pin = certs::Roots::parse("roots", ledger_->cluster().cluster().record.ca_roots_pem())->pin(),
        .secret = certs::random_token_secret()};
    const auto joins = [&] {
        const auto sent =
            certs::Roots::parse("roots", roots_for_return(ledger_->cluster().cluster().record, now_)).value();
        const auto trusted = token.trusted(sent);
        return trusted && trusted->verify("manager", nodes_["m1"].identity->chain_pem(), now_).has_value();
    };
    EXPECT_TRUE(joins());
    (void)rotate();
    EXPECT_TRUE(joins()) << "while the old CA's certificate is shown";
    for (const char* name : {"m1", "w1", "w2"}) {
        obey(name);
        EXPECT_TRUE(joins()) << name;
    }
    obey("m1");
    EXPECT_EQ(phase(), "idle");
    EXPECT_TRUE(joins()) << "with the old root dropped";
}

}  // namespace
}  // namespace warren::manager
