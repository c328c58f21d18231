#include <gtest/gtest.h>

#include "certs/authority.h"
#include "certs/grpc_credentials.h"
#include "certs/node_identity.h"
#include "fake_daemon.h"
#include "proto/bootstrap.grpc.pb.h"

namespace warren::cli {
namespace {

using namespace std::chrono_literals;

class FakeBootstrap final : public v1::Bootstrap::Service {
    grpc::Status GetRoots(grpc::ServerContext* /*context*/, const v1::GetRootsRequest* /*request*/,
                          v1::GetRootsReply* /*reply*/) override {
        return grpc::Status::OK;
    }
};

// A daemon whose manager issues real certificates, and serves operators on a TCP port of this machine.
class Operator : public DaemonTest {
  public:
    Operator() {
        control.issue = [this](const v1::CertIssueRequest& request, v1::CertIssueReply& reply) {
            asked_ = request;
            const auto id = base::random_id<base::NodeId>();
            reply.set_certificate_pem(authority_
                                          .issue(request.csr_pem(),
                                                 {.cluster = cluster_, .node = id, .role = certs::Role::kOperator},
                                                 lifetime_, now_)
                                          .value());
            reply.set_roots_pem(authority_.root_pem());
            reply.set_manager("192.0.2.1:7443");
            reply.mutable_certificate()->set_id(id.text());
            reply.mutable_certificate()->set_name(request.name());
            reply.mutable_certificate()->set_role("operator");
            return grpc::Status::OK;
        };
        auto key = certs::PrivateKey::generate().value();
        const auto chain =
            authority_
                .issue(certs::make_request(key).value(),
                       {.cluster = cluster_, .node = base::random_id<base::NodeId>(), .role = certs::Role::kManager},
                       lifetime_, now_)
                .value();
        const auto manager = certs::NodeIdentity::assemble(std::move(key), chain,
                                                           certs::Roots::parse("roots", authority_.root_pem()).value());
        serve(*manager);
    }
    ~Operator() override { remote_->Shutdown(); }

  protected:
    void serve(const certs::NodeIdentity& manager) {
        if (remote_) {
            remote_->Shutdown();
        }
        grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", certs::server_credentials(manager).value(), &port_);
        builder.RegisterService(&remote_control_);
        builder.RegisterService(&bootstrap_);
        remote_ = builder.BuildAndStart();
    }
    [[nodiscard]] std::string out() const { return directory() / "alice"; }
    [[nodiscard]] Outcome issue_alice() const {
        return warren({"cert", "issue", "--role", "operator", "--out", out(), "alice"});
    }
    [[nodiscard]] Outcome from_afar(const std::vector<std::string>& command) const {
        std::vector<std::string> line{"--host", "tcp://127.0.0.1:" + std::to_string(port_), "--cert", out()};
        line.insert(line.end(), command.begin(), command.end());
        return warren(line);
    }

    // Real, because TLS goes by it; the lifetime is long, because what the program goes by is the sample time.
    base::Time now_ = base::system_now();
    base::Duration lifetime_ = certs::kLongestLeafLifetime;
    base::ClusterId cluster_ = base::random_id<base::ClusterId>();
    certs::Authority authority_ = certs::Authority::make(cluster_, "lab", now_).value();
    v1::CertIssueRequest asked_;
    FakeControl remote_control_;
    FakeBootstrap bootstrap_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> remote_;
};

TEST_F(Operator, CertIssueKeepsTheKeyHereAndSaysHowToUseIt) {
    const Outcome outcome = issue_alice();
    EXPECT_EQ(outcome.exit, Exit::kDone) << outcome.err;
    EXPECT_NE(outcome.out.find("\n    warren --host tcp://192.0.2.1:7443 --cert " + out() + " node ls\n"),
              std::string::npos)
        << outcome.out;
    EXPECT_EQ(asked_.csr_pem().find("PRIVATE KEY"), std::string::npos);
    const auto kept = certs::load_identity(out());
    ASSERT_TRUE(kept && *kept);
    EXPECT_EQ((*kept)->identity().role, certs::Role::kOperator);
}

TEST_F(Operator, CertIssueAsksForNothingThatItCouldNotKeep) {
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    asked_.Clear();
    const Outcome again = issue_alice();
    EXPECT_EQ(again.exit, Exit::kFailed);
    EXPECT_EQ(again.err, "warren: --out " + out() + ": must be a directory that is empty or not there yet\n");
    EXPECT_EQ(asked_.name(), "");
}

TEST_F(Operator, ACertificateThatCannotBeUsedIsNamed) {
    EXPECT_NE(from_afar({"node", "ls"}).err.find("there is no certificate in it"), std::string::npos);
    lifetime_ = 1h;
    now_ -= 10000h;
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    const Outcome outdated = from_afar({"node", "ls"});
    EXPECT_EQ(outdated.exit, Exit::kFailed);
    EXPECT_NE(outdated.err.find("the certificate was valid until"), std::string::npos) << outdated.err;
}

TEST_F(Operator, CommandsAboutTheClusterWorkFromAfar) {
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    auto& node = *remote_control_.nodes.reply.add_nodes();
    node.set_id("3b0c926a1c65000000000000000000ff");
    const Outcome outcome = from_afar({"node", "ls", "-q"});
    EXPECT_EQ(outcome.exit, Exit::kDone) << outcome.err;
    EXPECT_EQ(outcome.out, "3b0c926a1c65000000000000000000ff\n");
    EXPECT_EQ(control.nodes.asked.size(), 0U) << "the daemon of this host was asked";
}

TEST_F(Operator, CommandsOfOneHostAreNotForAfar) {
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"status"}, {"cluster", "leave"}, {"network", "connect", "n", "--pid", "7"}}) {
        const Outcome outcome = from_afar(command);
        EXPECT_EQ(outcome.exit, Exit::kFailed);
        EXPECT_EQ(outcome.err, "warren: this command is about one host: run it there, without --host tcp://...\n");
    }
}

TEST_F(Operator, NobodyAtTheOtherEndIsUnreachable) {
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    remote_->Shutdown();
    const Outcome outcome = from_afar({"node", "ls"});
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_TRUE(outcome.err.starts_with("warren: cannot reach a manager at 127.0.0.1:")) << outcome.err;
}

// A manager that goes away in the middle of a call and is back at once.
TEST_F(Operator, ALostConnectionIsNotTheCertificatesFault) {
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    remote_control_.nodes.status = grpc::Status(grpc::StatusCode::UNAVAILABLE, "Socket closed");
    const Outcome outcome = from_afar({"node", "ls"});
    EXPECT_EQ(outcome.exit, Exit::kUnreachable);
    EXPECT_TRUE(outcome.err.starts_with("warren: cannot reach a manager at 127.0.0.1:")) << outcome.err;
}

// TLS 1.3 tells a client whose certificate is refused nothing but that the connection is over.
TEST_F(Operator, ACertificateOfACaThatTheClusterHasLeftIsNamedWithTheRemedy) {
    auto next = certs::Authority::make(cluster_, "lab-2", now_).value();
    const auto cross = authority_.cross_sign(next.root_pem(), now_).value();
    auto key = certs::PrivateKey::generate().value();
    const auto chain =
        next.issue(certs::make_request(key).value(),
                   {.cluster = cluster_, .node = base::random_id<base::NodeId>(), .role = certs::Role::kManager},
                   lifetime_, now_)
            .value();
    ASSERT_EQ(issue_alice().exit, Exit::kDone);
    serve(certs::NodeIdentity::assemble(std::move(key), chain + cross,
                                        certs::Roots::parse("roots", next.root_pem()).value())
              .value());
    const Outcome outcome = from_afar({"node", "ls"});
    EXPECT_EQ(outcome.exit, Exit::kFailed);
    EXPECT_NE(outcome.err.find("does not take the certificate in " + out()), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("warren cert issue --role operator NAME --out DIR"), std::string::npos) << outcome.err;
}

TEST_F(Operator, CertLsAndRevokeShowTheState) {
    control.certificates.reply = sample<v1::CertListReply>(
        R"(certificates { id: "3b0c926a1c65000000000000000000ff" name: "alice" role: "operator" state: "revoked"
                          issued_unix_ms: 1799999940000 expires_unix_ms: 1800003600000 ca: "dropped" })");
    EXPECT_EQ(warren({"cert", "ls"}).out,
              "ID             NAME    ROLE       STATE     CA        ISSUED   EXPIRES\n"
              "3b0c926a1c65   alice   operator   revoked   dropped   1m 0s    2027-01-15 09:00:00 UTC (in 1h 0m)\n");
    control.revoke.reply = control.certificates.reply;
    EXPECT_EQ(warren({"cert", "revoke", "alice"}).out,
              "The certificate 3b0c926a1c65 of operator alice is refused from now on.\n");
    EXPECT_EQ(control.revoke.asked.at(0).certificate(), "alice");
}

}  // namespace
}  // namespace warren::cli
