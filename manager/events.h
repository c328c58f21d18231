#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/time.h"
#include "base/token_bucket.h"
#include "proto/state.pb.h"
#include "store/store.h"

// The log of what happened in the cluster, for `warren events`: records in the store, bounded in number. An event is
// written by the transaction of the change that it tells of, so that there is never one without the other.
namespace warren::manager {

class Cluster;

// What an event tells of. To add a kind: a line here, its name in kEventKinds, and a row in docs/cli.md (a test
// compares these). Scripts rely on the names: they never change.
enum class EventKind : std::uint8_t {
    kNodeJoined,
    kNodeRemoved,
    kNodeLeft,
    kCertificateIssued,
    kCertificateRevoked,
    kNetworkCreated,
    kNetworkRemoved,
    kMemberJoined,
    kMemberLeft,
    kEndpointGone,
    kRotationRequested,
    kLimitReached,
    kSaLost,
    kEpochInstalling,
    kEpochActive,
    kEpochRetired,
    kEpochAborted,
    kStraggler,
    kCaughtUp,
    kCutOff,
    kTokenRotated,
    kNodeReadmitted,
    kCaRotating,
    kCaRotated,
    kRefused,
    kRepaired,
    kMtuChanged,
    kUnderlayTooSmall,
};

struct EventKindName {
    EventKind kind;
    std::string_view name;
};
inline constexpr std::array kEventKinds{
    EventKindName{EventKind::kNodeJoined, "node-joined"},
    EventKindName{EventKind::kNodeRemoved, "node-removed"},
    EventKindName{EventKind::kNodeLeft, "node-left"},
    EventKindName{EventKind::kCertificateIssued, "cert-issued"},
    EventKindName{EventKind::kCertificateRevoked, "cert-revoked"},
    EventKindName{EventKind::kNetworkCreated, "network-created"},
    EventKindName{EventKind::kNetworkRemoved, "network-removed"},
    EventKindName{EventKind::kMemberJoined, "member-joined"},
    EventKindName{EventKind::kMemberLeft, "member-left"},
    EventKindName{EventKind::kEndpointGone, "endpoint-gone"},
    EventKindName{EventKind::kRotationRequested, "rotation-requested"},
    EventKindName{EventKind::kLimitReached, "limit-reached"},
    EventKindName{EventKind::kSaLost, "sa-lost"},
    EventKindName{EventKind::kEpochInstalling, "epoch-installing"},
    EventKindName{EventKind::kEpochActive, "epoch-active"},
    EventKindName{EventKind::kEpochRetired, "epoch-retired"},
    EventKindName{EventKind::kEpochAborted, "epoch-aborted"},
    EventKindName{EventKind::kStraggler, "straggler"},
    EventKindName{EventKind::kCaughtUp, "caught-up"},
    EventKindName{EventKind::kCutOff, "cut-off"},
    EventKindName{EventKind::kTokenRotated, "token-rotated"},
    EventKindName{EventKind::kNodeReadmitted, "node-readmitted"},
    EventKindName{EventKind::kCaRotating, "ca-rotating"},
    EventKindName{EventKind::kCaRotated, "ca-rotated"},
    EventKindName{EventKind::kRefused, "refused"},
    EventKindName{EventKind::kRepaired, "repaired"},
    EventKindName{EventKind::kMtuChanged, "mtu-changed"},
    EventKindName{EventKind::kUnderlayTooSmall, "underlay-too-small"},
};
[[nodiscard]] std::string_view name(EventKind kind);

struct Event {
    EventKind kind{};
    base::NetworkId network{};   // zero: of none
    std::string network_name{};  // of one that the cluster's state does not have yet
    base::NodeId node{};
    std::string node_name{};
    base::Epoch epoch{};
    std::string text{};  // one line in words, without a secret; made printable and cut when it is written
    std::string by{};    // who asked, where somebody did
};

// Who can make events of a kind happen at will must not be able to push the others out of the log: refusals, which
// anybody on the network can cause, have places of their own.
inline constexpr std::size_t kEventsKept = 2000;
inline constexpr std::size_t kRefusalsKept = 200;

// Puts an event into the transaction of the change that it tells of, and the removal of the oldest if there are enough.
void tell(const Cluster& cluster, store::Transaction& change, const Event& event, base::Time now);

// The events in the store, decoded: a part of Cluster, and fed as that is.
class EventLog {
  public:
    using Sequence = std::uint64_t;  // from 1, one more for each event; never given twice

    void put(Sequence sequence, v1::EventRecord record);
    void erase(Sequence sequence);

    [[nodiscard]] Sequence last() const { return last_; }
    [[nodiscard]] const std::map<Sequence, v1::EventRecord>& records() const { return records_; }
    // Those that share the places of a kind, by age.
    [[nodiscard]] const std::set<Sequence>& rivals(EventKind kind) const {
        return kind == EventKind::kRefused ? refusals_ : others_;
    }

  private:
    Sequence last_ = 0;
    std::map<Sequence, v1::EventRecord> records_;
    std::set<Sequence> refusals_;
    std::set<Sequence> others_;
};

// How many refusals are worth an event: some at once, then one every ten seconds; the others are only counted. Each one
// is a write to the disk, and an attacker decides how many there are.
class RefusalLimit {
  public:
    // The event for one more refusal, or none now.
    [[nodiscard]] std::optional<Event> refused(const std::string& by, const std::string& what, base::Time now);
    // The event for those that were only counted, once there is room for it.
    [[nodiscard]] std::optional<Event> due(base::Time now);

  private:
    static constexpr base::Rate kRate{.burst = 5, .refill = std::chrono::seconds(10)};

    base::TellingRate rate_;
};

}  // namespace warren::manager
