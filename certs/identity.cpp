#include "certs/identity.h"

namespace warren::certs {

std::string_view name(Role role) {
    switch (role) {
        case Role::kManager:
            return "manager";
        case Role::kWorker:
            return "worker";
        case Role::kOperator:
            return "operator";
    }
    return "?";
}

base::Result<Role> parse_role(std::string_view what, std::string_view text) {
    for (const Role role : {Role::kManager, Role::kWorker, Role::kOperator}) {
        if (text == name(role)) {
            return role;
        }
    }
    return base::fail(base::Code::kInvalid, "{} '{:.64}': must be manager, worker or operator", what, text);
}

std::string Identity::text() const {
    return fmt::format("{} {} of cluster {}", name(role), node, cluster);
}

std::string spiffe_id(const Identity& identity) {
    return fmt::format("spiffe://{}/node/{}", identity.cluster, identity.node);
}

std::string manager_dns_name(const base::ClusterId& cluster) {
    return fmt::format("manager.{}", cluster);
}

}  // namespace warren::certs
