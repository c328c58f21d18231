#include "agent/identity_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "certs/authority.h"
#include "certs/renewal.h"
#include "tests/test_directory.h"

namespace warren::agent {
namespace {

using base::Code;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr base::Time kNow{std::chrono::seconds(1772366400)};
constexpr base::Duration kLifetime = std::chrono::hours(24) * 90;

// A node with a session, and the authority that its manager has.
class IdentityKeeperTest : public testing::Test {
  protected:
    IdentityKeeperTest() {
        EXPECT_TRUE(certs::save_identity(certs_, identity_));
        keeper_.enter(identity_, "192.0.2.1:7443");
    }

    [[nodiscard]] static certs::Roots roots_of(const std::string& pem) {
        return certs::Roots::parse("roots", pem).value();
    }
    [[nodiscard]] std::string issue(const certs::Authority& authority, const std::string& request) const {
        return authority.issue(request, who_, kLifetime, now_).value();
    }
    [[nodiscard]] certs::NodeIdentity first_identity() const {
        auto key = certs::PrivateKey::generate().value();
        const auto chain = issue(authority_, certs::make_request(key).value());
        return certs::NodeIdentity::assemble(std::move(key), chain, roots_of(authority_.root_pem())).value();
    }

    // The request that was sent last, if any was since the last look.
    [[nodiscard]] std::optional<std::string> request() {
        for (const auto& message : std::exchange(sent_, {})) {
            if (message.has_certificate_request()) {
                return message.certificate_request().csr_pem();
            }
        }
        return std::nullopt;
    }
    [[nodiscard]] v1::CertificateReply reply(const certs::Authority& authority, const std::string& request,
                                             const std::string& roots) const {
        v1::CertificateReply reply;
        reply.set_certificate_pem(issue(authority, request));
        reply.set_roots_pem(roots);
        return reply;
    }
    void answer(const std::string& request) {
        keeper_.take_certificate(reply(authority_, request, authority_.root_pem()));
    }
    void refuse() {
        v1::CertificateReply reply;
        reply.set_error_code(static_cast<std::uint32_t>(Code::kPrecondition) + 1);
        reply.set_error("the authority is locked");
        keeper_.take_certificate(reply);
    }
    [[nodiscard]] certs::NodeIdentity on_disk() const { return *std::move(certs::load_identity(certs_).value()); }

    base::Time now_ = kNow;
    base::ClusterId cluster_ = base::random_id<base::ClusterId>();
    certs::Identity who_{.cluster = cluster_, .node = base::random_id<base::NodeId>(), .role = certs::Role::kWorker};
    certs::Authority authority_ = certs::Authority::make(cluster_, "test", kNow).value();
    certs::NodeIdentity identity_ = first_identity();
    TestDirectory directory_;
    std::filesystem::path certs_ = directory_.path() / "certs";
    std::vector<v1::FromAgent> sent_;
    asio::io_context loop_;
    IdentityKeeper keeper_{{.loop = &loop_,
                            .directory = [this] { return certs_; },
                            .now = [this] { return now_; },
                            .send = [this](v1::FromAgent message) { sent_.push_back(std::move(message)); },
                            .renew_own = nullptr}};
};

TEST_F(IdentityKeeperTest, RenewsWhenItsTimeHasComeAndNotBefore) {
    keeper_.session_began();
    const auto first = identity_.leaf();
    now_ = certs::renewal_time(first) - 1s;
    keeper_.tick();
    EXPECT_FALSE(request());
    now_ = certs::renewal_time(first);
    keeper_.tick();
    const auto asked = request();
    ASSERT_TRUE(asked);
    keeper_.tick();
    EXPECT_FALSE(request()) << "one at a time";

    answer(*asked);
    EXPECT_NE(identity_.leaf().serial, first.serial);
    EXPECT_EQ(on_disk().leaf(), identity_.leaf());
    EXPECT_EQ(keeper_.generation(), 1U) << "whoever made TLS credentials of it hears that there is a new one";
    ASSERT_EQ(sent_.size(), 1U);
    EXPECT_EQ(sent_[0].certificate_use().serial(), identity_.leaf().serial) << "the manager is told what is in use";
    keeper_.tick();
    EXPECT_FALSE(request());
}

TEST_F(IdentityKeeperTest, EveryCertificateIsForANewKey) {
    keeper_.session_began();
    const auto before = identity_.key().pem().value();
    keeper_.renew([](const auto& /*outcome*/) {});
    answer(*request());
    const auto after = identity_.key().pem().value();
    EXPECT_FALSE(
        std::equal(before.reveal().begin(), before.reveal().end(), after.reveal().begin(), after.reveal().end()));
}

TEST_F(IdentityKeeperTest, AsksAtOnceWhenAnotherAuthorityIssues) {
    keeper_.session_began();
    const auto next = certs::Authority::make(cluster_, "test", kNow).value();
    v1::Trust trust;
    trust.set_roots_pem(authority_.root_pem() + next.root_pem());
    trust.set_issuer(roots_of(next.root_pem()).certificates()[0].key_id);
    keeper_.take_trust(trust);
    EXPECT_EQ(on_disk().roots().pem(), trust.roots_pem()) << "both are trusted from here on";
    const auto asked = request();
    ASSERT_TRUE(asked);
    keeper_.take_certificate(reply(next, *asked, trust.roots_pem()));
    EXPECT_EQ(identity_.leaf().issuer_key, trust.issuer());
    keeper_.tick();
    EXPECT_FALSE(request());

    trust.set_roots_pem(next.root_pem());
    keeper_.take_trust(trust);
    EXPECT_EQ(on_disk().roots().pem(), next.root_pem()) << "the old root is dropped";
}

TEST_F(IdentityKeeperTest, DoesNotDropTheRootThatItsOwnCertificateNeeds) {
    keeper_.session_began();
    const auto next = certs::Authority::make(cluster_, "test", kNow).value();
    v1::Trust trust;
    trust.set_roots_pem(next.root_pem());
    trust.set_issuer(roots_of(next.root_pem()).certificates()[0].key_id);
    keeper_.take_trust(trust);
    EXPECT_EQ(identity_.roots().pem(), authority_.root_pem());
    keeper_.take_certificate(reply(next, *request(), next.root_pem()));
    EXPECT_EQ(on_disk().roots().pem(), next.root_pem()) << "with the new certificate it does";
}

TEST_F(IdentityKeeperTest, BacksOffWhenRefusedAndSaysSoWhenItLasts) {
    keeper_.session_began();
    const auto due = certs::renewal_time(identity_.leaf());
    now_ = due;
    keeper_.tick();
    ASSERT_TRUE(request());
    refuse();
    keeper_.tick();
    EXPECT_FALSE(request()) << "not at once again";
    EXPECT_EQ(keeper_.show().problem(), "the authority is locked");
    EXPECT_FALSE(keeper_.problem()) << "not worth an operator's attention yet";
    int attempts = 0;
    for (; now_ < due + 25h; now_ += 1min) {
        keeper_.tick();
        if (request()) {
            ++attempts;
            refuse();
        }
    }
    EXPECT_GE(attempts, 24) << "an hour at most";
    EXPECT_LE(attempts, 24 * 2 + 20);
    ASSERT_TRUE(keeper_.problem());
    EXPECT_THAT(*keeper_.problem(), HasSubstr("should have been renewed on"));
    EXPECT_THAT(*keeper_.problem(), HasSubstr("the authority is locked"));
    now_ = identity_.leaf().not_after + 1s;
    EXPECT_THAT(*keeper_.problem(), HasSubstr("expired on"));
}

TEST_F(IdentityKeeperTest, WithoutASessionItWaitsAndThenAsksAtOnce) {
    now_ = certs::renewal_time(identity_.leaf()) + 48h;
    keeper_.tick();
    EXPECT_FALSE(request());
    EXPECT_THAT(keeper_.problem().value_or(""), HasSubstr("no session with the manager"));
    keeper_.session_began();
    ASSERT_TRUE(request());
    keeper_.session_ended();
    keeper_.tick();
    EXPECT_FALSE(request());
    keeper_.session_began();
    const auto again = request();
    ASSERT_TRUE(again) << "what the lost session had asked for is asked for anew";
    answer(*again);
    EXPECT_FALSE(keeper_.problem());
}

TEST_F(IdentityKeeperTest, TakesNoCertificateThatIsNotItsOwn) {
    keeper_.session_began();
    const auto before = identity_.leaf();
    const auto attempt = [&](const certs::Identity& who, const std::string& request) {
        v1::CertificateReply reply;
        reply.set_certificate_pem(authority_.issue(request, who, kLifetime, now_).value());
        reply.set_roots_pem(authority_.root_pem());
        keeper_.take_certificate(reply);
    };
    std::string error;
    const auto respond = [&](const base::Result<v1::CertShowReply>& outcome) {
        error = outcome ? "" : outcome.error().message();
    };
    keeper_.renew(respond);
    auto other = who_;
    other.node = base::random_id<base::NodeId>();
    attempt(other, *request());
    EXPECT_THAT(error, HasSubstr("issued a certificate for"));
    keeper_.renew(respond);
    other = who_;
    other.role = certs::Role::kManager;
    attempt(other, *request());
    EXPECT_THAT(error, HasSubstr("issued a certificate for"));
    keeper_.renew(respond);
    (void)request();
    attempt(who_, certs::make_request(certs::PrivateKey::generate().value()).value());
    EXPECT_THAT(error, HasSubstr("is not for this private key"));
    EXPECT_EQ(identity_.leaf(), before);
    EXPECT_EQ(on_disk().leaf(), before);
}

TEST_F(IdentityKeeperTest, AnswersWhoAskedForARenewal) {
    keeper_.session_began();
    std::optional<base::Result<v1::CertShowReply>> outcome;
    const auto respond = [&](const base::Result<v1::CertShowReply>& result) { outcome = result; };
    keeper_.renew(respond);
    EXPECT_FALSE(outcome);
    answer(*request());
    ASSERT_TRUE(outcome);
    EXPECT_EQ((*outcome)->serial(), identity_.leaf().serial);

    outcome.reset();
    keeper_.renew(respond);
    (void)request();
    now_ += 1min;  // and no answer
    keeper_.tick();
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->error().code(), Code::kUnavailable);
}

TEST_F(IdentityKeeperTest, AnExpiredManagerIssuesForItself) {
    bool asked = false;
    IdentityKeeper::Links links{.loop = &loop_,
                                .directory = [this] { return certs_; },
                                .now = [this] { return now_; },
                                .send = nullptr,
                                .renew_own = [&](const std::string& request) -> base::Result<v1::ReadmitReply> {
                                    asked = true;
                                    v1::ReadmitReply reply;
                                    reply.set_certificate_pem(issue(authority_, request));
                                    reply.set_roots_pem(authority_.root_pem());
                                    return reply;
                                }};
    who_.role = certs::Role::kManager;
    std::filesystem::remove_all(certs_);
    identity_ = first_identity();
    ASSERT_TRUE(certs::save_identity(certs_, identity_));
    IdentityKeeper keeper(std::move(links));
    keeper.enter(identity_, "192.0.2.1:7443");
    EXPECT_FALSE(keeper.readmit_first(100, [](const auto& /*outcome*/) {})) << "as long as it has a good one";
    now_ = identity_.leaf().not_after + 1s;
    std::optional<base::Status> outcome;
    ASSERT_TRUE(keeper.readmit_first(0, [&](const base::Status& status) { outcome = status; }));
    loop_.run();
    ASSERT_TRUE(outcome && *outcome);
    EXPECT_TRUE(asked);
    EXPECT_GT(identity_.leaf().not_after, now_);
    EXPECT_FALSE(keeper.readmit_first(0, [](const auto& /*outcome*/) {}));
}

}  // namespace
}  // namespace warren::agent
