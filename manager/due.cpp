#include "manager/due.h"

#include <algorithm>

namespace warren::manager {

std::vector<base::NetworkId> take_due(Due& due, base::Time now) {
    std::vector<base::NetworkId> ready;
    std::erase_if(due, [&](const auto& entry) {
        const bool comes = entry.second <= now;
        if (comes) {
            ready.push_back(entry.first);
        }
        return comes;
    });
    return ready;
}

std::optional<base::Time> next_due(const Due& due) {
    const auto next =
        std::min_element(due.begin(), due.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    return next == due.end() ? std::nullopt : std::optional(next->second);
}

}  // namespace warren::manager
