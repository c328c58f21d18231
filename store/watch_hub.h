#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace warren::store {

// Who wants to be woken for which prefix. Any thread; wakes are called with the hub's own mutex held, so that after
// remove() none is running.
class WatchHub {
  public:
    using Id = std::uint64_t;

    [[nodiscard]] Id add(std::string_view prefix);
    void remove(Id id);

    // Calls `wake` at once, and from then on whenever a key under the prefix changes after a rearm().
    void set_wake(Id id, std::function<void()> wake);
    // To be called before reading the events, so that one that comes meanwhile wakes again.
    void rearm(Id id);
    void changed(std::span<const std::string> keys);

  private:
    struct Watcher {
        std::string prefix;
        std::function<void()> wake;
        bool woken = false;
    };

    std::mutex mutex_;
    Id last_ = 0;
    std::map<Id, Watcher> watchers_;
};

}  // namespace warren::store
