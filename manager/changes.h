#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "certs/leaf.h"
#include "keymgr/rotation.h"
#include "manager/cluster.h"
#include "manager/network_options.h"
#include "proto/control.pb.h"
#include "proto/session.pb.h"
#include "store/store.h"

// Every change of the cluster's state, as the transaction that makes it: from the state as it is now, with all checks.
// Pure but for random ids. A transaction compares what it was made from, so a state that moved meanwhile makes it fail,
// not wrong.
//
// The invariant of the feed: whatever changes of a network that members must hear of is in one transaction with a new
// revision of its membership record.
//
// What users should hear of is told by the transaction, too: see events.h.
namespace warren::manager {

// A node that asks to be let in.
struct NewNode {
    base::NodeId id;
    std::string name;
    std::string role;
    base::IpAddress data_address;
    base::IpAddress advertise_address;
    std::uint16_t port = 0;  // of a manager's API
    certs::Leaf certificate;
};
// Takes the place of a node of the same name, role and data address that was let in but never came: a join that was
// interrupted can be repeated.
[[nodiscard]] base::Result<store::Transaction> admit_node(const Cluster& cluster, const NewNode& node, base::Time now);

// The node's kernel has the cipher; the error says why not.
[[nodiscard]] base::Status check_cipher(keymgr::Cipher cipher, const v1::NodeRecord& node);

// Of what is known of one node; empty when the edit changes nothing.
[[nodiscard]] base::Result<store::Transaction> change_node(const Cluster& cluster, const base::NodeId& id,
                                                           const std::function<void(v1::NodeRecord&)>& edit);
// What a hello says of the node itself, but for its underlay (network_mtu.h); empty when the record says so already.
[[nodiscard]] base::Result<store::Transaction> update_node(const Cluster& cluster, const base::NodeId& id,
                                                           const v1::Hello& hello);
// A new membership id in one network for a node that booted or changed its address since it got the one it has; empty
// when it did neither.
[[nodiscard]] base::Result<store::Transaction> renew_membership(const Cluster& cluster, const base::NetworkId& network,
                                                                const base::NodeId& node, base::Time now);

// The removal of a node for ever. The one change after which its certificate counts nothing, and then one for each
// network that it was in or knows keys of; the record of the removed node has what is still to be done, so it goes on
// after a crash.
struct NodeRemoval {
    base::NodeId node;
    base::NodeId asked_of;   // the node whose manager does it
    bool by_itself = false;  // it leaves
    bool force = false;      // with endpoints on it, too
    std::string by{};        // who asked, for the event
};
[[nodiscard]] base::Result<store::Transaction> remove_node(const Cluster& cluster, const NodeRemoval& removal,
                                                           base::Time now);
using SettingsOf = std::function<keymgr::Settings(const NetworkState&)>;
// The next of the other changes; empty when nothing is left to be done.
[[nodiscard]] store::Transaction clear_removed_node(const Cluster& cluster, const base::NodeId& node,
                                                    const SettingsOf& settings, base::Time now);

// What a new network is to be. The first epoch's secret is made and sealed by the caller, for the id it chose.
struct NewNetwork {
    base::NetworkId id;
    v1::NetworkCreateRequest request;
    NetworkOptions options;
    v1::KeyStateRecord keys;  // encrypted only
    std::string by;           // who asked
};
[[nodiscard]] base::Result<store::Transaction> create_network(const Cluster& cluster, const NewNetwork& network,
                                                              base::Time now);
[[nodiscard]] base::Result<store::Transaction> remove_network(const Cluster& cluster, const base::NetworkId& id,
                                                              const std::string& by, base::Time now);

struct NewEndpoint {
    base::EndpointId id;
    base::NodeId node;
    base::MembershipId membership;  // taken if the node is no member yet
    v1::ConnectEndpoint request;
    // The endpoint that has the name gives way to it if this holds for its node; without it, if the request says so.
    std::function<bool(const base::NodeId& node)> node_is_lost{};
};
// Notes that an endpoint's addresses were freed: for a minute they are not given out by themselves.
void rest_addresses(v1::MembershipRecord& members, const v1::StoredEndpoint& endpoint, base::Time now);
struct Connection {
    store::Transaction change;
    base::NetworkId network;
    std::optional<base::NodeId> left;  // the node of an endpoint that gave way, if it is no member any more
};
[[nodiscard]] base::Result<Connection> connect_endpoint(const Cluster& cluster, const NewEndpoint& endpoint,
                                                        base::Time now);

struct Departure {
    base::NetworkId network;
    base::EndpointId endpoint;
    bool last_of_node = false;  // the node is no member any more
    bool vanished = false;      // its container is no more
};
[[nodiscard]] base::Result<Departure> find_departure(const Cluster& cluster, const base::NodeId& node,
                                                     const v1::DisconnectEndpoint& request);
[[nodiscard]] base::Result<store::Transaction> disconnect_endpoint(const Cluster& cluster, const Departure& departure,
                                                                   base::Time now);

// Options of a network in use, as `network update` gives them; empty when nothing changes.
[[nodiscard]] base::Result<store::Transaction> update_network(const Cluster& cluster, const base::NetworkId& id,
                                                              std::span<const std::string> options,
                                                              const std::string& by, base::Time now);
// The cipher that the nodes call for now, in a network that leaves it to them; empty when it has it already.
[[nodiscard]] base::Result<store::Transaction> adapt_cipher(const Cluster& cluster, const base::NetworkId& id,
                                                            base::Time now);

// A rotation was asked for: the state and who asked; empty when neither is news.
[[nodiscard]] base::Result<store::Transaction> save_request(const NetworkState& network, const keymgr::KeyState& keys,
                                                            const v1::KeyHistoryRecord& history);
// The beginning of a change that members have to hear of.
[[nodiscard]] store::Transaction next_revision(const NetworkState& network);
// A decision of the rotation: the key record with the network's next revision.
[[nodiscard]] base::Result<store::Transaction> save_keys(const NetworkState& network, const v1::KeyStateRecord& keys);

}  // namespace warren::manager
