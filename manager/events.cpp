#include "manager/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "manager/cluster.h"

namespace warren::manager {

namespace {

// Room for the names of a few nodes and a reason. Whatever comes from outside is cut here.
constexpr std::size_t kLongestText = 400;

constexpr bool listed_in_order() {
    for (std::size_t i = 0; i < kEventKinds.size(); ++i) {
        if (static_cast<std::size_t>(kEventKinds[i].kind) != i) {
            return false;
        }
    }
    return static_cast<std::size_t>(EventKind::kUnderlayTooSmall) + 1 == kEventKinds.size();
}
static_assert(listed_in_order());

// A record must be valid UTF-8 and a line; what others have sent need be neither.
std::string one_line(std::string_view text) {
    std::string line(text.substr(0, kLongestText));
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text.size() > kLongestText ? line + "..." : line;
}

v1::EventRecord write_event(const Cluster& cluster, const Event& event, base::Time now) {
    v1::EventRecord record;
    record.set_time(unix_ms(now));
    record.set_kind(std::string(name(event.kind)));
    if (!event.network.is_zero()) {
        const auto* network = cluster.network(event.network);
        record.set_network_id(raw(event.network));
        record.set_network(network == nullptr ? event.network_name : network->record().name());
    }
    if (!event.node.is_zero()) {
        record.set_node_id(raw(event.node));
        record.set_node(event.node_name.empty() ? cluster.node_name(event.node) : event.node_name);
    }
    record.set_epoch(event.epoch.value);
    record.set_text(one_line(event.text));
    record.set_by(one_line(event.by));
    return record;
}

std::size_t places(EventKind kind) {
    return kind == EventKind::kRefused ? kRefusalsKept : kEventsKept;
}

}  // namespace

std::string_view name(EventKind kind) {
    return kEventKinds.at(static_cast<std::size_t>(kind)).name;
}

void tell(const Cluster& cluster, store::Transaction& change, const Event& event, base::Time now) {
    const auto& log = cluster.events();
    const auto told = std::count_if(change.puts.begin(), change.puts.end(),
                                    [](const auto& put) { return put.key.starts_with(key::kEvents); });
    const auto sequence = log.last() + static_cast<EventLog::Sequence>(told) + 1;
    // Another change that tells something at the same time makes this one begin again.
    change.compares.emplace_back(store::Absent{key::event(sequence)});
    change.puts.push_back({.key = key::event(sequence), .value = write_event(cluster, event, now).SerializeAsString()});
    const auto& rivals = log.rivals(event.kind);
    const auto kept = rivals.size() + static_cast<std::size_t>(told) + 1;
    auto oldest = rivals.begin();
    for (auto excess = kept - std::min(kept, places(event.kind)); excess > 0 && oldest != rivals.end(); --excess) {
        const auto dropped = key::event(*oldest++);
        if (std::find(change.deletes.begin(), change.deletes.end(), dropped) == change.deletes.end()) {
            change.deletes.push_back(dropped);
        }
    }
}

void EventLog::put(Sequence sequence, v1::EventRecord record) {
    (record.kind() == name(EventKind::kRefused) ? refusals_ : others_).insert(sequence);
    records_.insert_or_assign(sequence, std::move(record));
    last_ = std::max(last_, sequence);
}

void EventLog::erase(Sequence sequence) {
    records_.erase(sequence);
    refusals_.erase(sequence);
    others_.erase(sequence);
}

std::optional<Event> RefusalLimit::refused(const std::string& by, const std::string& what, base::Time now) {
    const auto before = rate_.pass(kRate, now);
    if (!before) {
        return std::nullopt;
    }
    return Event{.kind = EventKind::kRefused,
                 .text = *before == 0 ? what : fmt::format("{} (and {} more before)", what, *before),
                 .by = by};
}

std::optional<Event> RefusalLimit::due(base::Time now) {
    const auto counted = rate_.flush(kRate, now);
    if (!counted) {
        return std::nullopt;
    }
    return Event{.kind = EventKind::kRefused,
                 .text = fmt::format("{} more requests were refused; warren status counts them by reason", *counted)};
}

}  // namespace warren::manager
