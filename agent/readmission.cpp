#include "agent/readmission.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <chrono>
#include <utility>

#include "agent/loop_handle.h"
#include "certs/grpc_credentials.h"
#include "certs/possession.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/status.h"

namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr std::chrono::seconds kPatience{15};

}  // namespace

base::Result<certs::NodeIdentity> adopt(NewCertificate certificate, const certs::NodeIdentity& present,
                                        const std::filesystem::path& directory, base::Time now) {
    WARREN_TRY_ASSIGN(auto roots, certs::Roots::parse("the manager's roots", certificate.roots_pem));
    WARREN_TRY_ASSIGN(auto identity, certs::NodeIdentity::assemble(std::move(certificate.key), certificate.chain_pem,
                                                                   std::move(roots)));
    if (identity.identity() != present.identity()) {
        return fail(Code::kInternal, "the manager issued a certificate for {}, and this node is {}",
                    identity.identity().text(), present.identity().text());
    }
    WARREN_TRY(certs::check_validity(identity.leaf(), now));
    WARREN_TRY(certs::save_identity(directory, identity));
    return identity;
}

// Two calls, one after the other. Lives until the last of gRPC's callbacks and its owner have let go.
class Readmission::Exchange : public std::enable_shared_from_this<Exchange> {
  public:
    Exchange(asio::io_context& loop, const certs::NodeIdentity& present, Done done)
        : loop_(loop), present_(&present), done_(std::move(done)) {}

    void start(const std::string& manager) {
        auto credentials = certs::joiner_credentials(present_->roots(), present_->identity().cluster);
        if (!credentials) {
            loop_.post([self = shared_from_this(), why = credentials.error()] {
                self->finish(tl::unexpected<base::Error>(why));
            });
            return;
        }
        stub_ = v1::Bootstrap::NewStub(grpc::CreateChannel(manager, *credentials));
        first_.set_deadline(std::chrono::system_clock::now() + kPatience);
        stub_->async()->GetChallenge(&first_, &asked_, &challenge_, [self = shared_from_this()](grpc::Status status) {
            self->loop_.post([self, status = std::move(status)] { self->answer(status); });
        });
    }

    void abandon() {
        present_ = nullptr;
        loop_.cut();
        first_.TryCancel();
        second_.TryCancel();
    }

  private:
    LoopHandle loop_;
    const certs::NodeIdentity* present_;  // null: the owner has gone
    Done done_;
    std::unique_ptr<v1::Bootstrap::Stub> stub_;
    grpc::ClientContext first_;
    grpc::ClientContext second_;
    v1::GetChallengeRequest asked_;
    v1::GetChallengeReply challenge_;
    std::optional<certs::PrivateKey> key_;
    v1::ReadmitRequest proof_;
    v1::ReadmitReply reply_;

    void finish(base::Result<NewCertificate> result) {
        if (present_ != nullptr) {
            present_ = nullptr;
            done_(std::move(result));
        }
    }

    void answer(const grpc::Status& status) {
        if (present_ == nullptr) {
            return;
        }
        auto proved = status.ok() ? prove() : base::Status(tl::unexpected<base::Error>(proto::from_grpc(status)));
        if (!proved) {
            finish(base::fail_with(std::move(proved)));
            return;
        }
        second_.set_deadline(std::chrono::system_clock::now() + kPatience);
        stub_->async()->Readmit(&second_, &proof_, &reply_, [self = shared_from_this()](grpc::Status answered) {
            self->loop_.post([self, answered = std::move(answered)] { self->take(answered); });
        });
    }

    base::Status prove() {
        WARREN_TRY_ASSIGN(const auto manager, certs::peer_identity(*first_.auth_context()));
        if (!manager) {
            return fail(Code::kDenied, "the manager shows no certificate");
        }
        WARREN_TRY_ASSIGN(key_, certs::PrivateKey::generate());
        WARREN_TRY_ASSIGN(*proof_.mutable_csr_pem(), certs::make_request(*key_));
        proof_.set_certificate_pem(present_->chain_pem());
        proof_.set_challenge(challenge_.challenge());
        WARREN_TRY_ASSIGN(*proof_.mutable_signature(),
                          certs::prove_possession(present_->key(), {.cluster = present_->identity().cluster,
                                                                    .manager = manager->node,
                                                                    .challenge = proof_.challenge(),
                                                                    .request_pem = proof_.csr_pem()}));
        return {};
    }

    void take(const grpc::Status& status) {
        if (!status.ok()) {
            finish(tl::unexpected<base::Error>(proto::from_grpc(status)));
            return;
        }
        finish(NewCertificate{
            .key = *std::move(key_), .chain_pem = reply_.certificate_pem(), .roots_pem = reply_.roots_pem()});
    }
};

Readmission::Readmission(asio::io_context& loop, const std::string& manager, const certs::NodeIdentity& present,
                         Done done)
    : exchange_(std::make_shared<Exchange>(loop, present, std::move(done))) {
    exchange_->start(manager);
}

Readmission::~Readmission() {
    exchange_->abandon();
}

}  // namespace warren::agent
