#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/error_counters.h"
#include "agent/fabric.h"
#include "agent/host_facts.h"
#include "agent/identity_keeper.h"
#include "agent/key_counters.h"
#include "agent/name_server.h"
#include "agent/names_record.h"
#include "agent/peer_probes.h"
#include "agent/repairs.h"
#include "agent/resolv_conf.h"
#include "agent/run_watch.h"
#include "agent/session_client.h"
#include "agent/vanished.h"
#include "agent/view.h"
#include "agent/way_out.h"
#include "base/time.h"
#include "certs/node_identity.h"
#include "doctor/finding.h"
#include "doctor/mtu_check.h"
#include "overlay/neighbour_limits.h"
#include "overlay/underlay_mtu.h"
#include "proto/local.pb.h"
#include "proto/state.pb.h"

namespace warren::agent {

// This node's membership of its cluster.
struct Membership {
    certs::NodeIdentity identity;
    v1::NodeConfig config;
};

struct AgentOptions {
    std::string version;
    std::filesystem::path run_dir;
    std::function<std::filesystem::path()> certificates;  // the directory of the identity's files: where it is now
    // Called when they have changed; null: nobody wants to know.
    std::function<base::Status()> certificates_changed;
    // A manager in the same process, see IdentityKeeper::Links.
    std::function<base::Result<v1::ReadmitReply>(const std::string& request_pem)> renew_own;
    base::Clock now = base::system_now;
    std::filesystem::path resolv_conf = "/etc/resolv.conf";  // whom to ask for other names than endpoints'
};

template <typename Reply>
using Respond = std::function<void(base::Result<Reply>)>;

// The part of every daemon that keeps its own kernel as the manager says: one session, a view of each network that this
// node is a member of, and a loop of dirty -> apply -> acknowledge. Without a manager everything that works goes on
// working.
//
// Owner: main. Thread: the loop's, for every call. Failure: what the kernel or a manager refuses is tried again with
// backoff and shown by status().
class Agent {
  public:
    Agent(asio::io_context& loop, std::unique_ptr<Fabric> fabric, HostFacts facts, AgentOptions options);
    ~Agent();
    Agent(const Agent&) = delete;
    Agent& operator=(const Agent&) = delete;

    // From now on this node belongs to a cluster. kNotFound: no interface of this host has the data address (yet); then
    // `membership` is left as it was.
    [[nodiscard]] base::Status enter(Membership&& membership);
    [[nodiscard]] const Membership* membership() const { return membership_ ? &*membership_ : nullptr; }
    // The same cannot be yet: until enter() works, status() says of which cluster this node is and what it waits for.
    void await_entry(const Membership& membership, const base::Error& why);
    // The same while the identity can't be read: `problem` says why, and what to do.
    void await_entry(const v1::NodeConfig& config, std::string problem);
    // The opposite: ends the session and takes down all that is ours in the kernel. From now on this node belongs to no
    // cluster, whatever the error says is left.
    [[nodiscard]] base::Status leave();
    // A later verdict of probe_segmentation().
    void set_facts(HostFacts facts);

    void connect(const v1::NetworkConnectRequest& request, const Respond<v1::NetworkConnectReply>& respond);
    void disconnect(const v1::NetworkDisconnectRequest& request, const Respond<v1::NetworkDisconnectReply>& respond);
    void status(const v1::StatusRequest& request, v1::StatusReply& reply);
    // Looks at the host and at the way to every peer: some seconds.
    void doctor(const Respond<v1::DoctorReply>& respond);
    // Proves that an encrypted network of this host is: some seconds.
    void verify(const v1::NetworkVerifyRequest& request, const Respond<v1::NetworkVerifyReply>& respond);
    [[nodiscard]] base::Result<v1::ClusterInfoReply> info() const;
    [[nodiscard]] base::Result<v1::CertShowReply> certificate() const;
    void renew_certificate(const Respond<v1::CertShowReply>& respond);

    void stop();

  private:
    // As long without damage, and whoever takes barriers away over and over has stopped.
    static constexpr base::Duration kQuiet = std::chrono::seconds(2);

    struct NetworkState {
        NetworkView view;
        Applied applied;
        base::Revision applied_revision;  // that the kernel shows
        base::Revision acked;             // in this session
        int failures = 0;
        std::optional<base::Moment> retry_at;
        bool news = true;        // what is wanted has changed since the last apply
        std::string changed_by;  // the process that last changed its IPsec; empty: nobody knows
        Repairs repairs;
        std::optional<base::Moment> held_until;  // in a fight: nothing is put right before
        base::Moment quiet_from;                 // from then on its barriers will have stood for long enough
        bool links_held = false;
        bool guarded = false;  // its VXLAN device may be out of its bridge by our own doing
        base::Moment looked;   // because of an event of links
        bool look_due = false;
    };
    // A request of the local API on its way. `settle` is asked after every apply of its network until it says true.
    struct Pending {
        base::Moment deadline;
        std::optional<base::NetworkId> network;  // once the manager has answered
        std::function<void(const base::Error&)> fail;
        std::function<bool(const v1::EndpointReply&)> settle;
        v1::EndpointReply reply;
    };

    asio::io_context* loop_;
    AgentOptions options_;
    HostFacts facts_;
    base::Time started_;
    std::unique_ptr<Fabric> fabric_;
    std::optional<Membership> membership_;
    struct Entry {
        v1::ClusterInfoReply cluster;
        std::string problem;
    };
    std::optional<Entry> awaited_entry_;                   // only while there is no membership_
    overlay::UnderlayMtu underlay_;                        // as it was seen last
    std::optional<overlay::UnderlayMtu> told_underlay_;    // to the manager, in this session
    std::vector<std::string> told_host_networks_;          // to the manager, in this session
    std::set<base::IpAddress> underlay_peers_;             // that it was looked at for
    base::Result<overlay::UnderlayWatch> underlay_watch_;  // without it there are only the sweeps
    base::Moment underlay_looked_;
    bool underlay_due_ = false;

    IdentityKeeper keeper_;
    std::shared_ptr<grpc::Channel> channel_;
    unsigned channel_generation_ = 0;  // of the identity that the channel shows
    std::unique_ptr<SessionClient> session_;
    bool welcomed_ = false;
    base::Time session_since_;
    base::Moment heard_;
    base::Duration heartbeat_ = std::chrono::seconds(5);
    int session_failures_ = 0;
    std::string session_error_;
    bool session_denied_ = false;        // the manager is there and refuses this node
    std::set<base::NetworkId> awaited_;  // welcome named them, their snapshot has not come yet

    std::map<base::NetworkId, NetworkState> networks_;
    std::set<base::NetworkId> dirty_;
    std::map<base::NetworkId, base::Error> removals_;  // that failed, to be tried again
    std::map<std::uint64_t, Pending> pending_;
    std::uint64_t next_request_ = 1;
    std::map<std::pair<base::NetworkId, RotationNeed>, base::Moment>
        asked_;  // rotations, so as not to ask all the time

    asio::steady_timer session_timer_;
    asio::steady_timer tick_timer_;
    asio::steady_timer pace_timer_;
    bool pacing_ = false;  // its timer runs
    asio::posix::stream_descriptor key_events_;
    asio::posix::stream_descriptor firewall_events_;
    asio::posix::stream_descriptor link_events_;
    Repairs firewall_repairs_;
    std::uint64_t repaired_ = 0;  // in all
    std::optional<base::Moment> firewall_held_until_;
    std::string firewall_problem_;  // why the table could not be put back; empty: it is as it should be
    base::Moment next_sweep_;
    KeyCounters counters_;
    RecentErrors recent_errors_;
    PeerProbes probes_;
    NameServer names_;
    NamesRecord names_record_;
    std::map<base::NetworkId, base::Revision> recorded_names_;
    base::Moment names_retry_at_;  // after a failure
    std::string names_problem_;    // why the record is behind; empty: it is not, or for a moment
    ResolvConf resolv_conf_;
    WayOut way_out_;
    bool all_known_ = false;          // of every network of this node a snapshot has come, once
    base::UdpPort plain_port_{4789};  // of the cluster's plain networks, once a manager has said it
    Repairs gateway_repairs_;
    base::Moment gateway_looked_;
    Vanished vanished_;
    overlay::Crowd largest_crowd_;  // so far
    std::array<asio::posix::stream_descriptor, 2> gateway_events_;
    asio::posix::stream_descriptor underlay_events_;
    struct DoctorRun;
    struct VerifyRun;
    std::set<std::shared_ptr<VerifyRun>> verify_runs_;
    struct Watch {
        std::unique_ptr<RunWatch> watch;
        base::IpAddress peer;  // the VTEP of who asked
        base::NetworkId network;
        std::uint64_t run = 0;
        base::Moment until;
    };
    std::map<base::NodeId, Watch> watches_;  // for peers, one for each
    struct PeerAsked {
        base::Moment deadline;
        base::NodeId peer;
        std::function<void(const v1::PeerAnswer&)> then;
    };
    std::map<std::uint64_t, PeerAsked> asked_peers_;  // by the question's id
    std::optional<base::Duration> clock_ahead_;       // of the manager's
    bool reconcile_posted_ = false;

    void open_session();
    void start_session();
    void close_session(const base::Error& why);
    void retry_session(const base::Error& why);
    void send_hello();
    void handle(v1::FromManager message);
    void welcome(const v1::Welcome& welcome);
    void snapshot(const v1::NetworkSnapshot& message);
    void delta(const v1::NetworkDelta& message);
    void gone(const base::NetworkId& network);
    void snapshots_complete();
    void compare_clock(std::int64_t managers_unix_ms);  // 0: it does not say

    // What is wanted of a network has changed; or, look(), what the kernel has of it may have.
    void mark(const base::NetworkId& network);
    void look(const base::NetworkId& network);
    void reconcile();
    void apply(const base::NetworkId& id, NetworkState& state);
    void acknowledge(const base::NetworkId& id, NetworkState& state);
    void take_changes(const Fabric::Changes& changes);
    void ask_rotations(const base::NetworkId& network, const std::set<RotationNeed>& needs);
    void tell_counters();
    void restore_names();
    // After an apply of the network.
    void keep_names(const NetworkView& view, const netlink::NamespaceIdentity& home);
    void write_names();
    void forget_names(const base::NetworkId& network);
    void forget_unknown_names();
    [[nodiscard]] ResolvConf::Servers name_servers() const;
    void tell_containers();
    void keep_way_out();
    // That the gateway bridge must not take.
    [[nodiscard]] std::set<base::IpAddress> needed_addresses() const;
    void raise_limits();
    void on_gateway_events();
    void on_underlay_events();
    // It may carry other than before; looks at it, but not too often.
    void underlay_changed();
    void look_at_underlay();
    void tell_underlay();
    [[nodiscard]] std::set<base::IpAddress> underlay_peers() const;
    [[nodiscard]] std::vector<std::string> underlay_problems() const;
    [[nodiscard]] v1::UnderlayMtu underlay_message() const;
    void tell_host_networks();
    [[nodiscard]] doctor::MtuSight mtu_sight(const NetworkView& view) const;
    [[nodiscard]] std::vector<doctor::Finding> examine_mtus() const;
    void tick();
    void watch(asio::posix::stream_descriptor& descriptor, int fd, void (Agent::*handler)());
    void on_key_events();
    void on_firewall_events();
    void on_link_events();
    void look_soon();
    void guard_networks();
    // Both of its barriers are fought about, and have not stood for long.
    [[nodiscard]] bool besieged(const NetworkState& state, base::Moment now) const;
    void ask_peers(const std::shared_ptr<DoctorRun>& run);
    void end_doctor(DoctorRun& run);
    [[nodiscard]] std::vector<doctor::Finding> examine_paths(DoctorRun& run);
    [[nodiscard]] std::vector<doctor::Finding> examine_host(bool answered);
    [[nodiscard]] base::Result<std::shared_ptr<VerifyRun>> prepare_verify(
        const std::string& network, const Respond<v1::NetworkVerifyReply>& respond);
    void send_marked(const std::shared_ptr<VerifyRun>& run);
    void send_forged(const std::shared_ptr<VerifyRun>& run);
    void end_verify(const std::shared_ptr<VerifyRun>& ended);
    void stop_verify();
    // Asks another member of the question's network, through the manager; `then` gets an answer in any case, if need be
    // one with an error.
    void ask_peer(const base::NodeId& peer, v1::PeerQuestion question, std::function<void(const v1::PeerAnswer&)> then);
    void take_answer(const v1::PeerAnswer& answer);
    void end_late_questions(base::Moment now);
    void answer_peer(const v1::PeerQuestion& question);
    [[nodiscard]] base::Status begin_watch(const v1::PeerQuestion& question, const NetworkView& view);
    void tell_seen(const v1::PeerQuestion& question, v1::PeerAnswer& answer);
    void end_watch(const base::NodeId& asker);
    void end_late_watches(base::Moment now);
    void note_repair(const base::NetworkId& id, NetworkState& state);
    // Tells the log and the manager; `id` nothing: of all encrypted networks.
    void tell_repair(const std::optional<base::NetworkId>& id, const std::string& what, const Repairs& repairs,
                     const std::optional<base::Moment>& next);

    // Of a local endpoint, and marks the attachment that leads elsewhere.
    [[nodiscard]] static Vanished::Sight look_for_container(AttachmentView& attachment);
    // The same of all, and hands each on; true: one leads elsewhere that did not, or the other way round.
    using SeeContainer = std::function<void(const base::EndpointId&, Vanished::Sight)>;
    [[nodiscard]] static bool look_at_attachments(NetworkView& view, const SeeContainer& see = {});
    void look_for_containers();
    void release(const base::NetworkId& network, const base::EndpointId& id);

    [[nodiscard]] base::Status check_session() const;
    [[nodiscard]] base::Result<v1::ConnectEndpoint> check_connect(const v1::NetworkConnectRequest& given) const;
    [[nodiscard]] base::Status check_ifname(const v1::ConnectEndpoint& wire) const;
    std::uint64_t request(v1::EndpointRequest message, Pending pending);
    void answer(const v1::EndpointReply& reply);
    void settle_pending();
    // Why the endpoint can't be had as it was asked for.
    [[nodiscard]] std::optional<base::Error> connect_error(const NetworkState& state, const base::EndpointId& id) const;
    [[nodiscard]] std::map<base::EndpointId, std::string> local_names() const;
    [[nodiscard]] bool settle_connect(const v1::EndpointReply& reply, bool took_over,
                                      const Respond<v1::NetworkConnectReply>& respond);
    [[nodiscard]] std::vector<ErrorCounter> error_counters();
    [[nodiscard]] Self self() const;
    [[nodiscard]] std::vector<std::string> problems() const;
};

}  // namespace warren::agent
