#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "store/store.h"
#include "store/watch_hub.h"

namespace warren::store {

namespace sqlite {
class Connection;
}

// kExisting never makes a store: a file that is gone is an error, not an empty cluster. kCreate makes a new one, whole
// or not at all, and also takes one that nothing was ever committed to.
enum class OpenMode : std::uint8_t { kExisting, kCreate };

struct SqliteOptions {
    OpenMode mode = OpenMode::kExisting;
    // Leases and ages are measured as this clock advances while the store is open; its jumps backwards do not count.
    // Empty: a steady clock, which is what a daemon wants.
    base::Clock clock;
    // Watches can begin this far back: at least one revision, and not longer ago than this (0 = any age).
    std::uint64_t history_revisions = 10'000;
    base::Duration history_age = std::chrono::hours(24);
    // The file grows no larger (0 = the disk's limit).
    std::uint64_t max_bytes = 0;
};

// A store in one SQLite file, for one process at a time. All functions may be called from any thread and wait for one
// mutex; there is no thread inside. commit() and tick() end the leases that are due before they do anything else; reads
// do not write. Leases are kept alive in memory only (no disk write), so that each has its full ttl again after a
// restart.
class SqliteStore final : public Store {
  public:
    // The directory of `path` is made with 0700, or must be the caller's own and closed to everybody else; the file
    // gets 0600. Every error names the file and what to do: kConflict: another process has it, or (kCreate) there is a
    // store; kNotFound: no such file; kPrecondition: written by a newer version, or not a store; kDenied; kInternal:
    // damaged.
    [[nodiscard]] static base::Result<std::unique_ptr<SqliteStore>> open(const std::filesystem::path& path,
                                                                         SqliteOptions options);
    ~SqliteStore() override;

    [[nodiscard]] base::Result<StoreRevision> revision() override;
    [[nodiscard]] base::Result<std::optional<KeyValue>> get(std::string_view key) override;
    using Store::range;
    [[nodiscard]] base::Result<RangeResult> range(std::string_view prefix, RangeOptions options) override;
    [[nodiscard]] base::Result<CommitResult> commit(const Transaction& transaction) override;
    [[nodiscard]] base::Result<std::unique_ptr<Watch>> watch(std::string_view prefix, StoreRevision from) override;
    [[nodiscard]] base::Status compact(StoreRevision revision) override;
    [[nodiscard]] base::Result<LeaseId> grant(base::Duration ttl) override;
    [[nodiscard]] base::Status keep_alive(LeaseId lease) override;
    [[nodiscard]] base::Status revoke(LeaseId lease) override;
    [[nodiscard]] base::Status tick() override;

  private:
    class HistoryWatch;
    struct Change;
    struct Lease {
        base::Duration ttl{};
        base::Duration deadline{};  // on the time of now()
    };

    SqliteStore(base::UniqueFd lock, std::unique_ptr<sqlite::Connection> db, SqliteOptions options);

    // With mutex_ held.
    [[nodiscard]] base::Status load();
    [[nodiscard]] base::Duration now();
    [[nodiscard]] base::Result<std::optional<KeyValue>> find(std::string_view key);
    [[nodiscard]] base::Result<std::optional<std::size_t>> failed_compare(const std::vector<Compare>& compares);
    [[nodiscard]] base::Result<Change> begin();
    [[nodiscard]] base::Status apply(Change& change, const Transaction& transaction);
    [[nodiscard]] base::Status put(Change& change, const Put& put);
    [[nodiscard]] base::Status erase(Change& change, const std::string& key);
    [[nodiscard]] base::Status erase_all(Change& change, const std::vector<std::string>& keys);
    [[nodiscard]] base::Status finish(Change& change);
    [[nodiscard]] base::Status trim(StoreRevision oldest);
    [[nodiscard]] base::Status forget_before(StoreRevision oldest);
    [[nodiscard]] base::Status forget_old_events();
    [[nodiscard]] base::Status end_lease(LeaseId lease);
    [[nodiscard]] base::Status end_due_leases();
    [[nodiscard]] base::Status check_kept(StoreRevision from) const;
    [[nodiscard]] base::Result<std::vector<Event>> events(std::string_view prefix, StoreRevision from);

    std::mutex mutex_;
    base::UniqueFd lock_;  // outlives the connection
    std::unique_ptr<sqlite::Connection> db_;
    SqliteOptions options_;
    StoreRevision revision_;   // the last one committed
    StoreRevision oldest_;     // history is complete from here on
    base::Time last_reading_;  // of the clock
    base::Duration elapsed_{};
    std::map<LeaseId, Lease> leases_;
    WatchHub hub_;
};

}  // namespace warren::store
