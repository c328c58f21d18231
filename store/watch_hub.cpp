#include "store/watch_hub.h"

#include <algorithm>
#include <utility>

namespace warren::store {

WatchHub::Id WatchHub::add(std::string_view prefix) {
    const std::scoped_lock lock(mutex_);
    watchers_.emplace(++last_, Watcher{.prefix = std::string(prefix)});
    return last_;
}

void WatchHub::remove(Id id) {
    const std::scoped_lock lock(mutex_);
    watchers_.erase(id);
}

void WatchHub::set_wake(Id id, std::function<void()> wake) {
    const std::scoped_lock lock(mutex_);
    Watcher& watcher = watchers_.at(id);
    watcher.wake = std::move(wake);
    watcher.woken = true;
    if (watcher.wake) {
        watcher.wake();
    }
}

void WatchHub::rearm(Id id) {
    const std::scoped_lock lock(mutex_);
    watchers_.at(id).woken = false;
}

void WatchHub::changed(std::span<const std::string> keys) {
    const std::scoped_lock lock(mutex_);
    for (auto& [id, watcher] : watchers_) {
        const auto& prefix = watcher.prefix;
        if (!watcher.woken && watcher.wake &&
            std::any_of(keys.begin(), keys.end(), [&](const std::string& key) { return key.starts_with(prefix); })) {
            watcher.woken = true;
            watcher.wake();
        }
    }
}

}  // namespace warren::store
