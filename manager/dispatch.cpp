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

std::optional<Denial> denial(const grpc::AuthContext& context, const std::string& method,
                             const base::ClusterId& cluster) {
    const auto allowed = proto::allowed_roles(method);
    if (allowed.contains(v1::ROLE_ANYONE)) {
        return std::nullopt;
    }
    const auto because = [](Refusal kind, std::string why) {
        return Denial{.kind = kind, .error = base::Error(Code::kDenied, std::move(why))};
    };
    const auto peer = certs::peer_identity(context);
    if (!peer) {
        return because(Refusal::kStranger, peer.error().message());
    }
    if (!*peer) {
        return because(Refusal::kNoCertificate, fmt::format("{}: needs a client certificate of this cluster", method));
    }
    if ((*peer)->cluster != cluster) {
        return because(Refusal::kCluster, fmt::format("{}: {} is of another cluster", method, (*peer)->text()));
    }
    if (!allowed.contains(wire_role((*peer)->role))) {
        return because(Refusal::kRole, fmt::format("{}: not allowed to {}", method, (*peer)->text()));
    }
    return std::nullopt;
}

std::optional<certs::Identity> Dispatch::identity_of(const grpc::CallbackServerContext& context, Access access) {
    if (access == Access::kLocal) {
        return std::nullopt;
    }
    return certs::peer_identity(*context.auth_context()).value_or(std::nullopt);
}

base::Result<std::shared_ptr<const Dispatch::Target>> Dispatch::admit(const grpc::CallbackServerContext& context,
                                                                      const std::string& method, Access access) const {
    auto current = target();
    if (const auto absence = std::atomic_load(&absence_); !current && !absence->empty()) {
        return fail(Code::kPrecondition, "{}", *absence);
    }
    if (!current) {
        return fail(
            Code::kPrecondition,
            "no manager runs on this host: run the command on a manager (warren cluster info names them), or make a "
            "cluster with warren cluster init");
    }
    if (access == Access::kRemote) {
        if (auto denied = denial(*context.auth_context(), method, current->cluster)) {
            asio::post(*current->loop, [current, caller = std::string(context.peer()), denied = *denied] {
                current->core->note_refusal(denied.kind, caller, denied.error);
                current->ran();
            });
            return tl::unexpected<base::Error>(std::move(denied->error));
        }
    }
    return current;
}

}  // namespace warren::manager
