#include "agent/vanished.h"

namespace warren::agent {

void Vanished::see(const base::EndpointId& endpoint, Sight sight, base::Moment now) {
    auto& known = endpoints_[endpoint];
    known.looked = now;
    if (sight == Sight::kThere) {
        known.was_there = true;
        known.release_at.reset();
    } else if (!known.release_at) {
        const bool soon = known.was_there || sight == Sight::kReplaced;
        known.release_at = now + (soon ? kPatience : kPatienceAfterStart);
    }
}

std::vector<base::EndpointId> Vanished::due(base::Moment now) {
    std::vector<base::EndpointId> list;
    for (auto& [endpoint, known] : endpoints_) {
        if (known.release_at && *known.release_at <= now) {
            list.push_back(endpoint);
            known.release_at = now + kAgain;
        }
    }
    return list;
}

void Vanished::keep_seen_at(base::Moment now) {
    std::erase_if(endpoints_, [now](const auto& entry) { return entry.second.looked != now; });
}

}  // namespace warren::agent
