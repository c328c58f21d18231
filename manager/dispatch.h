#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "base/log.h"
#include "certs/grpc_credentials.h"
#include "manager/core.h"
#include "proto/access.h"
#include "proto/status.h"

namespace warren::manager {

// Why a call was not let in.
struct Denial {
    Refusal kind;
    base::Error error;
};
// Who may call a method on a TCP port: the roles that its .proto names, shown by the certificate of the connection. A
// method that names no role is refused to everybody.
[[nodiscard]] std::optional<Denial> denial(const grpc::AuthContext& context, const std::string& method,
                                           const base::ClusterId& cluster);

// The way from gRPC's threads to the core. Any thread may call.
class Dispatch {
  public:
    enum class Access : std::uint8_t { kRemote, kLocal };

    // Null core: this node is no manager (now).
    struct Target {
        asio::io_context* loop = nullptr;
        Core* core = nullptr;
        base::ClusterId cluster;
        std::function<void()> ran;  // after each call on the core, on its thread
    };
    void set(std::shared_ptr<const Target> target) { std::atomic_store(&target_, std::move(target)); }
    [[nodiscard]] std::shared_ptr<const Target> target() const { return std::atomic_load(&target_); }

    // What calls are told while there is no target; empty: that this host has no manager.
    void set_absence(std::string why) {
        std::atomic_store(&absence_, std::make_shared<const std::string>(std::move(why)));
    }

    // The target, if the caller may call the method on it; a caller who may not is noted in the log of events.
    [[nodiscard]] base::Result<std::shared_ptr<const Target>> admit(const grpc::CallbackServerContext& context,
                                                                    const std::string& method, Access access) const;

    // Whose certificate the call shows: nobody's on the local socket, and without one.
    [[nodiscard]] static std::optional<certs::Identity> identity_of(const grpc::CallbackServerContext& context,
                                                                    Access access);

    // Runs one call, (Core&, const Request&) -> Result<Reply>, on the core's thread, in the name of `caller`, and
    // finishes it with the outcome. Who is not in the cluster any more is refused there. `request` and `reply` are
    // gRPC's and live until then.
    template <typename Call, typename Request, typename Reply>
    grpc::ServerUnaryReactor* unary(grpc::CallbackServerContext& context, const std::string& caller,
                                    const std::string& method, Access access, Call call, const Request* request,
                                    Reply* reply) const {
        auto* reactor = context.DefaultReactor();
        auto target = admit(context, method, access);
        if (!target) {
            reactor->Finish(proto::to_grpc(target.error()));
            return reactor;
        }
        const auto who = identity_of(context, access);
        asio::post(*(*target)->loop, [target = *target, reactor, call, request, reply, caller, who] {
            target->core->set_caller(caller);
            const auto known = target->core->check_caller(who);
            auto result = known ? std::invoke(call, *target->core, *request)
                                : base::Result<Reply>(tl::unexpected<base::Error>(known.error()));
            if (result) {
                *reply = *std::move(result);
                reactor->Finish(grpc::Status::OK);
            } else {
                if (result.error().code() == base::Code::kDenied) {
                    target->core->note_refusal(known ? Refusal::kJoin : Refusal::kStranger, caller, result.error());
                }
                reactor->Finish(proto::to_grpc(result.error()));
            }
            target->ran();
        });
        return reactor;
    }

  private:
    std::shared_ptr<const Target> target_;
    std::shared_ptr<const std::string> absence_ = std::make_shared<const std::string>();
};

}  // namespace warren::manager
