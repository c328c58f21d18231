#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace warren::agent {

// Which endpoints of this node have lost their container for good. A namespace that is not there may come back under
// its name: a container that is made anew in a moment, or those of a host that has just booted. Pure.
class Vanished {
  public:
    enum class Sight : std::uint8_t {
        kThere,
        kMissing,   // may come back
        kReplaced,  // cannot: the namespace was that of one process, and there is no such process or another one
    };
    void see(const base::EndpointId& endpoint, Sight sight, base::Moment now);
    // Those to be released. Whoever is among them is so again a while later, until it is forgotten or there.
    [[nodiscard]] std::vector<base::EndpointId> due(base::Moment now);
    // Forgets all that were not seen at this moment.
    void keep_seen_at(base::Moment now);

    static constexpr base::Duration kPatience = std::chrono::seconds(2);
    // With one that was not there since the daemon began.
    static constexpr base::Duration kPatienceAfterStart = std::chrono::minutes(5);
    static constexpr base::Duration kAgain = std::chrono::seconds(30);

  private:
    struct Known {
        base::Moment looked;
        bool was_there = false;
        std::optional<base::Moment> release_at;
    };
    std::map<base::EndpointId, Known> endpoints_;
};

}  // namespace warren::agent
