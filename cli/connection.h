#pragma once

#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "proto/control.grpc.pb.h"
#include "proto/local.grpc.pb.h"

namespace warren::cli {

// A call of a generated stub.
template <typename Stub, typename Request, typename Reply>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Reply*);

// The daemon's socket, connected. Errors of code kUnavailable mean that there is no talking to the daemon; every other
// code is the daemon's own answer. Any thread.
class Connection {
  public:
    // Connects at once, so that the reason of a failure is the system's own.
    [[nodiscard]] static base::Result<Connection> open(const std::string& socket);

    template <typename Stub, typename Request, typename Reply>
    [[nodiscard]] base::Result<Reply> call(Method<Stub, Request, Reply> method, const Request& request,
                                           std::chrono::seconds limit) const {
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
    Connection(std::string socket, const std::shared_ptr<grpc::Channel>& channel);

    std::string socket_;
    std::unique_ptr<v1::Local::Stub> local_;
    std::unique_ptr<v1::Control::Stub> control_;
};

}  // namespace warren::cli
