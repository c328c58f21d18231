#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/random.h"
#include "base/time.h"
#include "certs/authority.h"
#include "certs/identity.h"
#include "certs/token.h"
#include "manager/authority_rotation.h"
#include "manager/certificates.h"
#include "manager/event_feed.h"
#include "manager/lasting_calls.h"
#include "manager/ledger.h"
#include "manager/mtu_follower.h"
#include "manager/peer_relay.h"
#include "manager/refusals.h"
#include "manager/removals.h"
#include "manager/rotations.h"
#include "manager/session_hub.h"
#include "manager/vault.h"
#include "proto/bootstrap.pb.h"
#include "proto/control.pb.h"
#include "proto/session.pb.h"

namespace warren::manager {

struct CoreOptions {
    base::Clock now = base::system_now;
    // By how much that clock was set since this was last asked; empty: it never is.
    std::function<base::Duration()> clock_set_by{};
    base::Duration heartbeat = std::chrono::seconds(5);  // what agents are asked for; three missed end a session
    base::NodeId self;                                   // the node this manager runs on
    base::Duration shortest_leaf = certs::kShortestLeafLifetime;  // only tests have another
    base::Duration mtu_patience = MtuPace::kPatience;             // the same
};

// The control plane without its transport: what the bootstrap, control and session services do.
//
// Owner: manager::Server. Thread: the manager's loop, for every call. Each change of state is one transaction; a
// refused request changes nothing.
class Core {
  public:
    [[nodiscard]] static base::Result<std::unique_ptr<Core>> open(store::Store& store, Vault vault,
                                                                  CoreOptions options);

    [[nodiscard]] base::ClusterId cluster_id() const { return cluster().id(); }
    // Where nodes may call from.
    [[nodiscard]] std::set<base::IpAddress> node_addresses() const;

    // Who makes the bootstrap or control call that comes next; for the events that it causes.
    void set_caller(std::string who) { caller_ = std::move(who); }
    // Notes that a request was refused because of who made it. The caller of the request has been told already.
    void note_refusal(Refusal kind, const std::string& by, const base::Error& why);

    // Bootstrap
    [[nodiscard]] base::Result<v1::GetRootsReply> roots(const v1::GetRootsRequest& request);
    [[nodiscard]] base::Result<v1::IssueCertificateReply> issue_certificate(const v1::IssueCertificateRequest& request);
    [[nodiscard]] base::Result<v1::GetChallengeReply> get_challenge(const v1::GetChallengeRequest& request);
    [[nodiscard]] base::Result<v1::ReadmitReply> readmit(const v1::ReadmitRequest& request);
    // For this manager's own node, by who runs in the same process.
    [[nodiscard]] base::Result<v1::ReadmitReply> renew_own(const std::string& request_pem);

    // Control
    [[nodiscard]] base::Result<v1::TokenShowReply> token_show(const v1::TokenShowRequest& request);
    [[nodiscard]] base::Result<v1::TokenShowReply> token_rotate(const v1::TokenRotateRequest& request);
    [[nodiscard]] base::Result<v1::NodeListReply> node_list(const v1::NodeListRequest& request);
    [[nodiscard]] base::Result<v1::Node> node_inspect(const v1::NodeInspectRequest& request);
    // Removes a node, or finds one that was removed; `report` is called as in key_rotate().
    [[nodiscard]] base::Result<RemovalWatchId> node_remove(const v1::NodeRemoveRequest& request,
                                                           Removals::Report report);
    void end_watch(RemovalWatchId watch) { removals_.end_watch(watch); }
    [[nodiscard]] base::Result<v1::CertIssueReply> cert_issue(const v1::CertIssueRequest& request);
    [[nodiscard]] base::Result<v1::CertListReply> cert_list(const v1::CertListRequest& request);
    [[nodiscard]] base::Result<v1::CertListReply> cert_revoke(const v1::CertRevokeRequest& request);
    [[nodiscard]] base::Result<v1::Network> network_create(const v1::NetworkCreateRequest& request);
    [[nodiscard]] base::Result<v1::NetworkListReply> network_list(const v1::NetworkListRequest& request);
    [[nodiscard]] base::Result<v1::Network> network_inspect(const v1::NetworkInspectRequest& request);
    [[nodiscard]] base::Result<v1::Network> network_update(const v1::NetworkUpdateRequest& request);
    [[nodiscard]] base::Result<v1::NetworkRemoveReply> network_remove(const v1::NetworkRemoveRequest& request);
    [[nodiscard]] base::Result<v1::EndpointListReply> endpoint_list(const v1::EndpointListRequest& request);
    [[nodiscard]] base::Result<v1::KeyListReply> key_list(const v1::KeyListRequest& request);
    [[nodiscard]] base::Result<v1::KeyStatusReply> key_status(const v1::KeyStatusRequest& request);

    [[nodiscard]] base::Result<v1::CaShowReply> ca_show(const v1::CaShowRequest& request);
    [[nodiscard]] base::Result<v1::CaShowReply> ca_rotate(const v1::CaRotateRequest& request);

    // Asks for a rotation; `report` is called at once and with every change until the returned watch is ended or a
    // progress says done.
    using Report = Rotations::Report;
    [[nodiscard]] base::Result<RotationWatchId> key_rotate(const v1::KeyRotateRequest& request, Report report);
    void end_watch(RotationWatchId watch) { rotations_.end_watch(watch); }
    [[nodiscard]] base::Result<v1::KeyAbortReply> key_abort(const v1::KeyAbortRequest& request);
    [[nodiscard]] base::Result<v1::KeyHistoryReply> key_history(const v1::KeyHistoryRequest& request);

    // Seals everything under `next`; how many secrets that were. Whatever it is interrupted by, the next call goes on,
    // in a vault that has both keys.
    [[nodiscard]] base::Result<std::uint32_t> change_kek(keymgr::KeyEncryptionKey next);

    // Reports what the log of events has, and with follow what comes, until the watch is ended.
    [[nodiscard]] base::Result<EventWatchId> events(const v1::EventsRequest& request, EventFeed::Report report) {
        return events_.open(request, std::move(report), options_.now());
    }
    void end_events(EventWatchId watch) { events_.close(watch); }
    // Whether who shows this certificate is still in the cluster or its operator: kDenied says why not. Before every
    // call from outside that needs a certificate; see watch_caller() for one that lasts.
    // Who shows none, on the local socket, is not asked for one here.
    [[nodiscard]] base::Status check_caller(const std::optional<certs::Identity>& caller) const;
    // Ends a call that lasts, by `refuse`, as soon as check_caller() refuses its caller.
    [[nodiscard]] LastingCallId watch_caller(const certs::Identity& caller, LastingCalls::Refuse refuse) {
        return lasting_.add(caller, std::move(refuse));
    }
    void end_watch(LastingCallId call) { lasting_.end(call); }

    // Who was refused, and why: the one part that any thread may use.
    [[nodiscard]] Refusals& refusals() { return counts_; }

    // Sessions. A message that breaks the protocol ends its session.
    [[nodiscard]] base::Result<SessionId> session_opened(const certs::Identity& peer,
                                                         std::shared_ptr<SessionSink> sink);
    void session_message(SessionId session, const v1::FromAgent& message);
    void session_closed(SessionId session);
    // The caller leaves the cluster.
    [[nodiscard]] base::Result<v1::LeaveReply> leave(const certs::Identity& caller, const v1::LeaveRequest& request);

    // Does what events and time have made due. After every call above, whenever the ledger wakes, and after the
    // returned time, which is no longer than a heartbeat.
    [[nodiscard]] base::Duration run();
    void on_ledger_ready(std::function<void()> wake) { ledger_->on_ready(std::move(wake)); }

  private:
    Core(std::unique_ptr<Ledger> ledger, store::Store& store, Vault vault, CoreOptions options);

    CoreOptions options_;
    store::Store* store_;
    Vault vault_;
    std::unique_ptr<Ledger> ledger_;
    SessionHub hub_;
    Rotations rotations_;
    MtuFollower mtus_;
    Removals removals_;
    Refusals counts_;
    EventFeed events_;
    LastingCalls lasting_;
    RefusalLimit refusals_;
    PeerRelay relay_;
    std::map<base::NodeId, base::TellingRate> repairs_;  // told by each node
    std::string caller_;
    Certificates certificates_;
    AuthorityRotation authority_;

    [[nodiscard]] const Cluster& cluster() const { return ledger_->cluster(); }
    // The time, after a look at whether the clock was set.
    [[nodiscard]] base::Time look_at_clock();
    [[nodiscard]] std::optional<std::string> secret_of(const NetworkState& network, base::Epoch epoch) const;
    [[nodiscard]] base::Result<certs::Role> role_of_token(const Cluster& state, const std::string& shown,
                                                          base::Time now) const;
    [[nodiscard]] base::Status check_operator(const certs::Identity& caller) const;
    void add_operators(v1::CaShowReply& reply) const;
    [[nodiscard]] base::Result<v1::TokenShowReply> shown_token(certs::Role role) const;
    [[nodiscard]] base::Result<base::NetworkId> find_encrypted(const std::string& reference) const;
    [[nodiscard]] v1::Node shown_node(const base::NodeId& id) const;
    [[nodiscard]] base::Status hello(const base::NodeId& node, SessionId session, const v1::Hello& hello);
    [[nodiscard]] base::Status take_underlay(const base::NodeId& node, const v1::UnderlayMtu& underlay);
    [[nodiscard]] base::Status take_host_networks(const base::NodeId& node, const v1::HostNetworks& host);
    void acknowledge(const base::NodeId& node, const v1::Applied& applied, base::Time now);
    void note_repair(const base::NodeId& node, const v1::Repaired& repaired, base::Time now);
    void endpoint_request(const base::NodeId& node, const v1::EndpointRequest& request);
    [[nodiscard]] base::Status connect(const base::NodeId& node, const v1::ConnectEndpoint& request,
                                       v1::EndpointReply& reply);
    [[nodiscard]] bool is_lost(const base::NodeId& node) const;
    [[nodiscard]] base::Status disconnect(const base::NodeId& node, const v1::DisconnectEndpoint& request,
                                          v1::EndpointReply& reply);
    void ask_rotation(const base::NetworkId& network, const RotationRequest& request);
    // An event that belongs to no other change.
    void tell_alone(const Event& event);
};

}  // namespace warren::manager
