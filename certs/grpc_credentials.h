#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "base/result.h"
#include "certs/node_identity.h"

namespace grpc {
class AuthContext;
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

// The only place that makes TLS credentials for gRPC. All of them speak TLS 1.3 only (see tls_policy.h). They hold
// copies of what they are given; any thread.
namespace warren::certs {

// For a manager's port. A client's certificate is asked for; one that is sent must chain to the roots, be a leaf of
// ours (see parse_leaf()) and of this cluster, or the connection ends. A client without one gets in: what it may call
// is the services' to say, by peer_identity().
[[nodiscard]] base::Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(const NodeIdentity& self);
// The same for a server that lives longer than its certificate: key, certificate and roots are those in the directory's
// files (see save_identity()), which are looked at every second. Connections that are there stay as they are.
[[nodiscard]] base::Result<std::shared_ptr<grpc::ServerCredentials>> server_credentials(
    const NodeIdentity& self, const std::filesystem::path& directory);

// For calls of a node or operator to a manager: the server must be a manager of the same cluster, whatever address it
// was called at.
[[nodiscard]] base::Result<std::shared_ptr<grpc::ChannelCredentials>> member_credentials(const NodeIdentity& self);

// For the first call of a joiner, GetRoots, and no other: encrypts, but believes anybody. What comes back counts only
// after JoinToken::trusted().
[[nodiscard]] base::Result<std::shared_ptr<grpc::ChannelCredentials>> unverified_credentials();

// For the second call of a joiner, with the roots that its token pins, and for a node whose own certificate does not
// serve any more: no client certificate; the server must be a manager whose certificate chains to the roots, of
// `cluster` if that is known.
[[nodiscard]] base::Result<std::shared_ptr<grpc::ChannelCredentials>> joiner_credentials(
    const Roots& roots, const std::optional<base::ClusterId>& cluster = std::nullopt);

// Who is at the other end of a call: nothing without a client certificate (also on a local socket), else what the
// certificate says, which the handshake has verified. kDenied when the certificate is not one of ours.
[[nodiscard]] base::Result<std::optional<Identity>> peer_identity(const grpc::AuthContext& context);

// Sends gRPC's own log lines to ours instead of raw to stderr: its errors (a refused handshake, a port in use) as info,
// because the calls concerned fail with an error of their own; everything below is dropped. A flood of them becomes a
// line a second. Call once, in main.
void adopt_grpc_log();

}  // namespace warren::certs
