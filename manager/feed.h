#pragma once

#include <functional>
#include <optional>
#include <set>
#include <vector>

#include "manager/ledger.h"
#include "proto/session.pb.h"

// What members are told of a network: a snapshot, then one delta for each change. Pure.
namespace warren::manager {

// The secret of an epoch, to be put into a message; nullopt when it can't be opened.
using SecretOf = std::function<std::optional<std::string>(const base::NetworkId&, base::Epoch)>;

// What a change of one network did, as far as its members must hear of it. The same for all of them; attachments are
// added for each receiver by for_member().
struct NetworkChange {
    v1::NetworkDelta delta;
    std::vector<base::NodeId> joined;  // new, or come back with a new membership id: they need a snapshot
    std::vector<base::NodeId> left;
};

// `touched` are the endpoints that changed or went between `before` and `after`.
[[nodiscard]] NetworkChange describe_change(const NetworkBefore& before, const NetworkState& after,
                                            const std::set<base::EndpointId>& touched, const SecretOf& secret_of);

// Everything a member needs to know of a network.
[[nodiscard]] v1::NetworkSnapshot make_snapshot(const NetworkState& network, const SecretOf& secret_of);

// The same delta with what only `node` is told: where its own endpoints are attached.
[[nodiscard]] v1::NetworkDelta for_member(v1::NetworkDelta delta, const NetworkState& network,
                                          const base::NodeId& node);

// Overwrites the secrets in a message that has been sent.
void wipe_secrets(v1::NetworkDelta& delta);

}  // namespace warren::manager
