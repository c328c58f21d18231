#include "agent/departure.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>

#include <chrono>

#include "certs/grpc_credentials.h"
#include "proto/session.grpc.pb.h"
#include "proto/status.h"

namespace warren::agent {

namespace {

constexpr std::chrono::seconds kPatience{10};

}  // namespace

base::Status announce_departure(const Membership& membership, bool force) {
    const auto& manager = membership.config.managers(0);
    WARREN_TRY_ASSIGN(auto credentials, certs::member_credentials(membership.identity));
    const auto stub = v1::Sessions::NewStub(grpc::CreateChannel(manager, credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::LeaveRequest request;
    request.set_force(force);
    v1::LeaveReply reply;
    const auto status = stub->Leave(&context, request, &reply);
    if (status.ok()) {
        return {};
    }
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
        return base::fail(base::Code::kUnavailable, "manager {} can't be reached: {}", manager,
                          proto::plain_reason(status.error_message()));
    }
    return tl::unexpected<base::Error>(proto::from_grpc(status));
}

}  // namespace warren::agent
