#pragma once

#include <functional>
#include <map>
#include <optional>

#include "base/result.h"
#include "manager/cluster.h"
#include "proto/control.pb.h"

namespace warren::manager {

using EventWatchId = base::Strong<struct EventWatchIdTag, std::uint64_t>;

// Who reads and follows the log of events. The log is the cache's, and that is fed by the store: a follower gets the
// events in order, each once, whoever wrote them, also across restarts of the manager if it says where it was.
//
// Owner: the manager's core. Thread: the manager's.
class EventFeed {
  public:
    using Report = std::function<void(const v1::EventsReply&)>;

    explicit EventFeed(const Cluster& cluster) : cluster_(&cluster), logged_(cluster.events().last()) {}

    // Reports what the log has, at once, and with follow what comes, until close(). kInvalid: a malformed `since`, or
    // an `after` that this log has not come to; kNotFound: no such network.
    [[nodiscard]] base::Result<EventWatchId> open(const v1::EventsRequest& request, Report report, base::Time now);
    void close(EventWatchId watch) { watches_.erase(watch); }
    // Reports what is new to each, and to the program's log.
    void run();

  private:
    struct Watch {
        std::optional<base::NetworkId> network;
        base::Time since;
        EventLog::Sequence seen = 0;
        Report report;
    };

    const Cluster* cluster_;
    EventLog::Sequence logged_;
    std::map<EventWatchId, Watch> watches_;
    std::uint64_t next_watch_ = 1;

    void log_news();
    [[nodiscard]] v1::EventsReply news(Watch& watch) const;
    [[nodiscard]] base::Result<std::optional<base::NetworkId>> network_of(const v1::EventsRequest& request) const;
};

}  // namespace warren::manager
