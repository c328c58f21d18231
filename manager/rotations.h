#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "keymgr/rotation.h"
#include "manager/ledger.h"
#include "manager/rotation_events.h"
#include "manager/session_hub.h"
#include "manager/vault.h"
#include "proto/control.pb.h"

namespace warren::manager {

using RotationWatchId = base::Strong<struct RotationWatchIdTag, std::uint64_t>;

// Drives the rotation of every encrypted network: keymgr decides, this writes each decision in one transaction with the
// secrets that it needs, and calls again when something happened or time is up.
//
// Owner: the manager's core. Thread: the manager's. Keeps nothing that is not in the store but who watches.
class Rotations {
  public:
    using Report = std::function<void(const v1::RotationProgress&)>;

    Rotations(Ledger& ledger, SessionHub& hub, const Vault& vault) : ledger_(&ledger), hub_(&hub), vault_(&vault) {}

    // The key record of a new network, with the sealed secret of its first epoch.
    [[nodiscard]] base::Result<v1::KeyStateRecord> first_keys(const base::NetworkId& network,
                                                              const keymgr::EpochParameters& parameters,
                                                              base::Time now) const;

    // Asks for a rotation of an encrypted network; the epoch that will serve the request.
    [[nodiscard]] base::Result<base::Epoch> request(const base::NetworkId& network, const RotationRequest& request,
                                                    base::Time now);

    // Reports the progress of a request until it is done or the watch is ended.
    [[nodiscard]] RotationWatchId watch(const base::NetworkId& network, base::Epoch target, Report report,
                                        base::Time now);
    void end_watch(RotationWatchId watch) { watches_.erase(watch); }

    // Something of this network changed.
    void mark(const base::NetworkId& network) { due_[network] = base::Time{}; }
    // Decides for every network that was marked or is due. The time of the next one.
    [[nodiscard]] std::optional<base::Time> run(base::Time now);

    [[nodiscard]] keymgr::Settings settings(const NetworkState& network) const;

  private:
    struct Watch {
        base::NetworkId network;
        base::Epoch target;
        base::Time began;
        Report report;
        std::string last;  // what was reported last
    };

    Ledger* ledger_;
    SessionHub* hub_;
    const Vault* vault_;
    std::map<base::NetworkId, base::Time> due_;
    std::map<RotationWatchId, Watch> watches_;
    std::uint64_t next_watch_ = 1;

    void step(const base::NetworkId& network, base::Time now);
    [[nodiscard]] base::Result<store::Transaction> write(const NetworkState& network, const keymgr::Decision& decision,
                                                         base::Time now) const;
    void report_progress(base::Time now);
};

}  // namespace warren::manager
