#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "keymgr/rotation.h"
#include "manager/due.h"
#include "manager/key_traffic.h"
#include "manager/ledger.h"
#include "manager/network_options.h"
#include "manager/rotation_events.h"
#include "manager/rotation_watches.h"
#include "manager/session_hub.h"
#include "manager/vault.h"

namespace warren::manager {

// Drives the rotation of every encrypted network: keymgr decides, this writes each decision in one transaction with the
// secrets that it needs, and calls again when something happened or time is up.
//
// Owner: the manager's core. Thread: the manager's. Keeps nothing that is not in the store but who watches,
// and counters that the agents tell again.
class Rotations {
  public:
    using Report = RotationWatches::Report;

    Rotations(Ledger& ledger, SessionHub& hub, const Vault& vault)
        : ledger_(&ledger),
          hub_(&hub),
          vault_(&vault),
          watches_(ledger, hub, [this](const NetworkState& network) { return settings(network); }) {}
    Rotations(const Rotations&) = delete;
    Rotations& operator=(const Rotations&) = delete;

    // The key record of a new network, with the sealed secret of its first epoch.
    [[nodiscard]] base::Result<v1::KeyStateRecord> first_keys(const base::NetworkId& network,
                                                              const NetworkOptions& options, base::Time now) const;

    // Asks for a rotation of an encrypted network; the epoch that will serve the request.
    [[nodiscard]] base::Result<base::Epoch> request(const base::NetworkId& network, const RotationRequest& request,
                                                    base::Time now);

    // Takes back what keymgr::abort() lets go. Whoever watches a rotation that was taken back hears so at once.
    struct Aborted {
        std::optional<base::Epoch> epoch;    // that was being installed
        std::optional<keymgr::Pending> due;  // what still asks for a rotation
    };
    [[nodiscard]] base::Result<Aborted> abort(const base::NetworkId& network, const std::string& by, base::Time now);

    // What a node has sent in each epoch.
    void take_counters(const base::NodeId& node, const v1::KeyCounters& counters) {
        traffic_.take(ledger_->cluster(), node, counters);
    }
    void forget(const base::NetworkId& network);
    [[nodiscard]] const KeyTraffic& traffic() const { return traffic_; }
    // With what is known of the traffic by now.
    [[nodiscard]] v1::KeyHistoryReply history(const base::NetworkId& id, const NetworkState& network) const;

    // Reports the progress of a request until it is done or the watch is ended.
    [[nodiscard]] RotationWatchId watch(const base::NetworkId& network, base::Epoch target, Report report,
                                        base::Time now);
    void end_watch(RotationWatchId watch) { watches_.end(watch); }

    // This manager begins.
    void resume(base::Time now);
    // The clock was set by so much.
    void clock_set(base::Duration by);

    // Something of this network changed.
    void mark(const base::NetworkId& network) { due_[network] = base::Time{}; }
    // Decides for every network that was marked or is due. The time of the next one.
    // A decision costs time in proportion to the members, and each of them acknowledges each step: what the sessions
    // bring is gathered for as long as a network is large, so that a rotation costs as much per member in any network.
    [[nodiscard]] std::optional<base::Time> run(base::Time now);

    [[nodiscard]] keymgr::Settings settings(const NetworkState& network) const;

  private:
    Ledger* ledger_;
    SessionHub* hub_;
    const Vault* vault_;
    Due due_;
    std::map<base::NetworkId, base::Time> stepped_;  // when keymgr was last asked
    base::Time reported_;
    RotationWatches watches_;
    KeyTraffic traffic_;
    std::uint64_t adapted_to_ = 0;  // Cluster::node_changes()
    base::Time adapt_again_;        // where it could not be done, or not yet
    struct Adapted {
        base::Time at;
        base::Duration wait{};  // before the next time
    };
    std::map<base::NetworkId, Adapted> adapted_;  // when a network's cipher was last adapted

    // Gives networks whose cipher is left to the nodes the one that they call for, after a change of nodes.
    void adapt_ciphers(base::Time now);
    // Stores what `change` makes of the keys of each network.
    void rewrite(const std::function<keymgr::KeyState(keymgr::KeyState)>& change);
    void mark_dirty(base::Time now);
    void step(const base::NetworkId& network, base::Time now);
    [[nodiscard]] base::Result<store::Transaction> write(const NetworkState& network, const keymgr::Decision& decision,
                                                         base::Time now, const std::string& by = {}) const;
    // The history with this decision in it, if that changes it.
    void write_history(const NetworkState& network, const keymgr::Decision& decision, base::Time now,
                       const std::string& by, store::Transaction& change) const;
    [[nodiscard]] SentIn sent_in(const base::NetworkId& network) const;
    // The state of an encrypted network; the error says why there is none.
    [[nodiscard]] static base::Result<const NetworkState*> find_encrypted(const Cluster& cluster,
                                                                          const base::NetworkId& id);
};

}  // namespace warren::manager
