#pragma once

#include <functional>
#include <map>
#include <string>

#include "keymgr/rotation.h"
#include "manager/ledger.h"
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
                                      base::Time now);
    void end(RotationWatchId watch) { watches_.erase(watch); }

    // Tells everybody what has changed since the last time.
    void report(base::Time now);
    // What was commanded in this network and is not active yet was taken back: tells so and ends these watches. Other
    // requests may go on, under the same number.
    void report_aborted(const base::NetworkId& network, base::Time now);

  private:
    struct Watch {
        base::NetworkId network;
        base::Epoch target;
        base::Time began;
        Report report;
        std::string last;  // what was reported last
    };

    const Ledger* ledger_;
    const SessionHub* hub_;
    SettingsOf settings_of_;
    std::map<RotationWatchId, Watch> watches_;
    std::uint64_t next_ = 1;

    [[nodiscard]] v1::RotationProgress progress_of(const Watch& watch, base::Time now) const;
    void add_late(v1::RotationProgress& message, const NetworkState& network, const keymgr::Progress& progress) const;
};

}  // namespace warren::manager
