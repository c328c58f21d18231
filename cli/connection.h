#pragma once

#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "cli/command.h"
#include "proto/control.grpc.pb.h"
#include "proto/local.grpc.pb.h"

namespace warren::cli {

// A call of a generated stub.
template <typename Stub, typename Request, typename Reply>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Reply*);

// The daemon's socket, connected, or the way to a manager. Errors of code kUnavailable mean that there is no talking to
// it; every other code is its own answer. Any thread.
class Connection {
  public:
    // A socket is connected at once, so that the reason of a failure is the system's own; a manager with the first
    // call.
    [[nodiscard]] static base::Result<Connection> open(const Destination& destination, base::Time now);

    template <typename Stub, typename Request, typename Reply>
    [[nodiscard]] base::Result<Reply> call(Method<Stub, Request, Reply> method, const Request& request,
                                           std::chrono::seconds limit) const {
        if constexpr (std::is_same_v<Stub, v1::Local::Stub>) {
            WARREN_TRY(check_local());
        }
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + limit);
        Reply reply;
        const grpc::Status status = (stub<Stub>().*method)(&context, request, &reply);
        if (!status.ok()) {
            return tl::unexpected(failure(status));
        }
        return reply;
    }

    template <typename Stub>
    [[nodiscard]] Stub& stub() const {
        if constexpr (std::is_same_v<Stub, v1::Local::Stub>) {
            return *local_;
        } else {
            return *control_;
        }
    }

    // What a failed call means to the user.
    [[nodiscard]] base::Error failure(const grpc::Status& status) const;

  private:
    Connection(const Destination& destination, const std::shared_ptr<grpc::Channel>& channel);

    [[nodiscard]] base::Status check_local() const;

    Destination destination_;
    std::unique_ptr<v1::Local::Stub> local_;
    std::unique_ptr<v1::Control::Stub> control_;
};

}  // namespace warren::cli
