#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace warren::certs {

// What the holder of a certificate may do; the text form is the subject's OU.
enum class Role : std::uint8_t { kManager, kWorker, kOperator };

[[nodiscard]] std::string_view name(Role role);  // "manager", "worker", "operator"
[[nodiscard]] base::Result<Role> parse_role(std::string_view what, std::string_view text);

// Who a certificate speaks for. The node id of an operator names the operator's certificate: no host has it.
struct Identity {
    base::ClusterId cluster;
    base::NodeId node;
    Role role = Role::kWorker;

    [[nodiscard]] std::string text() const;  // "worker <node id> of cluster <cluster id>", for logs and errors
    auto operator<=>(const Identity&) const = default;
};

// The URI name that carries the identity: spiffe://<cluster id>/node/<node id> (SPIFFE-ID, section 2).
[[nodiscard]] std::string spiffe_id(const Identity& identity);

// The DNS name that only managers' certificates carry, so that a client can tell that it talks to a manager of its own
// cluster: manager.<cluster id>. It is never looked up.
[[nodiscard]] std::string manager_dns_name(const base::ClusterId& cluster);

}  // namespace warren::certs
