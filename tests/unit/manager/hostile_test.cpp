#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <map>
#include <thread>

#include "base/files.h"
#include "base/unique_fd.h"
#include "certs/grpc_credentials.h"
#include "manager/server.h"
#include "manager/tokens.h"
#include "proto/bootstrap.grpc.pb.h"
#include "proto/control.grpc.pb.h"
#include "proto/session.grpc.pb.h"
#include "tests/unit/manager/founded_cluster.h"

// A manager as the network meets it: a real port with TLS, a real store, and everybody who should not get in.
namespace warren::manager {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using testing::HasSubstr;

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(host);
    return address;
}

base::UniqueFd bound_socket(std::uint32_t host) {
    base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = loopback(host, 0);
    const int done = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return done == 0 ? std::move(fd) : base::UniqueFd();
}

// Connected to the port, from this address of the host: all of 127.0.0.0/8 is.
base::UniqueFd connected_socket(std::uint16_t port, std::uint32_t from) {
    auto fd = bound_socket(from);
    const auto address = loopback(INADDR_LOOPBACK, port);
    const int done = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    return done == 0 ? std::move(fd) : base::UniqueFd();
}

// Whether the other end hangs up within that time.
bool is_hung_up(const base::UniqueFd& fd, std::chrono::milliseconds patience) {
    pollfd wait{.fd = fd.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    return ::poll(&wait, 1, static_cast<int>(patience.count())) == 1 && ::recv(fd.get(), &byte, 1, 0) <= 0;
}

// What a shell command says. These are not of our making: they share no code with what they attack.
std::string run(const std::string& command) {
    std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
    std::string output;
    std::array<char, 4096> chunk{};
    while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe)) {
        output.append(chunk.data(), got);
    }
    ::pclose(pipe);
    return output;
}

std::uint16_t free_port() {
    const auto fd = bound_socket(INADDR_LOOPBACK);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    EXPECT_EQ(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    return ntohs(address.sin_port);
}

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

const std::string kHandshakes = "refused handshake";
constexpr auto kHandshake = 3s;  // that a connection may take

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
        return run(
            fmt::format("printf 'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' | timeout 5 openssl s_client -quiet "
                        "-connect 127.0.0.1:{} {}",
                        port_, options));
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
    void expect_refused(const grpc::Status& status, StatusCode code, const std::string& counter) {
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

TEST_F(Hostile, EachStrangerIsRefusedAndCounted) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());

    const auto nobody = channel(certs::joiner_credentials(*roots_).value());
    expect_refused(list_nodes(nobody), StatusCode::PERMISSION_DENIED, "refused no-certificate");
    expect_refused(open_session(nobody), StatusCode::PERMISSION_DENIED, "refused no-certificate");

    // Signed by the attacker's own root, which the attacker trusts beside the real one.
    const auto own = certs::Authority::make(cluster_, "test", base::system_now()).value();
    auto key = certs::PrivateKey::generate().value();
    const auto self_made =
        own.issue(certs::make_request(key).value(), somebody(certs::Role::kManager), 24h, base::system_now()).value();
    auto both = certs::Roots::parse("both", own.root_pem() + roots_->pem()).value();
    const auto impostor = certs::NodeIdentity::assemble(std::move(key), self_made, std::move(both)).value();
    expect_refused(list_nodes(channel(impostor)), StatusCode::UNAVAILABLE, kHandshakes);

    const auto long_ago = forge(worker_->identity(), base::system_now() - 1000h);
    expect_refused(list_nodes(channel(long_ago)), StatusCode::UNAVAILABLE, kHandshakes);
    const auto not_yet = forge(worker_->identity(), base::system_now() + 1000h);
    expect_refused(list_nodes(channel(not_yet)), StatusCode::UNAVAILABLE, kHandshakes);

    // The right authority (a company's own, say), but another cluster.
    auto elsewhere = somebody(certs::Role::kWorker);
    elsewhere.cluster = base::random_id<base::ClusterId>();
    grpc::ClientContext context;
    expect_refused(open_session(channel(forge(elsewhere))), StatusCode::UNAVAILABLE, kHandshakes);

    expect_refused(list_nodes(channel(*worker_)), StatusCode::PERMISSION_DENIED, "refused role");
    expect_refused(open_session(channel(forge(somebody(certs::Role::kOperator)))), StatusCode::PERMISSION_DENIED,
                   "refused role");
    // A certificate of ours for a node that does not exist (any more), a manager's role for one that is a worker.
    expect_refused(open_session(channel(forge(somebody(certs::Role::kWorker)))), StatusCode::PERMISSION_DENIED,
                   "refused stranger");
    expect_refused(list_nodes(channel(forge(somebody(certs::Role::kManager)))), StatusCode::PERMISSION_DENIED,
                   "refused stranger");
    auto promoted = worker_->identity();
    promoted.role = certs::Role::kManager;
    expect_refused(list_nodes(channel(forge(promoted))), StatusCode::PERMISSION_DENIED, "refused stranger");
    expect_refused(list_nodes(channel(forge(somebody(certs::Role::kOperator)))), StatusCode::PERMISSION_DENIED,
                   "refused stranger");

    const auto beat = member.beat();
    EXPECT_TRUE(beat) << "a member's session was disturbed";
}

TEST_F(Hostile, OlderTlsAndWhatIsNoClientsCertificateEndInTheHandshake) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    const auto count = [this] { return counters()[kHandshakes]; };
    // gRPC may close before the alert is out.
    const auto is_hung_up_on = testing::AnyOf(HasSubstr("alert"), HasSubstr("unexpected eof"));
    auto before = count();
    EXPECT_THAT(s_client("-tls1_2"), is_hung_up_on);
    expect_counted(kHandshakes, ++before);
    // Of the cluster's own CA, for a node that there is, and for servers only.
    const auto key = authority_->key().pem().value();
    const std::string text(reinterpret_cast<const char*>(key.reveal().data()), key.size());
    ASSERT_TRUE(base::write_file_atomic(path("ca.key"), text, 0600));
    ASSERT_TRUE(base::write_file_atomic(path("ca.pem"), authority_->root_pem(), 0600));
    const auto made = [&](const char* usage) {
        const auto& who = worker_->identity();
        return run(fmt::format(
            "cd {} && openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout leaf.key -out "
            "leaf.csr "
            "-subj '/O={}/OU=worker/CN={}' && printf 'basicConstraints=critical,CA:FALSE\\nkeyUsage=critical,"
            "digitalSignature\\nextendedKeyUsage={}\\nsubjectAltName=URI:spiffe://{}/node/{}\\n' > ext && openssl x509 "
            "-req -in leaf.csr -CA ca.pem -CAkey ca.key -days 1 -extfile ext -out leaf.pem",
            founded_.directory.path().native(), who.cluster, who.node, usage, who.cluster, who.node));
    };
    const auto shown = fmt::format("-cert {} -key {}", path("leaf.pem"), path("leaf.key"));
    // Only the server's count tells: no client of HTTP/2 is behind it, so the connection ends either way.
    const auto ours = made("serverAuth,clientAuth");
    (void)s_client(shown);
    EXPECT_EQ(count(), before) << "the test's own certificates are no good: " << ours;
    (void)made("serverAuth");
    EXPECT_THAT(s_client(shown), is_hung_up_on);
    expect_counted(kHandshakes, before + 1);
    EXPECT_TRUE(member.beat());
}

// The daemon is a client, too. What is refused to it is not what it refuses.
TEST_F(Hostile, OwnFailuresAsAClientAreNotCounted) {
    const auto own = certs::Authority::make(cluster_, "test", base::system_now()).value();
    const auto elsewhere = certs::Roots::parse("roots", own.root_pem()).value();
    // The server sees these end: an alert says that its certificate is unknown there.
    const auto before = counters()[kHandshakes];
    EXPECT_EQ(list_nodes(channel(certs::joiner_credentials(elsewhere).value())).error_code(), StatusCode::UNAVAILABLE);
    expect_counted(kHandshakes, before + 1);
    // And here the server is not this one: nobody is refused by it.
    const auto listener = bound_socket(INADDR_LOOPBACK);
    ASSERT_EQ(::listen(listener.get(), 8), 0);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    std::thread garbage([&] {
        const base::UniqueFd peer(::accept(listener.get(), nullptr, nullptr));
        EXPECT_GT(::send(peer.get(), "garbage garbage garbage", 23, MSG_NOSIGNAL), 0);
        (void)is_hung_up(peer, 10s);
    });
    const auto counted = counters()[kHandshakes];
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + 20s);
    v1::NodeListReply reply;
    const auto there = grpc::CreateChannel("127.0.0.1:" + std::to_string(ntohs(address.sin_port)),
                                           certs::joiner_credentials(*roots_).value());
    EXPECT_FALSE(v1::Control::NewStub(there)->NodeList(&context, {}, &reply).ok());
    garbage.join();
    EXPECT_EQ(counters()[kHandshakes], counted);
}

// Of a request only the public key counts, and that only with proof that its private key is there.
TEST_F(Hostile, ARequestThatLiesGetsWhatTheTokenSaysAndOneThatIsForgedGetsNothing) {
    const auto made = run(fmt::format(
        "cd {} && openssl req -new -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout forged.key -out "
        "forged.csr "
        "-subj '/O={}/OU=manager/CN={}' -addext 'subjectAltName=URI:spiffe://{}/node/{},DNS:manager.{}' -addext "
        "'basicConstraints=critical,CA:TRUE'",
        founded_.directory.path().native(), cluster_, manager_->identity().node, cluster_, manager_->identity().node,
        cluster_));
    const auto csr = base::read_file(path("forged.csr"));
    ASSERT_TRUE(csr) << made;
    const auto joiner = channel(certs::joiner_credentials(*roots_).value());
    auto request = request_for(certs::PrivateKey::generate().value(), "w8", "192.0.2.8");
    request.set_csr_pem(*csr);
    v1::IssueCertificateReply reply;
    ASSERT_TRUE(issue(joiner, request, reply).ok());
    const auto leaf = roots_->verify("certificate", reply.certificate_pem(), base::system_now()).value();
    EXPECT_EQ(leaf.identity.role, certs::Role::kWorker) << "as the token says";
    EXPECT_NE(leaf.identity.node, manager_->identity().node);
    EXPECT_EQ(leaf.identity.node, id_of<base::NodeId>(reply.node_id()));

    // Somebody else's public key: the signature below it can't be right.
    auto stolen = certs::make_request(worker_->key()).value();
    auto& last = stolen.at(stolen.find("\n-----END") - 8);
    last = last == 'A' ? 'B' : 'A';
    request = request_for(certs::PrivateKey::generate().value(), "w9", "192.0.2.9");
    request.set_csr_pem(stolen);
    const auto refused = issue(joiner, request, reply);
    EXPECT_THAT(refused.error_message(), HasSubstr("certificate request"));
    expect_refused(refused, StatusCode::PERMISSION_DENIED, "refused join");
}

TEST_F(Hostile, AWorkerThatNamesAnotherNodeIsRefused) {
    const auto second = join("w2", "192.0.2.3");
    before_ = counters();
    const auto as_other = MemberSession(channel(second), "w1", "192.0.2.3").end();
    EXPECT_THAT(as_other.error_message(), HasSubstr("names another node, 'w1'"));
    expect_refused(as_other, StatusCode::PERMISSION_DENIED, "refused other-node");
}

TEST_F(Hostile, JoinsWithoutTheRightAreRefusedAndLeaveNothing) {
    const auto joiner = channel(certs::joiner_credentials(*roots_).value());
    const auto key = certs::PrivateKey::generate().value();
    v1::IssueCertificateReply reply;
    auto request = request_for(key, "w9", "192.0.2.9");
    request.set_token_secret(std::string(16, 'x'));
    expect_refused(issue(joiner, request, reply), StatusCode::PERMISSION_DENIED, "refused join");
    request.set_token_secret("short");
    expect_refused(issue(joiner, request, reply), StatusCode::PERMISSION_DENIED, "refused join");
    request = request_for(key, "w9", "192.0.2.9");
    request.set_csr_pem("nonsense");
    expect_refused(issue(joiner, request, reply), StatusCode::INVALID_ARGUMENT, "refused join");
    request = request_for(key, "w1", "192.0.2.9");
    expect_refused(issue(joiner, request, reply), StatusCode::ALREADY_EXISTS, "refused join");
    request = request_for(key, std::string(2'000'000, 'a'), "192.0.2.9");
    EXPECT_EQ(issue(joiner, request, reply).error_code(), StatusCode::RESOURCE_EXHAUSTED) << "too large";
    v1::NodeListReply nodes;
    grpc::ClientContext context;
    ASSERT_TRUE(v1::Control::NewStub(channel(*manager_))->NodeList(&context, {}, &nodes).ok());
    EXPECT_EQ(nodes.nodes_size(), 2);
}

// The lab has ten thousand.
TEST_F(Hostile, FloodsDoNotDisturbTheSessionsOfMembers) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    constexpr std::uint32_t kSources = 4;
    constexpr std::size_t kEach = 250;
    ASSERT_GT(files.rlim_cur, 4 * kSources * kEach);

    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    std::atomic<int> limited = 0;
    std::atomic<bool> over = false;
    std::thread joins([&] {
        const auto joiner = channel(certs::joiner_credentials(*roots_).value());
        const auto key = certs::PrivateKey::generate().value();
        auto request = request_for(key, "w9", "192.0.2.9");
        for (int i = 0; i < 500; ++i) {
            request.set_token_secret(std::string(16, static_cast<char>(i % 100)));
            v1::IssueCertificateReply reply;
            limited += issue(joiner, request, reply).error_code() == StatusCode::RESOURCE_EXHAUSTED ? 1 : 0;
        }
        over = true;
    });
    std::vector<base::UniqueFd> open;
    for (std::uint32_t source = 0; source < kSources; ++source) {
        for (std::size_t i = 0; i < kEach; ++i) {
            open.push_back(connected_socket(port_, INADDR_LOOPBACK + 256 + source));
        }
    }
    const auto garbage = connected_socket(port_, INADDR_LOOPBACK + 1);
    const std::string chunk(64U << 10U, 'g');
    for (int sent = 0; sent < 256; ++sent) {  // 16 MiB, or until it hangs up
        if (::send(garbage.get(), chunk.data(), chunk.size(), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    base::Duration slowest{};
    bool alive = true;
    do {
        const auto beat = member.beat();
        alive = beat.has_value();
        slowest = std::max(slowest, beat.value_or(base::Duration{}));
    } while (alive && !over);
    joins.join();
    EXPECT_TRUE(alive);
    EXPECT_LT(slowest, 5s) << "three heartbeats of 5 s missed would end the session";
    EXPECT_GT(limited, 300) << "one address may not guess as fast as it likes";
    expect_counted(kHandshakes, 1);  // the garbage
    EXPECT_TRUE(list_nodes(channel(*manager_)).ok());
    EXPECT_TRUE(std::all_of(open.begin(), open.end(), [](const auto& fd) { return is_hung_up(fd, 20s); }))
        << "who says nothing is not kept";
    expect_counted("refused silent", kSources * kEach);
    EXPECT_EQ(counters()["refused connection"], 0U);
}

TEST_F(Hostile, OneAddressHasOnlySoManyConnections) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    std::vector<base::UniqueFd> open;
    for (int i = 0; i < 1000; ++i) {
        open.push_back(connected_socket(port_, INADDR_LOOPBACK + 7));
    }
    expect_counted("refused connection", 300);
    EXPECT_TRUE(list_nodes(channel(*manager_)).ok()) << "who comes from elsewhere gets in";
    EXPECT_TRUE(member.beat());
}

}  // namespace
}  // namespace warren::manager
