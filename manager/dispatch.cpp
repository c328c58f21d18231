#include "manager/dispatch.h"

#include <grpcpp/security/auth_context.h>

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

v1::Role wire_role(certs::Role role) {
    switch (role) {
        case certs::Role::kManager:
            return v1::ROLE_MANAGER;
        case certs::Role::kWorker:
            return v1::ROLE_WORKER;
        case certs::Role::kOperator:
            return v1::ROLE_OPERATOR;
    }
    return v1::ROLE_UNSPECIFIED;
}

}  // namespace

base::Status authorise(const grpc::AuthContext& context, const std::string& method, const base::ClusterId& cluster) {
    const auto allowed = proto::allowed_roles(method);
    if (allowed.contains(v1::ROLE_ANYONE)) {
        return {};
    }
    WARREN_TRY_ASSIGN(const auto peer, certs::peer_identity(context));
    if (!peer) {
        return fail(Code::kDenied, "{}: needs a client certificate of this cluster", method);
    }
    if (peer->cluster != cluster) {
        return fail(Code::kDenied, "{}: {} is of another cluster", method, peer->text());
    }
    if (!allowed.contains(wire_role(peer->role))) {
        return fail(Code::kDenied, "{}: not allowed to {}", method, peer->text());
    }
    return {};
}

base::Result<std::shared_ptr<const Dispatch::Target>> Dispatch::admit(const grpc::CallbackServerContext& context,
                                                                      const std::string& method, Access access) const {
    auto current = target();
    if (!current) {
        return fail(
            Code::kPrecondition,
            "no manager runs on this host: run the command on a manager (warren cluster info names them), or make a "
            "cluster with warren cluster init");
    }
    if (access == Access::kRemote) {
        if (auto allowed = authorise(*context.auth_context(), method, current->cluster); !allowed) {
            base::Log{"manager"}.warn("refused {}: {}", context.peer(), allowed.error().message());
            asio::post(*current->loop, [current, caller = std::string(context.peer()), why = allowed.error()] {
                current->core->note_refusal(caller, why);
                current->ran();
            });
            return base::fail_with(std::move(allowed));
        }
    }
    return current;
}

}  // namespace warren::manager
