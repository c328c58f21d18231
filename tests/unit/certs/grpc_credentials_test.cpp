#include "certs/grpc_credentials.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <thread>

#include "base/free.h"
#include "base/unique_fd.h"
#include "certs/token.h"
#include "tests/unit/certs/test_cluster.h"

// gRPC verifies against the machine's clock, so these tests, unlike all others, issue relative to it. Every validity
// is days away from its edges.
namespace warren::certs {
namespace {

using testing::HasSubstr;

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

// A client of the right cluster that presents the certificate of another: same roots for the server's certificate, so
// that the server's judgement alone decides.
TEST_F(GrpcCredentials, ACertificateOfAnotherAuthorityIsRefused) {
    const TestCluster other(cluster_.now);
    const NodeIdentity stranger = other.node(other.identity(Role::kManager), other.now);
    EXPECT_EQ(call(server_.port(), must(member_credentials(stranger))).code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcCredentials, WithoutTlsThereIsNoAnswer) {
    EXPECT_EQ(call(server_.port(), grpc::InsecureChannelCredentials()).code, grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace warren::certs
