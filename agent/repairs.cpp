#include "agent/repairs.h"

#include <algorithm>
#include <utility>

namespace warren::agent {

namespace {

constexpr base::Duration kFirstPause = std::chrono::seconds(1);
constexpr base::Duration kLastPause = std::chrono::seconds(30);

}  // namespace

std::optional<base::Moment> Repairs::note(base::Moment now, std::string by) {
    const bool over = fights() ? now - last_ > kOver : now - first_ > kSpan;
    if (row_ == 0 || over) {
        row_ = 0;
        first_ = now;
    }
    last_ = now;
    last_by_ = std::move(by);
    ++row_;
    if (!fights()) {
        return std::nullopt;
    }
    return now + std::min(kLastPause, kFirstPause * (1 << std::min<std::size_t>(row_ - kAccidents, 5)));
}

std::size_t Repairs::fought(base::Moment now) const {
    return fights() && now - last_ <= kOver ? row_ : 0;
}

}  // namespace warren::agent
