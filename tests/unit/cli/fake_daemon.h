#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "cli/run.h"
#include "proto/control.grpc.pb.h"
#include "proto/local.grpc.pb.h"
#include "sample.h"
#include "tests/test_directory.h"

namespace warren::cli {

// gRPC orders what a test prepares, what a call does with it and what the test then reads; a sanitizer that does not
// see into gRPC learns it from this.
inline void pass(const std::function<void()>& work) {
    static std::mutex mutex;
    const std::lock_guard guard(mutex);
    work();
}

// One method of the fake daemon: notes what it is asked and answers what the test put there.
template <typename Request, typename Reply>
struct Answer {
    std::vector<Request> asked;
    Reply reply;
    grpc::Status status;

    grpc::Status operator()(const Request* request, Reply* out) {
        grpc::Status answer;
        pass([&] {
            asked.push_back(*request);
            *out = reply;
            answer = status;
        });
        return answer;
    }
};

struct FakeLocal final : v1::Local::Service {
    Answer<v1::ClusterInitRequest, v1::ClusterInfoReply> init;
    Answer<v1::ClusterJoinRequest, v1::ClusterInfoReply> join;
    Answer<v1::ClusterInfoRequest, v1::ClusterInfoReply> info;
    Answer<v1::ClusterLeaveRequest, v1::ClusterLeaveReply> leave;
    Answer<v1::NetworkConnectRequest, v1::NetworkConnectReply> connect;
    Answer<v1::NetworkDisconnectRequest, v1::NetworkDisconnectReply> disconnect;
    Answer<v1::StatusRequest, v1::StatusReply> status;
    std::vector<v1::ClusterLockRequest> lock_asked;
    std::function<grpc::Status(const v1::ClusterLockRequest&, v1::ClusterLockReply&)> lock;
    Answer<v1::ClusterUnlockRequest, v1::ClusterUnlockReply> unlock;
    Answer<v1::KekRotateRequest, v1::KekRotateReply> rotate_kek;

    using Context = grpc::ServerContext;
    grpc::Status ClusterInit(Context* /*c*/, const v1::ClusterInitRequest* q, v1::ClusterInfoReply* r) override {
        return init(q, r);
    }
    grpc::Status ClusterJoin(Context* /*c*/, const v1::ClusterJoinRequest* q, v1::ClusterInfoReply* r) override {
        return join(q, r);
    }
    grpc::Status ClusterInfo(Context* /*c*/, const v1::ClusterInfoRequest* q, v1::ClusterInfoReply* r) override {
        return info(q, r);
    }
    grpc::Status ClusterLeave(Context* /*c*/, const v1::ClusterLeaveRequest* q, v1::ClusterLeaveReply* r) override {
        return leave(q, r);
    }
    grpc::Status ClusterLock(Context* /*c*/, const v1::ClusterLockRequest* q, v1::ClusterLockReply* r) override {
        pass([&] { lock_asked.push_back(*q); });
        return lock(*q, *r);
    }
    grpc::Status ClusterUnlock(Context* /*c*/, const v1::ClusterUnlockRequest* q, v1::ClusterUnlockReply* r) override {
        return unlock(q, r);
    }
    grpc::Status KekRotate(Context* /*c*/, const v1::KekRotateRequest* q, v1::KekRotateReply* r) override {
        return rotate_kek(q, r);
    }
    grpc::Status NetworkConnect(Context* /*c*/, const v1::NetworkConnectRequest* q,
                                v1::NetworkConnectReply* r) override {
        return connect(q, r);
    }
    grpc::Status NetworkDisconnect(Context* /*c*/, const v1::NetworkDisconnectRequest* q,
                                   v1::NetworkDisconnectReply* r) override {
        return disconnect(q, r);
    }
    grpc::Status Status(Context* /*c*/, const v1::StatusRequest* q, v1::StatusReply* r) override {
        return status(q, r);
    }
};

struct FakeControl final : v1::Control::Service {
    Answer<v1::TokenShowRequest, v1::TokenShowReply> token;
    Answer<v1::TokenRotateRequest, v1::TokenShowReply> rotate_token;
    Answer<v1::NodeListRequest, v1::NodeListReply> nodes;
    Answer<v1::NodeInspectRequest, v1::Node> node;
    std::function<grpc::Status(const v1::CertIssueRequest&, v1::CertIssueReply&)> issue;
    Answer<v1::CertListRequest, v1::CertListReply> certificates;
    Answer<v1::CertRevokeRequest, v1::CertListReply> revoke;
    std::vector<v1::NodeRemoveRequest> remove_node_asked;
    std::vector<v1::NodeRemoveProgress> remove_node_told;
    grpc::Status remove_node_status;
    Answer<v1::NetworkCreateRequest, v1::Network> create;
    Answer<v1::NetworkListRequest, v1::NetworkListReply> networks;
    Answer<v1::NetworkInspectRequest, v1::Network> network;
    // Removing: by name, an error or a reply with that name.
    std::vector<std::string> remove_asked;
    std::function<grpc::Status(const std::string&)> remove = [](const std::string&) { return grpc::Status::OK; };
    Answer<v1::EndpointListRequest, v1::EndpointListReply> endpoints;
    Answer<v1::KeyListRequest, v1::KeyListReply> keys;
    Answer<v1::KeyStatusRequest, v1::KeyStatusReply> key_status;
    Answer<v1::KeyAbortRequest, v1::KeyAbortReply> abort;
    Answer<v1::KeyHistoryRequest, v1::KeyHistoryReply> history;
    Answer<v1::NetworkUpdateRequest, v1::Network> update;
    std::vector<v1::KeyRotateRequest> rotate_asked;
    std::function<grpc::Status(grpc::ServerContext&, grpc::ServerWriter<v1::RotationProgress>&)> rotate;
    std::function<grpc::Status(const v1::KeyRotateRequest&, grpc::ServerWriter<v1::RotationProgress>&)> rotate_network;

    std::vector<v1::EventsRequest> events_asked;
    std::function<grpc::Status(grpc::ServerContext&, grpc::ServerWriter<v1::EventsReply>&)> events;

    using Context = grpc::ServerContext;
    grpc::Status TokenShow(Context* /*c*/, const v1::TokenShowRequest* q, v1::TokenShowReply* r) override {
        return token(q, r);
    }
    grpc::Status TokenRotate(Context* /*c*/, const v1::TokenRotateRequest* q, v1::TokenShowReply* r) override {
        return rotate_token(q, r);
    }
    grpc::Status NodeList(Context* /*c*/, const v1::NodeListRequest* q, v1::NodeListReply* r) override {
        return nodes(q, r);
    }
    grpc::Status NodeInspect(Context* /*c*/, const v1::NodeInspectRequest* q, v1::Node* r) override {
        return node(q, r);
    }
    grpc::Status CertIssue(Context* /*c*/, const v1::CertIssueRequest* q, v1::CertIssueReply* r) override {
        return issue(*q, *r);
    }
    grpc::Status CertList(Context* /*c*/, const v1::CertListRequest* q, v1::CertListReply* r) override {
        return certificates(q, r);
    }
    grpc::Status CertRevoke(Context* /*c*/, const v1::CertRevokeRequest* q, v1::CertListReply* r) override {
        return revoke(q, r);
    }
    grpc::Status NodeRemove(Context* /*c*/, const v1::NodeRemoveRequest* q,
                            grpc::ServerWriter<v1::NodeRemoveProgress>* writer) override {
        std::vector<v1::NodeRemoveProgress> told;
        grpc::Status answer;
        pass([&] {
            remove_node_asked.push_back(*q);
            told = remove_node_told;
            answer = remove_node_status;
        });
        for (const auto& progress : told) {
            writer->Write(progress);
        }
        return answer;
    }
    grpc::Status NetworkCreate(Context* /*c*/, const v1::NetworkCreateRequest* q, v1::Network* r) override {
        return create(q, r);
    }
    grpc::Status NetworkList(Context* /*c*/, const v1::NetworkListRequest* q, v1::NetworkListReply* r) override {
        return networks(q, r);
    }
    grpc::Status NetworkInspect(Context* /*c*/, const v1::NetworkInspectRequest* q, v1::Network* r) override {
        return network(q, r);
    }
    grpc::Status NetworkRemove(Context* /*c*/, const v1::NetworkRemoveRequest* q, v1::NetworkRemoveReply* r) override {
        pass([&] { remove_asked.push_back(q->network()); });
        r->set_name(q->network());
        return remove(q->network());
    }
    grpc::Status EndpointList(Context* /*c*/, const v1::EndpointListRequest* q, v1::EndpointListReply* r) override {
        return endpoints(q, r);
    }
    grpc::Status KeyList(Context* /*c*/, const v1::KeyListRequest* q, v1::KeyListReply* r) override {
        return keys(q, r);
    }
    grpc::Status KeyStatus(Context* /*c*/, const v1::KeyStatusRequest* q, v1::KeyStatusReply* r) override {
        return key_status(q, r);
    }
    grpc::Status KeyAbort(Context* /*c*/, const v1::KeyAbortRequest* q, v1::KeyAbortReply* r) override {
        return abort(q, r);
    }
    grpc::Status KeyHistory(Context* /*c*/, const v1::KeyHistoryRequest* q, v1::KeyHistoryReply* r) override {
        return history(q, r);
    }
    grpc::Status NetworkUpdate(Context* /*c*/, const v1::NetworkUpdateRequest* q, v1::Network* r) override {
        return update(q, r);
    }
    grpc::Status KeyRotate(Context* context, const v1::KeyRotateRequest* q,
                           grpc::ServerWriter<v1::RotationProgress>* writer) override {
        pass([&] { rotate_asked.push_back(*q); });
        return rotate_network ? rotate_network(*q, *writer) : rotate(*context, *writer);
    }
    grpc::Status Events(Context* context, const v1::EventsRequest* q,
                        grpc::ServerWriter<v1::EventsReply>* writer) override {
        pass([&] { events_asked.push_back(*q); });
        return events(*context, *writer);
    }
};

// What a run of the program left behind.
struct Outcome {
    Exit exit = Exit::kDone;
    std::string out;
    std::string err;
};

// A directory of the test's own, and the program run against the socket in it.
class ProgramTest : public testing::Test {
  public:
    [[nodiscard]] std::string socket() const { return directory() / "warren.sock"; }
    [[nodiscard]] const std::filesystem::path& directory() const { return directory_.path(); }

    // As on a pipe.
    [[nodiscard]] Outcome warren(const std::vector<std::string>& arguments) const {
        return on_terminal(arguments, false, 0);
    }
    [[nodiscard]] Outcome on_terminal(const std::vector<std::string>& arguments, bool live, std::size_t width) const {
        std::ostringstream out;
        std::ostringstream err;
        const Environment environment{.warren_host = "unix://" + socket(), .working_directory = "/"};
        View view = kSampleView;
        view.colour = live;
        pass([] {});
        const Exit exit =
            run(arguments, environment, {.out = out, .err = err, .view = view, .live = live, .width = width});
        pass([] {});
        return {.exit = exit, .out = out.str(), .err = err.str()};
    }

  private:
    TestDirectory directory_;
};

// The program against a daemon that answers what the test says.
class DaemonTest : public ProgramTest {
  public:
    DaemonTest() {
        grpc::ServerBuilder builder;
        builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
        builder.RegisterService(&local);
        builder.RegisterService(&control);
        server_ = builder.BuildAndStart();
    }
    ~DaemonTest() override { server_->Shutdown(); }
    DaemonTest(const DaemonTest&) = delete;
    DaemonTest& operator=(const DaemonTest&) = delete;

    FakeLocal local;
    FakeControl control;

  private:
    std::unique_ptr<grpc::Server> server_;
};

}  // namespace warren::cli
