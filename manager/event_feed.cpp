#include "manager/event_feed.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace warren::manager {

namespace {

using base::Code;
using base::fail;

constexpr base::Log kLog{"manager"};

v1::Event present_event(EventLog::Sequence sequence, const v1::EventRecord& record) {
    v1::Event shown;
    shown.set_sequence(sequence);
    shown.set_time_unix_ms(record.time());
    shown.set_kind(record.kind());
    if (!record.network_id().empty()) {
        shown.set_network(record.network());
        shown.set_network_id(id_of<base::NetworkId>(record.network_id()).text());
    }
    if (!record.node_id().empty()) {
        shown.set_node(record.node());
        shown.set_node_id(id_of<base::NodeId>(record.node_id()).text());
    }
    shown.set_epoch(record.epoch());
    shown.set_text(record.text());
    shown.set_by(record.by());
    return shown;
}

}  // namespace

// A network that is gone is still in the log.
base::Result<std::optional<base::NetworkId>> EventFeed::network_of(const v1::EventsRequest& request) const {
    if (request.network().empty()) {
        return std::nullopt;
    }
    auto present = cluster_->find_network(request.network());
    if (present) {
        return *present;
    }
    const auto& records = cluster_->events().records();
    const auto former = std::find_if(records.rbegin(), records.rend(),
                                     [&](const auto& entry) { return entry.second.network() == request.network(); });
    if (former == records.rend()) {
        return base::fail_with(std::move(present));
    }
    return id_of<base::NetworkId>(former->second.network_id());
}

base::Result<EventWatchId> EventFeed::open(const v1::EventsRequest& request, Report report, base::Time now) {
    const auto& log = cluster_->events();
    Watch watch{.report = std::move(report)};
    WARREN_TRY_ASSIGN(watch.network, network_of(request));
    if (!request.since().empty()) {
        WARREN_TRY_ASSIGN(watch.since, base::parse_moment("--since", request.since(), now));
    } else if (request.follow() && !request.has_after()) {
        watch.seen = log.last();
    }
    std::uint64_t dropped = 0;
    if (request.has_after()) {
        if (request.after() > log.last()) {
            return fail(Code::kInvalid, "events after {}: the log ends with {}; was an older store restored?",
                        request.after(), log.last());
        }
        const auto& records = log.records();
        const auto kept = std::distance(records.upper_bound(request.after()), records.end());
        watch.seen = request.after();
        dropped = log.last() - request.after() - static_cast<std::uint64_t>(kept);
    }
    auto first = news(watch);
    first.set_dropped(dropped);
    watch.report(first);
    const EventWatchId id{next_watch_++};
    if (request.follow()) {
        watches_.emplace(id, std::move(watch));
    }
    return id;
}

v1::EventsReply EventFeed::news(Watch& watch) const {
    const auto& log = cluster_->events();
    v1::EventsReply reply;
    for (auto entry = log.records().upper_bound(watch.seen); entry != log.records().end(); ++entry) {
        const auto& record = entry->second;
        const bool wanted = !watch.network || (!record.network_id().empty() &&
                                               id_of<base::NetworkId>(record.network_id()) == *watch.network);
        if (wanted && time_of(record.time()) >= watch.since) {
            *reply.add_events() = present_event(entry->first, record);
        }
    }
    watch.seen = log.last();
    reply.set_last(watch.seen);
    return reply;
}

void EventFeed::log_news() {
    const auto& records = cluster_->events().records();
    for (auto entry = records.upper_bound(logged_); entry != records.end(); ++entry) {
        const auto& record = entry->second;
        kLog.info("{}: {}{}{}{}{}", record.kind(), record.network().empty() ? "" : "network " + record.network() + ": ",
                  record.node().empty() ? "" : "node " + record.node() + ": ", record.text(),
                  record.by().empty() ? "" : "; asked for by ", record.by());
        logged_ = entry->first;
    }
}

void EventFeed::run() {
    log_news();
    for (auto& [id, watch] : watches_) {
        if (watch.seen < cluster_->events().last()) {
            watch.report(news(watch));
        }
    }
}

}  // namespace warren::manager
