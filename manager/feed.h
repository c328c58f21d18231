#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "keymgr/readiness.h"
#include "manager/ledger.h"
#include "proto/session.pb.h"

// What members are told of a network: a snapshot, then one delta for each change. Pure.
namespace warren::manager {

// The secret of an epoch, to be put into a message; nullopt when it can't be opened.
using SecretOf = std::function<std::optional<std::string>(const NetworkState&, base::Epoch)>;

// What a change of one network did, as far as its members must hear of it.
struct NetworkChange {
    v1::NetworkDelta delta;            // what all are told: members, endpoints, acknowledgements
    std::vector<base::NodeId> joined;  // new, or come back with a new membership id: they need a snapshot
    std::vector<base::NodeId> left;
};

// `touched` are the endpoints that changed or went between `before` and `after`.
[[nodiscard]] NetworkChange describe_change(const NetworkBefore& before, const NetworkState& after,
                                            const std::set<base::EndpointId>& touched);

// The delta as one member gets it: with where its own endpoints are attached, and the epochs that it uses with some
// peer and that are new to it or changed.
[[nodiscard]] v1::NetworkDelta for_member(v1::NetworkDelta delta, const NetworkBefore& before,
                                          const NetworkState& after, const keymgr::Member& member,
                                          const SecretOf& secret_of);

// Everything a member needs to know of a network.
[[nodiscard]] v1::NetworkSnapshot make_snapshot(const NetworkState& network, const keymgr::Member& member,
                                                const std::vector<keymgr::Member>& members, const SecretOf& secret_of);

void write_acks(const base::NetworkId& network, const keymgr::AckUpdate& acks, v1::PeerAcks& message);

}  // namespace warren::manager
