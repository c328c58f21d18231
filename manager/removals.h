#pragma once

#include <functional>
#include <set>

#include "manager/changes.h"
#include "manager/ledger.h"
#include "manager/report_watches.h"
#include "manager/rotations.h"
#include "manager/session_hub.h"
#include "proto/control.pb.h"

namespace warren::manager {

using RemovalWatchId = base::Strong<struct RemovalWatchIdTag, std::uint64_t>;

// Removes nodes for ever, and tells when nothing that a removed one knew is left.
//
//   removed    one transaction: from here on no call and no session of it is accepted
//   cleared    one transaction for each network that it was in or knows keys of: endpoints and membership go, an
//              encrypted network is asked for keys that it does not know (Rotations does that, without any grace)
//   confirmed  every member that stays has deleted all keys that it knew
//
// What is done and what is not is in the store, so a manager that dies goes on with it. Owner: the manager's core.
// Thread: the manager's. A transaction that can't be written is tried again with the next go_on().
class Removals {
  public:
    using Report = std::function<void(const v1::NodeRemoveProgress&)>;

    Removals(Ledger& ledger, SessionHub& hub, Rotations& rotations);

    // kPrecondition: the last manager, oneself, or endpoints without force. Nothing has changed then.
    [[nodiscard]] base::Status remove(const NodeRemoval& removal, base::Time now);

    // Reports on a removed node until nothing is waited for any more, or the watch is ended.
    [[nodiscard]] RemovalWatchId watch(const base::NodeId& node, Report report, base::Time now) {
        return watches_.add(node, std::move(report), now);
    }
    void end_watch(RemovalWatchId watch) { watches_.end(watch); }
    // The clock was set by so much.
    void clock_set(base::Duration by) { watches_.clock_set(by); }

    // Goes on with what is not cleared.
    void go_on(base::Time now);
    // Reports what the rotations have come to meanwhile.
    void report(base::Time now);

  private:
    Ledger* ledger_;
    SessionHub* hub_;
    Rotations* rotations_;
    std::set<base::NodeId> to_clear_;
    ReportWatches<RemovalWatchId, base::NodeId, v1::NodeRemoveProgress> watches_;

    [[nodiscard]] base::Status clear(const base::NodeId& node, base::Time now);
    [[nodiscard]] v1::NodeRemoveProgress progress(const base::NodeId& node, base::Time began, base::Time now) const;
    // False: somebody is waited for.
    [[nodiscard]] bool add_purge(const v1::KnownKeys& knew, base::Time now, v1::NodeRemoveProgress& progress) const;
};

}  // namespace warren::manager
