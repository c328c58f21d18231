#pragma once

#include <atomic>
#include <filesystem>
#include <memory>

#include "store/sqlite_store.h"
#include "tests/test_directory.h"
#include "tests/unit/store/conformance.h"

namespace warren::store {

// A clock that stands still until it is set.
class TestClock {
  public:
    // To be used while this lives.
    [[nodiscard]] base::Clock clock() const {
        return [this] { return base::Time(base::Duration(now_.load())); };
    }
    void advance(base::Duration time) { now_ += time.count(); }

  private:
    std::atomic<std::int64_t> now_ = 1'000'000;
};

class SqliteBackend final : public Backend {
  public:
    SqliteBackend() { open(OpenMode::kCreate); }

    Store& store() override { return *store_; }
    void restart() override {
        store_.reset();
        open(OpenMode::kExisting);
    }
    void let_pass(base::Duration time) override {
        clock_.advance(time);
        must(store_->tick());
    }

  private:
    void open(OpenMode mode) {
        store_ = must(SqliteStore::open(directory_.path() / "store.db", {.mode = mode, .clock = clock_.clock()}));
    }

    TestDirectory directory_;
    TestClock clock_;
    std::unique_ptr<SqliteStore> store_;
};

}  // namespace warren::store
