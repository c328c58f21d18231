#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

namespace warren::manager {

// Who follows subjects of a kind, and what each was told last. `Progress` is a message with done() and elapsed_ms.
// Thread: the manager's.
template <typename Id, typename Subject, typename Progress>
class ReportWatches {
  public:
    using Report = std::function<void(const Progress&)>;

    [[nodiscard]] Id add(Subject subject, Report report, base::Time now) {
        const Id id{next_++};
        watches_.emplace(id,
                         Watch{.subject = std::move(subject), .began = now, .report = std::move(report), .last = {}});
        return id;
    }
    void end(Id watch) { watches_.erase(watch); }
    // Nobody has followed for longer or less because the clock was set.
    void clock_set(base::Duration by) {
        for (auto& [id, watch] : watches_) {
            watch.began += by;
        }
    }

    // Tells everybody what has changed since the last time: `describe(subject, began)` gives it, or nothing where there
    // is nothing to tell. A progress that is done ends its watch.
    template <typename Describe>
    void report(base::Time now, const Describe& describe) {
        std::vector<Id> ended;
        for (auto& [id, watch] : watches_) {
            std::optional<Progress> message = describe(watch.subject, watch.began);
            if (!message) {
                continue;
            }
            auto text = message->SerializeAsString();
            if (text != watch.last) {
                watch.last = std::move(text);
                message->set_elapsed_ms((now - watch.began).count());
                watch.report(*message);
            }
            if (message->done()) {
                ended.push_back(id);
            }
        }
        for (const auto id : ended) {
            watches_.erase(id);
        }
    }

  private:
    struct Watch {
        Subject subject;
        base::Time began;
        Report report;
        std::string last;  // what was reported last
    };
    std::map<Id, Watch> watches_;
    std::uint64_t next_ = 1;
};

}  // namespace warren::manager
