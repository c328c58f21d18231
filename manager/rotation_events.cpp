#include "manager/rotation_events.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace warren::manager {

namespace {

// At most so many names in one line.
constexpr std::size_t kNamesShown = 8;

std::string node_names(const Cluster& cluster, const std::vector<base::NodeId>& nodes) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < nodes.size() && i < kNamesShown; ++i) {
        names.push_back(cluster.node_name(nodes[i]));
    }
    const auto more = nodes.size() > kNamesShown ? fmt::format(" and {} more", nodes.size() - kNamesShown) : "";
    return fmt::format("{}{}", fmt::join(names, ", "), more);
}

std::vector<base::NodeId> nodes_of(const NetworkState& network, const std::vector<base::MembershipId>& members) {
    std::vector<base::NodeId> nodes;
    for (const auto& record : network.members.record.members()) {
        if (std::find(members.begin(), members.end(), base::MembershipId{record.membership_id()}) != members.end()) {
            nodes.push_back(id_of<base::NodeId>(record.node_id()));
        }
    }
    return nodes;
}

std::string reasons_of(const keymgr::KeyState& state, base::Epoch number) {
    std::vector<std::string_view> names;
    for (const auto& epoch : state.epochs) {
        if (epoch.number == number) {
            std::transform(epoch.reasons.begin(), epoch.reasons.end(), std::back_inserter(names),
                           [](keymgr::Reason reason) { return keymgr::name(reason); });
        }
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string request_text(const Cluster& cluster, const RotationRequest& request, base::Epoch target) {
    switch (request.reason) {
        case keymgr::Reason::kLimit:
            return fmt::format("an SA of epoch {} has come near its limit; epoch {} will replace it", request.about,
                               target);
        case keymgr::Reason::kSaLost:
            return fmt::format("an SA of epoch {} was deleted by somebody else; epoch {} will heal it", request.about,
                               target);
        case keymgr::Reason::kMemberLeft:
            return fmt::format("{} left; the others go on with epoch {}", cluster.node_name(request.node), target);
        case keymgr::Reason::kCreated:
        case keymgr::Reason::kCommand:
        case keymgr::Reason::kSchedule:
        case keymgr::Reason::kNodeRemoved:
        case keymgr::Reason::kParameters:
            break;
    }
    return fmt::format("a rotation was asked for ({}); epoch {} will serve it", keymgr::name(request.reason), target);
}

EventKind kind_of(keymgr::Reason reason) {
    if (reason == keymgr::Reason::kLimit) {
        return EventKind::kLimitReached;
    }
    return reason == keymgr::Reason::kSaLost ? EventKind::kSaLost : EventKind::kRotationRequested;
}

struct Wording {
    EventKind kind;
    std::string text;
};

Wording describe(const keymgr::Event& event, const keymgr::KeyState& state, const std::string& names) {
    switch (event.kind) {
        case keymgr::EventKind::kMade:
            return {EventKind::kEpochInstalling,
                    fmt::format("epoch {} is being installed: {}", event.epoch, reasons_of(state, event.epoch))};
        case keymgr::EventKind::kActivated:
            return {EventKind::kEpochActive, fmt::format("epoch {} is active: members send in it", event.epoch)};
        case keymgr::EventKind::kKept:
            return {EventKind::kStraggler,
                    fmt::format("epoch {} is over, but kept for {} until the straggler limit", event.epoch, names)};
        case keymgr::EventKind::kRetired:
            return {EventKind::kEpochRetired, fmt::format("epoch {} is retired: its keys are deleted", event.epoch)};
        case keymgr::EventKind::kAborted:
            return {EventKind::kEpochAborted, fmt::format("epoch {} was taken back before it was active", event.epoch)};
        case keymgr::EventKind::kCaughtUp:
            return {EventKind::kCaughtUp, fmt::format("{} caught up with epoch {}", names, event.epoch)};
        case keymgr::EventKind::kCutOff:
            break;
    }
    return {EventKind::kCutOff,
            fmt::format("{} did not change over from epoch {} in time and is cut off until it is back", names,
                        event.epoch)};
}

}  // namespace

void tell_request(const Cluster& cluster, store::Transaction& change, const base::NetworkId& network,
                  const RotationRequest& request, base::Epoch target, base::Time now) {
    tell(cluster, change,
         {.kind = kind_of(request.reason),
          .network = network,
          .node = request.node,
          .epoch = request.about == base::Epoch{} ? target : request.about,
          .text = request_text(cluster, request, target),
          .by = request.by},
         now);
}

void tell_step(const Cluster& cluster, store::Transaction& change, const NetworkState& network,
               const keymgr::Decision& decision, base::Time now) {
    const auto id = id_of<base::NetworkId>(network.record().id());
    for (const auto& event : decision.events) {
        const auto nodes = nodes_of(network, event.members);
        const auto only = nodes.size() == 1 ? nodes.front() : base::NodeId{};
        const auto names = node_names(cluster, nodes);
        auto [kind, text] = describe(event, *decision.state, names);
        const bool without = event.kind == keymgr::EventKind::kActivated && !nodes.empty();
        tell(cluster, change,
             {.kind = kind,
              .network = id,
              .node = without ? base::NodeId{} : only,
              .epoch = event.epoch,
              .text = std::move(text)},
             now);
        if (without) {
            tell(cluster, change,
                 {.kind = EventKind::kStraggler,
                  .network = id,
                  .node = only,
                  .epoch = event.epoch,
                  .text = fmt::format("{} has not got epoch {}: the others send to it in an older one", names,
                                      event.epoch)},
                 now);
        }
    }
}

}  // namespace warren::manager
