#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "keymgr/rotation.h"
#include "manager/feed.h"
#include "manager/ledger.h"
#include "proto/session.pb.h"

namespace warren::manager {

using SessionId = base::Strong<struct SessionIdTag, std::uint64_t>;

// The way to one agent. Implemented over a gRPC stream; calls come on the manager's thread and never wait.
class SessionSink {
  public:
    SessionSink() = default;
    SessionSink(const SessionSink&) = delete;
    SessionSink& operator=(const SessionSink&) = delete;
    virtual ~SessionSink() = default;

    // Queues a message; the sink wipes its secrets once it is sent.
    virtual void send(v1::FromManager message) = 0;
    // Ends the stream with an error that the agent logs. No call follows.
    virtual void close(const base::Error& why) = 0;
    // Where the agent calls from, as gRPC names it; empty: not known.
    [[nodiscard]] virtual std::string peer() const { return {}; }
};

// " at <where>", or nothing.
[[nodiscard]] std::string located(const SessionSink& sink);

// The sessions of all agents: who is reachable, who has acknowledged what, and what each is told.
//
// Owner: the manager's core. Thread: the manager's. Holds nothing that is worth keeping: after a restart of the manager
// the agents' hellos say it all again.
class SessionHub {
  public:
    // `started` is when this manager began: until then it knows nobody's absence.
    SessionHub(const Cluster& cluster, SecretOf secret_of, base::Time started)
        : cluster_(&cluster), secret_of_(std::move(secret_of)), started_at_(started) {}

    // A new stream of a node, which replaces an older one. Nothing is sent before start().
    [[nodiscard]] SessionId open(const base::NodeId& node, std::shared_ptr<SessionSink> sink, base::Time now);
    // Sends the welcome and a snapshot of each network the node is a member of; from here on it gets every change.
    // False: the session is gone meanwhile.
    bool start(SessionId session, std::uint32_t heartbeat_ms, base::Time now);
    void close(SessionId session, base::Time now);
    void refuse(SessionId session, const base::Error& why, base::Time now);
    // Ends the session of a node that has said nothing for so long, looking at all of them now and then, and at once
    // that of a node which is gone.
    void close_silent(base::Duration silence, base::Time now);

    // The clock was set by so much: nobody has been silent or away for longer or less because of that.
    void clock_set(base::Duration by);

    // The node of a session that is still the current one of its node.
    [[nodiscard]] std::optional<base::NodeId> node_of(SessionId session) const;
    // A node that has a session as the log is to name it when it is refused something: "node w1 at
    // ipv4:192.0.2.2:4711".
    [[nodiscard]] std::string caller(const base::NodeId& node) const;
    void heard(SessionId session, base::Time now);
    void reply(const base::NodeId& node, v1::FromManager message);
    void tell_all(const v1::FromManager& message);

    // Takes an acknowledgement; one for an older membership counts nothing. Who has to know of it is told by
    // tell_acks().
    void acknowledge(const base::NodeId& node, const v1::Applied& applied, base::Time now);

    // Tells the members of a change.
    void tell(const NetworkEvent& event, base::Time now);
    // Sends what acknowledge() has gathered, one message for each network of a session.
    void tell_acks();

    [[nodiscard]] bool reachable(const base::NodeId& node) const;
    [[nodiscard]] base::Time since(const base::NodeId& node) const;      // when it became reachable, or was last
    [[nodiscard]] base::Time last_seen(const base::NodeId& node) const;  // when it was last heard of
    // The same, but never before this manager began to listen.
    [[nodiscard]] base::Time silent_since(const base::NodeId& node) const {
        return std::max(last_seen(node), started_at_);
    }
    [[nodiscard]] bool anybody() const { return !sessions_.empty(); }
    [[nodiscard]] base::Revision acked(const base::NetworkId& network, const v1::MemberRecord& member) const;
    // The members as the rotation sees them, by `since`.
    [[nodiscard]] std::vector<keymgr::Member> members(const NetworkState& network, base::Time now) const;

    // Networks whose members, acknowledgements or reachability changed since the last call.
    [[nodiscard]] std::set<base::NetworkId> take_dirty() { return std::exchange(dirty_, {}); }

  private:
    struct Session {
        SessionId id;
        std::shared_ptr<SessionSink> sink;
        base::Time opened;
        base::Time heard;
        bool started = false;
    };
    struct Ack {
        base::MembershipId membership;
        base::Revision revision;
    };

    const Cluster* cluster_;
    SecretOf secret_of_;
    base::Time started_at_;
    std::uint64_t next_session_ = 1;
    std::map<base::NodeId, Session> sessions_;
    std::map<SessionId, base::NodeId> nodes_;
    std::map<base::NodeId, base::Time> last_seen_;
    std::map<base::NetworkId, std::map<base::NodeId, Ack>> acks_;
    std::map<base::NodeId, std::map<base::NetworkId, keymgr::AckUpdate>> untold_acks_;
    std::set<base::NetworkId> dirty_;
    base::Time looked_at_;        // all sessions, for silence
    std::size_t nodes_gone_ = 0;  // from the cluster, when they were last looked at

    void end(const base::NodeId& node, base::Time now);
    void mark_networks_of(const base::NodeId& node);
    [[nodiscard]] keymgr::Member member(const base::NetworkId& network, const v1::MemberRecord& record,
                                        base::Time now) const;
    void send_snapshot(const NetworkState& network, const base::NodeId& node, Session& session, base::Time now);
    [[nodiscard]] Session* started(const base::NodeId& node);
};

}  // namespace warren::manager
