#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "store/store.h"

// What every implementation of Store must do. To run it against another one: link the conformance_*_test.cpp files and
// INSTANTIATE_TEST_SUITE_P(<Name>, Conformance, testing::Values(BackendKind{...}), shown_backend).
namespace warren::store {

// One store, empty at first, and a hand on what surrounds it.
class Backend {
  public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    virtual Store& store() = 0;
    // Ends the store's process (or the client's) and starts it again with the same data.
    virtual void restart() = 0;
    // Lets time go by for leases, and the store do what it does at such times.
    virtual void let_pass(base::Duration time) = 0;
};

struct BackendKind {
    std::string name;
    std::function<std::unique_ptr<Backend>()> make;
};
inline std::string shown_backend(const testing::TestParamInfo<BackendKind>& info) {
    return info.param.name;
}

class Conformance : public testing::TestWithParam<BackendKind> {
  protected:
    Store& store() { return backend_->store(); }
    Backend& backend() { return *backend_; }

  private:
    std::unique_ptr<Backend> backend_ = GetParam().make();
};

// The value, or a failed test that says the error.
template <typename T>
T must(base::Result<T> result) {
    if (!result) {
        throw std::runtime_error(result.error().message());
    }
    if constexpr (!std::is_void_v<T>) {
        return *std::move(result);
    }
}

inline StoreRevision put(Store& store, std::string key, std::string value, LeaseId lease = {}) {
    return must(store.commit({.puts = {{.key = std::move(key), .value = std::move(value), .lease = lease}}})).revision;
}
inline StoreRevision erase(Store& store, std::string key) {
    return must(store.commit({.deletes = {std::move(key)}})).revision;
}
// "k=v" for each item.
inline std::vector<std::string> listed(Store& store, std::string_view prefix = "") {
    std::vector<std::string> items;
    for (const KeyValue& item : must(store.range(prefix)).items) {
        items.push_back(item.key + "=" + item.value);
    }
    return items;
}
// "+k=v" or "-k", and " | " where another revision begins.
inline std::string shown(const std::vector<Event>& events) {
    std::string text;
    for (std::size_t i = 0; i < events.size(); ++i) {
        if (i != 0) {
            text += events[i].revision() == events[i - 1].revision() ? " " : " | ";
        }
        text += events[i].kind == EventKind::kPut ? "+" + events[i].item.key + "=" + events[i].item.value
                                                  : "-" + events[i].item.key;
    }
    return text;
}

// A reader on the other end of a watch, which waits for its wake.
class Reader {
  public:
    Reader(Store& store, std::string_view prefix, StoreRevision from) : watch_(must(store.watch(prefix, from))) {
        watch_->on_ready([this] {
            const std::scoped_lock lock(mutex_);
            ready_ = true;
            woken_.notify_all();
        });
    }

    // Everything up to the event of `last_key`, which the test puts behind what it looks for.
    std::vector<Event> until(std::string_view last_key) {
        std::vector<Event> events;
        const auto seen_last = [&] { return !events.empty() && events.back().item.key == last_key; };
        while (!seen_last()) {
            {
                std::unique_lock lock(mutex_);
                if (!woken_.wait_for(lock, std::chrono::seconds(20), [&] { return ready_; })) {
                    throw std::runtime_error("the watch never woke its reader for " + std::string(last_key) +
                                             ", seen: " + shown(events));
                }
                ready_ = false;
            }
            for (Event& event : must(watch_->drain())) {
                events.push_back(std::move(event));
            }
        }
        return events;
    }
    Watch& watch() { return *watch_; }

  private:
    std::mutex mutex_;
    std::condition_variable woken_;
    bool ready_ = false;
    std::unique_ptr<Watch> watch_;  // goes first: it may be calling
};

}  // namespace warren::store
