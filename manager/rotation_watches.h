#pragma once

#include <functional>
#include <optional>

#include "keymgr/rotation.h"
#include "manager/ledger.h"
#include "manager/report_watches.h"
#include "manager/session_hub.h"
#include "proto/control.pb.h"

namespace warren::manager {

using RotationWatchId = base::Strong<struct RotationWatchIdTag, std::uint64_t>;

// Who follows a rotation that somebody commanded, and what they are told of it.
//
// Owner: Rotations. Thread: the manager's.
class RotationWatches {
  public:
    using Report = std::function<void(const v1::RotationProgress&)>;
    using SettingsOf = std::function<keymgr::Settings(const NetworkState&)>;

    RotationWatches(const Ledger& ledger, const SessionHub& hub, SettingsOf settings_of)
        : ledger_(&ledger), hub_(&hub), settings_of_(std::move(settings_of)) {}

    // Follows a request until a report says done, or end().
    [[nodiscard]] RotationWatchId add(const base::NetworkId& network, base::Epoch target, Report report,
                                      base::Time now) {
        return watches_.add({.network = network, .target = target}, std::move(report), now);
    }
    void end(RotationWatchId watch) { watches_.end(watch); }
    // The clock was set by so much.
    void clock_set(base::Duration by) { watches_.clock_set(by); }

    // Tells everybody what has changed since the last time.
    void report(base::Time now);
    // What was commanded in this network and is not active yet was taken back: tells so and ends these watches. Other
    // requests may go on, under the same number.
    void report_aborted(const base::NetworkId& network, base::Time now);

  private:
    struct Subject {
        base::NetworkId network;
        base::Epoch target;
    };

    const Ledger* ledger_;
    const SessionHub* hub_;
    SettingsOf settings_of_;
    ReportWatches<RotationWatchId, Subject, v1::RotationProgress> watches_;

    [[nodiscard]] v1::RotationProgress progress_of(const Subject& subject, base::Time began, base::Time now) const;
    void add_late(v1::RotationProgress& message, const NetworkState& network, const keymgr::Progress& progress) const;
};

}  // namespace warren::manager
