#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "agent/agent.h"
#include "proto/local.grpc.pb.h"

namespace warren::agent {

// What entering and leaving a cluster take beyond the agent: main has it, since it may start or stop a manager.
struct ClusterEntry {
    std::function<void(v1::ClusterInitRequest, Respond<v1::ClusterInfoReply>)> init;
    std::function<void(v1::ClusterJoinRequest, Respond<v1::ClusterInfoReply>)> join;
    std::function<void(v1::ClusterLeaveRequest, Respond<v1::ClusterLeaveReply>)> leave;
    std::function<base::Result<v1::ClusterLockReply>(const v1::ClusterLockRequest&)> lock;
    std::function<base::Result<v1::ClusterUnlockReply>(const v1::ClusterUnlockRequest&)> unlock;
    std::function<base::Result<v1::KekRotateReply>()> rotate_kek;
    std::function<void(v1::StatusReply&)> add_status;  // what a manager on this node has to tell
};

// The Local service: each call is posted to the loop and answered from there, once.
//
// Owner: main; lives longer than whoever answers. Registered with the local socket's server alone: the socket's
// permissions are what lets a caller in.
class LocalService final : public v1::Local::CallbackService {
  public:
    LocalService(asio::io_context& loop, Agent& agent, ClusterEntry entry)
        : loop_(&loop), agent_(&agent), entry_(std::move(entry)) {}
    // Who calls, from the connection's name; for the log lines of changes.
    void set_caller(std::function<std::string(const std::string&)> who) { who_ = std::move(who); }

    // On the loop, which runs no further: all that wait, and whoever comes, are told that the daemon stops. A server
    // does not end while a call has no answer.
    void stop();

    grpc::ServerUnaryReactor* ClusterInit(grpc::CallbackServerContext* context, const v1::ClusterInitRequest* request,
                                          v1::ClusterInfoReply* reply) override;
    grpc::ServerUnaryReactor* ClusterJoin(grpc::CallbackServerContext* context, const v1::ClusterJoinRequest* request,
                                          v1::ClusterInfoReply* reply) override;
    grpc::ServerUnaryReactor* ClusterLeave(grpc::CallbackServerContext* context, const v1::ClusterLeaveRequest* request,
                                           v1::ClusterLeaveReply* reply) override;
    grpc::ServerUnaryReactor* ClusterLock(grpc::CallbackServerContext* context, const v1::ClusterLockRequest* request,
                                          v1::ClusterLockReply* reply) override;
    grpc::ServerUnaryReactor* ClusterUnlock(grpc::CallbackServerContext* context,
                                            const v1::ClusterUnlockRequest* request,
                                            v1::ClusterUnlockReply* reply) override;
    grpc::ServerUnaryReactor* KekRotate(grpc::CallbackServerContext* context, const v1::KekRotateRequest* request,
                                        v1::KekRotateReply* reply) override;
    grpc::ServerUnaryReactor* ClusterInfo(grpc::CallbackServerContext* context, const v1::ClusterInfoRequest* request,
                                          v1::ClusterInfoReply* reply) override;
    grpc::ServerUnaryReactor* NetworkConnect(grpc::CallbackServerContext* context,
                                             const v1::NetworkConnectRequest* request,
                                             v1::NetworkConnectReply* reply) override;
    grpc::ServerUnaryReactor* NetworkDisconnect(grpc::CallbackServerContext* context,
                                                const v1::NetworkDisconnectRequest* request,
                                                v1::NetworkDisconnectReply* reply) override;
    grpc::ServerUnaryReactor* Doctor(grpc::CallbackServerContext* context, const v1::DoctorRequest* request,
                                     v1::DoctorReply* reply) override;
    grpc::ServerUnaryReactor* NetworkVerify(grpc::CallbackServerContext* context,
                                            const v1::NetworkVerifyRequest* request,
                                            v1::NetworkVerifyReply* reply) override;
    grpc::ServerUnaryReactor* CertShow(grpc::CallbackServerContext* context, const v1::CertShowRequest* request,
                                       v1::CertShowReply* reply) override;
    grpc::ServerUnaryReactor* CertRenew(grpc::CallbackServerContext* context, const v1::CertRenewRequest* request,
                                        v1::CertShowReply* reply) override;
    grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context, const v1::StatusRequest* request,
                                     v1::StatusReply* reply) override;

  private:
    asio::io_context* loop_;
    Agent* agent_;
    ClusterEntry entry_;
    std::function<std::string(const std::string&)> who_;
    std::mutex mutex_;
    std::set<grpc::ServerUnaryReactor*> waiting_;  // for an answer
    bool stopped_ = false;

    // False: it was told already that the daemon stops.
    [[nodiscard]] bool take(grpc::ServerUnaryReactor* reactor);
    template <typename Reply, typename Call>
    grpc::ServerUnaryReactor* posted(grpc::CallbackServerContext* context, Reply* reply, Call call);
    void log_change(const grpc::CallbackServerContext& context, std::string_view what) const;
};

}  // namespace warren::agent
