#include <algorithm>
#include <future>

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "tests/unit/manager/hostile_fixture.h"

// Everybody who should not get in.
namespace warren::manager {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

TEST_F(Hostile, EachStrangerIsRefusedAndCounted) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());

    const auto nobody = channel(certs::joiner_credentials(*roots_).value());
    expect_refused(list_nodes(nobody), StatusCode::PERMISSION_DENIED, "refused no-certificate");
    expect_refused(open_session(nobody), StatusCode::PERMISSION_DENIED, "refused no-certificate");

    expect_refused(list_nodes(channel(impostor())), StatusCode::UNAVAILABLE, kHandshakes);
    expect_refused(list_nodes(channel(long_ago())), StatusCode::UNAVAILABLE, kHandshakes);
    expect_refused(list_nodes(channel(not_yet())), StatusCode::UNAVAILABLE, kHandshakes);
    expect_refused(open_session(channel(of_another_cluster())), StatusCode::UNAVAILABLE, kHandshakes);

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
    // Only the server's count tells: no client of HTTP/2 is behind it, so the connection ends either way.
    const auto good = leaf_for("serverAuth,clientAuth");
    (void)s_client(good);
    EXPECT_EQ(count(), before) << "the test's own certificates are no good";
    EXPECT_THAT(s_client(leaf_for("serverAuth")), is_hung_up_on);
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
    const auto made = run_shell(fmt::format(
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

// The end of a session and what the store has to say come when its loop has been told to end.
TEST_F(Hostile, AManagerStopsInTheMiddleOfItsWork) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    (void)join("w2", "192.0.2.3");
    auto stopped = std::async(std::launch::async, [this] { server_.stop(); });
    EXPECT_EQ(stopped.wait_for(10s), std::future_status::ready);
}

TEST_F(Hostile, AWorkerThatNamesAnotherNodeIsRefused) {
    const auto second = join("w2", "192.0.2.3");
    before_ = counters();
    const auto as_other = MemberSession(channel(second), "w1", "192.0.2.3").end();
    EXPECT_THAT(as_other.error_message(), HasSubstr("names another node, 'w1'"));
    expect_refused(as_other, StatusCode::PERMISSION_DENIED, "refused other-node");
}

// Its certificate is good for days still.
TEST_F(Hostile, ARemovedNodesSessionEndsAtOnceAndItsCertificateOpensNoOther) {
    MemberSession member(channel(*worker_), "w1", "192.0.2.2");
    ASSERT_TRUE(member.welcomed());
    ASSERT_TRUE(member.beat());
    before_ = counters();
    grpc::ClientContext context;
    v1::NodeRemoveRequest request;
    request.set_node("w1");
    request.set_force(true);
    const auto began = std::chrono::steady_clock::now();
    const auto removal = v1::Control::NewStub(channel(*manager_))->NodeRemove(&context, request);
    const auto ended = member.end();
    EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
    EXPECT_EQ(ended.error_code(), StatusCode::PERMISSION_DENIED) << ended.error_message();
    v1::NodeRemoveProgress progress;
    while (removal->Read(&progress)) {
    }
    EXPECT_TRUE(removal->Finish().ok() && progress.done());

    const auto again = open_session(channel(*worker_));
    EXPECT_THAT(again.error_message(), HasSubstr("node 'w1' was removed from the cluster on "));
    expect_refused(again, StatusCode::PERMISSION_DENIED, "refused stranger");
}

// Whoever reads the log finds out who tried what, and from where if nothing else is known of the caller.
TEST_F(Hostile, EachRefusalLeavesALineThatNamesTheCaller) {
    const auto second = join("w2", "192.0.2.3");
    const auto nobody = channel(certs::joiner_credentials(*roots_).value());
    base::start_logging(base::LogLevel::kWarn);
    testing::internal::CaptureStderr();
    (void)list_nodes(nobody);
    expect_counted("refused no-certificate", 1);
    (void)list_nodes(channel(*worker_));
    expect_counted("refused role", 1);
    (void)list_nodes(channel(forge(somebody(certs::Role::kManager))));
    expect_counted("refused stranger", 1);
    (void)open_session(channel(forge(somebody(certs::Role::kWorker))));
    expect_counted("refused stranger", 2);
    (void)open_session(channel(second), "w1");
    expect_counted("refused other-node", 1);
    auto request = request_for(certs::PrivateKey::generate().value(), "w9", "192.0.2.9");
    request.set_token_secret(std::string(16, 'x'));
    v1::IssueCertificateReply reply;
    (void)issue(nobody, request, reply);
    expect_counted("refused join", 1);
    for (int i = 0; i < 200 && counters()["refused rate"] == 0; ++i) {
        grpc::ClientContext context;
        v1::GetRootsReply roots;
        (void)v1::Bootstrap::NewStub(nobody)->GetRoots(&context, {}, &roots);
    }
    expect_counted("refused rate", 1);
    std::vector<base::UniqueFd> open;
    open.reserve(300);
    for (int i = 0; i < 300; ++i) {
        open.push_back(connected_socket(port_, INADDR_LOOPBACK + 7));
    }
    expect_counted("refused connection", 1);
    const auto log = testing::internal::GetCapturedStderr();
    base::start_logging(base::LogLevel::kError);

    const auto lines = [&log](const std::string& text) {
        int found = 0;
        for (const auto line : base::split(log, '\n')) {
            found += line.find(" warning manager: " + text) != std::string_view::npos ? 1 : 0;
        }
        return found;
    };
    for (const auto* once : {"refused no-certificate: ipv4:127.0.0.1:", "refused role: ipv4:127.0.0.1:",
                             "refused stranger: ipv4:127.0.0.1:", "refused stranger: worker ",
                             "refused other-node: node w2 at ipv4:127.0.0.1:", "refused join: ipv4:127.0.0.1:"}) {
        EXPECT_EQ(lines(once), 1) << once << "\n" << log;
    }
    for (const auto* some : {"refused rate: ipv4:127.0.0.1:", "refused connection: ipv4:127.0.0.8:"}) {
        EXPECT_GE(lines(some), 1) << some << "\n" << log;
    }
}

// And of who does not get through the handshake, why.
TEST_F(Hostile, EachRefusedHandshakeLeavesALineThatSaysWhy) {
    const std::string ours = " info certs: handshake refused: ";
    const std::string grpcs = " info grpc: Handshake failed with fatal error SSL_ERROR_SSL: error:";
    struct Stranger {
        std::string line;
        std::function<void()> knock;
    };
    const auto garbage = [this] {
        const auto socket = connected_socket(port_, INADDR_LOOPBACK);
        EXPECT_GT(::send(socket.get(), "garbage garbage garbage", 23, MSG_NOSIGNAL), 0);
        (void)is_hung_up(socket, 10s);
    };
    const std::vector<Stranger> strangers{
        {ours + "client certificate: self-signed certificate in certificate chain",
         [this] { (void)list_nodes(channel(impostor())); }},
        {ours + "client certificate: certificate has expired", [this] { (void)list_nodes(channel(long_ago())); }},
        {ours + "client certificate: certificate is not yet valid", [this] { (void)list_nodes(channel(not_yet())); }},
        {ours + "peer certificate: is of cluster ", [this] { (void)open_session(channel(of_another_cluster())); }},
        {ours + "client certificate: unsuitable certificate purpose",
         [this] { (void)s_client(leaf_for("serverAuth")); }},
        {grpcs + "0A000102:SSL routines::unsupported protocol", [this] { (void)s_client("-tls1_2"); }},
        {grpcs + "0A00010B:SSL routines::wrong version number", garbage},
    };
    base::start_logging(base::LogLevel::kInfo);
    for (const auto& stranger : strangers) {
        const auto before = counters()[kHandshakes];
        testing::internal::CaptureStderr();
        stranger.knock();
        expect_counted(kHandshakes, before + 1);
        EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(stranger.line));
    }
    base::start_logging(base::LogLevel::kError);
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

}  // namespace
}  // namespace warren::manager
