#pragma once

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "base/files.h"
#include "certs/grpc_credentials.h"
#include "manager/server.h"
#include "manager/tokens.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/control.grpc.pb.h"
#include "proto/session.grpc.pb.h"
#include "tests/shell.h"
#include "tests/unit/manager/founded_cluster.h"
#include "tests/unit/manager/loopback.h"

// A manager as the network meets it: a real port with TLS, a real store.
namespace warren::manager {

using namespace std::chrono_literals;

// A node's session, as far as the other end of it matters.
class MemberSession {
  public:
    MemberSession(const std::shared_ptr<grpc::Channel>& channel, const std::string& name, const std::string& address)
        : stub_(v1::Sessions::NewStub(channel)), stream_(stub_->Open(&context_)) {
        v1::FromAgent message;
        auto& hello = *message.mutable_hello();
        hello.set_boot_id(std::string(16, '\1'));
        hello.set_data_address(raw(base::parse_ip("address", address).value()));
        hello.set_underlay_mtu(1500);
        hello.set_node_name(name);
        stream_->Write(message);
    }
    ~MemberSession() { context_.TryCancel(); }
    MemberSession(const MemberSession&) = delete;
    MemberSession& operator=(const MemberSession&) = delete;

    [[nodiscard]] bool welcomed() {
        v1::FromManager message;
        return stream_->Read(&message) && message.has_welcome();
    }
    // One heartbeat and its answer; nothing when the session is over.
    std::optional<base::Duration> beat() {
        v1::FromAgent message;
        message.mutable_heartbeat();
        const auto began = std::chrono::steady_clock::now();
        v1::FromManager answer;
        bool alive = stream_->Write(message);
        do {  // whatever else is on its way
            alive = alive && stream_->Read(&answer);
        } while (alive && !answer.has_heartbeat());
        if (!alive) {
            return std::nullopt;
        }
        return std::chrono::duration_cast<base::Duration>(std::chrono::steady_clock::now() - began);
    }
    void say(const v1::FromAgent& message) { stream_->Write(message); }
    // Once there is nothing more to read.
    [[nodiscard]] grpc::Status end() {
        v1::FromManager message;
        while (stream_->Read(&message)) {
        }
        return stream_->Finish();
    }

  private:
    grpc::ClientContext context_;
    std::unique_ptr<v1::Sessions::Stub> stub_;
    std::unique_ptr<grpc::ClientReaderWriter<v1::FromAgent, v1::FromManager>> stream_;
};

inline const std::string kHandshakes = "refused handshake";
inline constexpr auto kHandshake = 3s;  // that a connection may take

class Hostile : public testing::Test {
  protected:
    Hostile() {
        certs::adopt_grpc_log();
        const Vault vault(test_kek());
        v1::ClusterRecord record;
        EXPECT_TRUE(record.ParseFromString(founded_.store->get("cluster").value()->value));
        cluster_ = founded_.founded.cluster;
        token_ = open_tokens(vault, record)->front().secret.clone();
        authority_.emplace(certs::Authority::load(record.ca_certificate_pem(),
                                                  vault.open_authority(cluster_, record.sealed_ca_key()).value())
                               .value());
        roots_.emplace(certs::Roots::parse("roots", record.roots_pem()).value());
        manager_.emplace(
            certs::NodeIdentity::assemble(std::move(founded_.key), founded_.founded.certificate_pem, *roots_).value());
        port_ = free_port();
        const auto files = founded_.directory.path() / "certs";
        EXPECT_TRUE(certs::save_identity(files, *manager_));
        const auto started = server_.start(std::move(founded_.store), Vault(test_kek()), *manager_,
                                           {.listen = {.ip = base::parse_ip("ip", "127.0.0.1").value(), .port = port_},
                                            .certificates = files,
                                            .handshake = kHandshake});
        EXPECT_TRUE(started) << started.error().message();
        worker_.emplace(join("w1", "192.0.2.2"));
    }

    [[nodiscard]] std::shared_ptr<grpc::Channel> channel(const std::shared_ptr<grpc::ChannelCredentials>& how) const {
        grpc::ChannelArguments own_connection;
        own_connection.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(port_), how, own_connection);
    }
    [[nodiscard]] std::shared_ptr<grpc::Channel> channel(const certs::NodeIdentity& as) const {
        return channel(certs::member_credentials(as).value());
    }
    void expect_counted(const std::string& counter, std::uint64_t at_least, std::chrono::seconds within = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (counters()[counter] < at_least && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms);
        }
        EXPECT_GE(counters()[counter], at_least) << counter;
    }
    // A TLS client that is not ours.
    [[nodiscard]] std::string s_client(const std::string& options) const {
        return run_shell(
            fmt::format("printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' | timeout 5 openssl s_client -quiet "
                        "-connect 127.0.0.1:{} {}",
                        port_, options));
    }
    // Options for s_client: a certificate of the cluster's own CA, for a node that there is, and for that use.
    [[nodiscard]] std::string leaf_for(const std::string& usage) const {
        const auto key = authority_->key().pem().value();
        const std::string text(reinterpret_cast<const char*>(key.reveal().data()), key.size());
        EXPECT_TRUE(base::write_file_atomic(path("ca.key"), text, 0600));
        EXPECT_TRUE(base::write_file_atomic(path("ca.pem"), authority_->root_pem(), 0600));
        const auto& who = worker_->identity();
        const auto made = run_shell(fmt::format(
            "cd {} && openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout leaf.key -out "
            "leaf.csr "
            "-subj '/O={}/OU=worker/CN={}' && printf 'basicConstraints=critical,CA:FALSE\\nkeyUsage=critical,"
            "digitalSignature\\nextendedKeyUsage={}\\nsubjectAltName=URI:spiffe://{}/node/{}\\n' > ext && openssl x509 "
            "-req -in leaf.csr -CA ca.pem -CAkey ca.key -days 1 -extfile ext -out leaf.pem",
            founded_.directory.path().native(), who.cluster, who.node, usage, who.cluster, who.node));
        EXPECT_THAT(made, testing::HasSubstr("signature ok"));
        return fmt::format("-cert {} -key {}", path("leaf.pem"), path("leaf.key"));
    }
    [[nodiscard]] std::string path(const char* file) const { return (founded_.directory.path() / file).native(); }

    // A certificate that the cluster's own authority could make, for whoever holds a new key.
    [[nodiscard]] certs::NodeIdentity forge(const certs::Identity& who, base::Time issued = base::system_now()) const {
        auto key = certs::PrivateKey::generate().value();
        const auto pem = authority_->issue(certs::make_request(key).value(), who, 24h, issued).value();
        return certs::NodeIdentity::assemble(std::move(key), pem, *roots_).value();
    }
    [[nodiscard]] certs::Identity somebody(certs::Role role) const {
        return {.cluster = cluster_, .node = base::random_id<base::NodeId>(), .role = role};
    }
    // Signed by the attacker's own root, which the attacker trusts beside the real one.
    [[nodiscard]] certs::NodeIdentity impostor() const {
        const auto own = certs::Authority::make(cluster_, "test", base::system_now()).value();
        auto key = certs::PrivateKey::generate().value();
        const auto self_made =
            own.issue(certs::make_request(key).value(), somebody(certs::Role::kManager), 24h, base::system_now())
                .value();
        auto both = certs::Roots::parse("both", own.root_pem() + roots_->pem()).value();
        return certs::NodeIdentity::assemble(std::move(key), self_made, std::move(both)).value();
    }
    [[nodiscard]] certs::NodeIdentity long_ago() const {
        return forge(worker_->identity(), base::system_now() - 1000h);
    }
    [[nodiscard]] certs::NodeIdentity not_yet() const { return forge(worker_->identity(), base::system_now() + 1000h); }
    // The right authority (a company's own, say), but another cluster.
    [[nodiscard]] certs::NodeIdentity of_another_cluster() const {
        auto elsewhere = somebody(certs::Role::kWorker);
        elsewhere.cluster = base::random_id<base::ClusterId>();
        return forge(elsewhere);
    }

    grpc::Status issue(const std::shared_ptr<grpc::Channel>& channel, const v1::IssueCertificateRequest& request,
                       v1::IssueCertificateReply& reply) const {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 30s);
        return v1::Bootstrap::NewStub(channel)->IssueCertificate(&context, request, &reply);
    }
    [[nodiscard]] v1::IssueCertificateRequest request_for(const certs::PrivateKey& key, const std::string& name,
                                                          const std::string& address) const {
        v1::IssueCertificateRequest request;
        request.set_csr_pem(certs::make_request(key).value());
        const auto secret = token_.reveal();
        request.set_token_secret(std::string(secret.begin(), secret.end()));
        request.set_node_name(name);
        request.set_data_address(raw(base::parse_ip("ip", address).value()));
        request.set_advertise_address(request.data_address());
        return request;
    }
    [[nodiscard]] certs::NodeIdentity join(const std::string& name, const std::string& address) const {
        auto key = certs::PrivateKey::generate().value();
        v1::IssueCertificateReply reply;
        const auto status =
            issue(channel(certs::joiner_credentials(*roots_).value()), request_for(key, name, address), reply);
        EXPECT_TRUE(status.ok()) << status.error_message();
        return certs::NodeIdentity::assemble(std::move(key), reply.certificate_pem(), *roots_).value();
    }

    static grpc::Status list_nodes(const std::shared_ptr<grpc::Channel>& channel) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 30s);
        v1::NodeListReply reply;
        return v1::Control::NewStub(channel)->NodeList(&context, {}, &reply);
    }
    static grpc::Status open_session(const std::shared_ptr<grpc::Channel>& channel, const std::string& name = "w1") {
        return MemberSession(channel, name, "192.0.2.2").end();
    }

    [[nodiscard]] std::map<std::string, std::uint64_t> counters() const {
        v1::StatusReply status;
        server_.add_counters(status);
        std::map<std::string, std::uint64_t> values;
        for (const auto& counter : status.counters()) {
            values[counter.name()] = counter.value();
        }
        return values;
    }
    // Refused, with that code, and counted as that and as nothing else. Counting is the core's, after the answer.
    // Channels that were refused in the handshake try again by themselves, so handshakes may be counted at any time,
    // and one that is given up before it has said anything.
    void expect_refused(const grpc::Status& status, grpc::StatusCode code, const std::string& counter) {
        EXPECT_EQ(status.error_code(), code) << counter << ": " << status.error_message();
        auto now = counters();
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (now[counter] <= before_[counter] && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(1ms);
            now = counters();
        }
        EXPECT_GT(now[counter], before_[counter]) << status.error_message();
        for (const auto& [name, value] : now) {
            if (name != counter && name != kHandshakes && name != "refused silent") {
                EXPECT_EQ(value, before_[name]) << name << " for " << counter;
            }
        }
        before_ = now;
    }

    FoundedCluster founded_{base::system_now()};
    base::ClusterId cluster_;
    certs::TokenSecret token_;
    std::optional<certs::Authority> authority_;
    std::optional<certs::Roots> roots_;
    std::optional<certs::NodeIdentity> manager_;
    std::optional<certs::NodeIdentity> worker_;
    std::uint16_t port_ = 0;
    Server server_;
    std::map<std::string, std::uint64_t> before_ = counters();
};

}  // namespace warren::manager
