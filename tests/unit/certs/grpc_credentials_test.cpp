#include "certs/grpc_credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/log.h"
#include "tests/unit/certs/raw_tls.h"
#include "tests/unit/certs/test_cluster.h"

// gRPC verifies against the machine's clock, so these tests, unlike all others, issue relative to it. Every validity
// is days away from its edges.
namespace warren::certs {
namespace {

using testing::HasSubstr;
using testing::Not;

// Answers every call with what peer_identity() says of the caller.
class WhoAmI final : public grpc::CallbackGenericService {
    class Answer final : public grpc::ServerGenericBidiReactor {
      public:
        explicit Answer(const grpc::AuthContext& context) {
            const auto peer = peer_identity(context);
            const std::string text = !peer ? "error: " + peer.error().message() : *peer ? (*peer)->text() : "nobody";
            const grpc::Slice slice(text);
            answer_ = grpc::ByteBuffer(&slice, 1);
            StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
        }
        void OnDone() override { delete this; }

      private:
        grpc::ByteBuffer answer_;
    };

    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
        return new Answer(*context->auth_context());
    }
};

class TestServer {
  public:
    explicit TestServer(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
        grpc::ServerBuilder builder;
        builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
        builder.RegisterCallbackGenericService(&service_);
        server_ = builder.BuildAndStart();
    }
    ~TestServer() {
        server_->Shutdown(std::chrono::system_clock::now());
        server_->Wait();
    }
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    [[nodiscard]] int port() const { return port_; }

  private:
    WhoAmI service_;
    int port_ = 0;
    std::unique_ptr<grpc::Server> server_;
};

struct Answer {
    grpc::StatusCode code;
    std::string text;

    bool operator==(const Answer&) const = default;
};

void PrintTo(const Answer& answer, std::ostream* out) {
    *out << answer.code << " '" << answer.text << "'";
}

Answer call(int port, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    grpc::GenericStub stub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port), credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    const grpc::ByteBuffer request;
    grpc::ByteBuffer reply;
    grpc::Status status;
    grpc::CompletionQueue queue;
    const auto rpc = stub.PrepareUnaryCall(&context, "/test/WhoAmI", request, &queue);
    rpc->StartCall();
    rpc->Finish(&reply, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    grpc::Slice slice;
    if (status.ok() && reply.DumpToSingleSlice(&slice).ok()) {
        return {.code = status.error_code(), .text = {reinterpret_cast<const char*>(slice.begin()), slice.size()}};
    }
    return {.code = status.error_code(), .text = status.error_message()};
}

class GrpcCredentials : public testing::Test {
  protected:
    TestCluster cluster_{base::system_now() - 30 * kDay};
    NodeIdentity manager_ = cluster_.node(Role::kManager);
    TestServer server_{must(server_credentials(manager_))};
};

TEST_F(GrpcCredentials, AMemberIsKnownToTheServer) {
    for (const Role role : {Role::kManager, Role::kWorker, Role::kOperator}) {
        const NodeIdentity member = cluster_.node(role);
        EXPECT_EQ(call(server_.port(), must(member_credentials(member))),
                  (Answer{grpc::StatusCode::OK, member.identity().text()}));
    }
}

TEST_F(GrpcCredentials, ACallerWithoutACertificateReachesTheServiceAsNobody) {
    EXPECT_EQ(call(server_.port(), must(unverified_credentials())), (Answer{grpc::StatusCode::OK, "nobody"}));
    EXPECT_EQ(call(server_.port(), must(joiner_credentials(cluster_.roots))), (Answer{grpc::StatusCode::OK, "nobody"}));
}

TEST_F(GrpcCredentials, AJoinerRefusesAServerThatThePinnedRootsDoNotVouchFor) {
    const TestCluster other(cluster_.now);
    EXPECT_EQ(call(server_.port(), must(joiner_credentials(other.roots))).code, grpc::StatusCode::UNAVAILABLE);
}

// Certificates that claim this cluster but are signed by a root of the attacker's own. Each side also trusts the real
// root, so the other side's judgement alone decides.
class Impostor {
  public:
    explicit Impostor(const TestCluster& victim)
        : own_(victim.now, victim.id),
          both_(must(Roots::parse("both", own_.authority.root_pem() + victim.authority.root_pem()))) {}

    [[nodiscard]] NodeIdentity node(Role role) const {
        PrivateKey key = must(PrivateKey::generate());
        const std::string leaf = own_.leaf(key, own_.identity(role), own_.now);
        return must(NodeIdentity::assemble(std::move(key), leaf, both_));
    }

  private:
    TestCluster own_;
    Roots both_;
};

TEST_F(GrpcCredentials, ACertificateOfAnotherAuthorityIsRefused) {
    const NodeIdentity client = Impostor(cluster_).node(Role::kManager);
    EXPECT_EQ(call(server_.port(), must(member_credentials(client))).code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCredentials, AServerOfAnotherAuthorityIsRefused) {
    const TestServer impostor(must(server_credentials(Impostor(cluster_).node(Role::kManager))));
    EXPECT_EQ(call(impostor.port(), must(member_credentials(manager_))).code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(call(impostor.port(), must(joiner_credentials(cluster_.roots))).code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCredentials, AWorkerCannotPassForAManager) {
    const TestServer worker(must(server_credentials(cluster_.node(Role::kWorker))));
    EXPECT_EQ(call(worker.port(), must(member_credentials(manager_))).code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(call(worker.port(), must(joiner_credentials(cluster_.roots))).code, grpc::StatusCode::UNAVAILABLE);
}

// One root may one day sign for two clusters (a company's own): the cluster id must count, not only the root.
TEST_F(GrpcCredentials, ASharedRootDoesNotJoinClusters) {
    const Identity elsewhere{
        .cluster = base::random_id<base::ClusterId>(), .node = base::random_id<base::NodeId>(), .role = Role::kManager};
    const NodeIdentity foreign = cluster_.node(elsewhere, cluster_.now);
    EXPECT_EQ(call(server_.port(), must(member_credentials(foreign))).code, grpc::StatusCode::UNAVAILABLE);

    const TestServer other(must(server_credentials(foreign)));
    EXPECT_EQ(call(other.port(), must(member_credentials(manager_))).code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(call(other.port(), must(member_credentials(foreign))).code, grpc::StatusCode::OK);
}

TEST_F(GrpcCredentials, ClientsOutsideTheirValidityAreRefused) {
    const Identity who = cluster_.identity(Role::kWorker);
    const NodeIdentity expired = cluster_.node(who, base::system_now() - 10 * kDay, kDay);
    const NodeIdentity early = cluster_.node(who, base::system_now() + 10 * kDay);
    EXPECT_EQ(call(server_.port(), must(member_credentials(expired))).code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(call(server_.port(), must(member_credentials(early))).code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCredentials, ServersOutsideTheirValidityAreRefused) {
    const Identity who = cluster_.identity(Role::kManager);
    const TestServer expired(must(server_credentials(cluster_.node(who, base::system_now() - 10 * kDay, kDay))));
    const TestServer early(must(server_credentials(cluster_.node(who, base::system_now() + 10 * kDay))));
    for (const int port : {expired.port(), early.port()}) {
        EXPECT_EQ(call(port, must(member_credentials(manager_))).code, grpc::StatusCode::UNAVAILABLE);
        EXPECT_EQ(call(port, must(joiner_credentials(cluster_.roots))).code, grpc::StatusCode::UNAVAILABLE);
    }
}

// A manager lives longer than its certificate, and than the root that it began with.
TEST_F(GrpcCredentials, AServerTakesUpRenewedFilesWithoutARestart) {
    const TestDirectory directory;
    const auto certs = directory.path() / "certs";
    must(save_identity(certs, manager_));
    const TestServer server(must(server_credentials(manager_, certs)));
    const NodeIdentity worker = cluster_.node(Role::kWorker);
    EXPECT_EQ(call(server.port(), must(member_credentials(worker))).text, worker.identity().text());

    const TestCluster next(cluster_.now, cluster_.id);  // another root of the same cluster
    PrivateKey key = must(PrivateKey::generate());
    const std::string chain = next.leaf(key, manager_.identity(), cluster_.now);
    const Roots both = must(Roots::parse("roots", next.roots.pem() + cluster_.roots.pem()));
    must(save_identity(certs, must(NodeIdentity::assemble(std::move(key), chain, both))));
    const NodeIdentity moved = next.node(Role::kWorker);  // trusts the new root alone, and is issued by it
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    Answer answer{};
    do {
        answer = call(server.port(), must(member_credentials(moved)));
    } while (answer.code != grpc::OK && std::chrono::steady_clock::now() < deadline);
    EXPECT_EQ(answer, (Answer{grpc::OK, moved.identity().text()}));
}

TEST_F(GrpcCredentials, WithoutTlsThereIsNoAnswer) {
    EXPECT_EQ(call(server_.port(), grpc::InsecureChannelCredentials()).code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCredentials, ServersTakeTls13Only) {
    // gRPC hangs up without sending the alert that OpenSSL wrote.
    EXPECT_EQ(raw_connect(server_.port(), TLS1_2_VERSION).outcome, "unexpected eof while reading");
    EXPECT_EQ(raw_connect(server_.port(), TLS1_3_VERSION).outcome, "ok TLSv1.3");
}

TEST_F(GrpcCredentials, ClientsTakeTls13Only) {
    const std::vector<std::shared_ptr<grpc::ChannelCredentials>> clients{
        must(member_credentials(manager_)), must(joiner_credentials(cluster_.roots)), must(unverified_credentials())};
    for (const auto& credentials : clients) {
        for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            const RawServer server;
            const auto channel = grpc::CreateChannel("127.0.0.1:" + std::to_string(server.port()), credentials);
            (void)channel->GetState(/*try_to_connect=*/true);
            EXPECT_EQ(server.accept(manager_, version),
                      version == TLS1_3_VERSION ? "ok TLSv1.3" : "unsupported protocol");
        }
    }
}

TEST_F(GrpcCredentials, ServersHandOutNoSessionTickets) {
    const RawHandshake handshake = raw_connect(server_.port(), TLS1_3_VERSION);
    EXPECT_EQ(handshake.outcome, "ok TLSv1.3");
    EXPECT_FALSE(handshake.resumable);
}

TEST_F(GrpcCredentials, ACallerOnATransportWithoutTlsIsNobody) {
    TestServer local(grpc::InsecureServerCredentials());
    EXPECT_EQ(call(local.port(), grpc::InsecureChannelCredentials()), (Answer{grpc::StatusCode::OK, "nobody"}));
}

TEST_F(GrpcCredentials, GrpcsOwnLogGoesThroughOurs) {
    adopt_grpc_log();
    base::start_logging(base::LogLevel::kInfo);
    testing::internal::CaptureStderr();
    (void)call(server_.port(), must(joiner_credentials(cluster_.roots)));       // nothing to say
    (void)call(server_.port(), must(joiner_credentials(TestCluster().roots)));  // a refused handshake
    const std::string log = testing::internal::GetCapturedStderr();
    base::start_logging(base::LogLevel::kError);
    EXPECT_THAT(log, HasSubstr("info grpc: Handshake failed"));
    EXPECT_THAT(log, Not(HasSubstr("ssl_transport_security.cc")));
    EXPECT_THAT(log, Not(HasSubstr("No match found")));
}

}  // namespace
}  // namespace warren::certs
