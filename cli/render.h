#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "cli/text.h"
#include "proto/control.pb.h"
#include "proto/local.pb.h"

// What people see of each answer: pure functions from the API's message to text that ends in a newline.
namespace warren::cli {

// `join_command` may be empty: then it says how to get it.
[[nodiscard]] std::string render_initialised(const v1::ClusterInfoReply& reply, std::string_view join_command);
[[nodiscard]] std::string render_joined(const v1::ClusterInfoReply& reply);
[[nodiscard]] std::string render_left(const v1::ClusterLeaveReply& reply);
[[nodiscard]] std::string render_unlock_key(const v1::ClusterLockReply& offer);
[[nodiscard]] std::string render_locked();
[[nodiscard]] std::string render_unlocked(const v1::ClusterUnlockReply& reply, bool permanently);
[[nodiscard]] std::string render_kek_rotated(const v1::KekRotateReply& reply);
[[nodiscard]] std::string render_cluster(const v1::ClusterInfoReply& reply, const View& view);
[[nodiscard]] std::string render_token(const v1::TokenShowReply& reply, bool quiet, const View& view);
[[nodiscard]] std::string render_nodes(const v1::NodeListReply& reply, bool quiet, const View& view);
[[nodiscard]] std::string render_node(const v1::Node& node, const View& view);

[[nodiscard]] std::string render_certificates(const v1::CertListReply& reply, const View& view);
[[nodiscard]] std::string render_revoked(const v1::CertListReply& reply);
// How to use the directory that a certificate was written to.
[[nodiscard]] std::string render_issued(const v1::CertIssueReply& reply, const std::string& directory,
                                        const View& view);

// One line without its newline: "net1: keys before epoch 5 are deleted on 1 of 2 members, not yet on h2".
[[nodiscard]] std::string purge_line(const v1::KeyPurge& purge);

[[nodiscard]] std::string render_networks(const v1::NetworkListReply& reply, bool quiet, const View& view);
[[nodiscard]] std::string render_network(const v1::Network& network, bool verbose, const View& view);
[[nodiscard]] std::string render_connected(const v1::NetworkConnectReply& reply);
[[nodiscard]] std::string render_endpoints(const v1::EndpointListReply& reply, const View& view);
// `gateways` of the networks that the container is in, its own first: whom it may ask for names.
[[nodiscard]] std::string render_endpoint(const v1::Endpoint& endpoint, const std::vector<std::string>& gateways,
                                          const View& view);

[[nodiscard]] std::string render_keys(const v1::KeyListReply& reply, const View& view);
[[nodiscard]] std::string render_key_status(const v1::KeyStatusReply& reply, const View& view);

[[nodiscard]] std::string render_aborted(const v1::KeyAbortReply& reply, const View& view);

[[nodiscard]] std::string render_history(const v1::KeyHistoryReply& reply, const View& view);

// One line without its newline: "net1: epoch 4  installed 3/3  active 3/3  retiring 1/3  without host4 (unreachable 3m
// 5s)".
[[nodiscard]] std::string rotation_line(const v1::RotationProgress& progress, base::Time now);
// Who is waited for, for below it; lines without newlines.
[[nodiscard]] std::vector<std::string> late_lines(const v1::RotationProgress& progress);

// What became of the rotation of one of several networks.
struct RotationResult {
    std::string network;
    std::uint32_t epoch = 0;
    std::string result;  // done, aborted, removed, failed, not asked for
    base::Duration elapsed{};
    std::string without{};  // members that have not got the epoch
};
[[nodiscard]] std::string render_rotations(const std::vector<RotationResult>& results, const View& view);

// The columns of `events`, and one event under them.
[[nodiscard]] std::string events_header();
[[nodiscard]] std::string event_line(const v1::Event& event);
[[nodiscard]] std::string render_authority(const v1::CaShowReply& reply, const View& view);
// One line without its newline: "moving: 2 of 3 nodes, waiting for host3".
[[nodiscard]] std::string authority_line(const v1::CaShowReply& reply);
// Which operators a rotation of the CA shuts out, and what to do, where there are any.
[[nodiscard]] std::string operators_line(const v1::CaShowReply& reply);
[[nodiscard]] std::string render_certificate(const v1::CertShowReply& reply, const View& view);

[[nodiscard]] std::string render_verified(const v1::NetworkVerifyReply& reply, const View& view);
[[nodiscard]] std::string render_doctor(const v1::DoctorReply& reply, const View& view);
[[nodiscard]] std::string render_status(const v1::StatusReply& reply, const View& view);

}  // namespace warren::cli
