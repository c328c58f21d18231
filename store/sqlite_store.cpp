#include "store/sqlite_store.h"

#include <algorithm>
#include <utility>

#include "store/sqlite_connection.h"
#include "store/sqlite_file.h"
#include "store/transaction.h"

namespace warren::store {

using base::Code;
using base::Duration;
using base::fail;
using base::Result;
using base::Status;
using sqlite::Query;

namespace {

base::Time steady_now() {
    return base::Time(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

// Columns: key, value, create_revision, mod_revision, version, lease.
KeyValue item_of(const Query& query) {
    return {.key = query.bytes(0),
            .value = query.bytes(1),
            .create_revision = StoreRevision(query.integer(2)),
            .mod_revision = StoreRevision(query.integer(3)),
            .version = query.integer(4),
            .lease = LeaseId(query.integer(5))};
}

StoreRevision next(StoreRevision revision) {
    return StoreRevision(revision.value + 1);
}

Result<std::vector<std::string>> keys_of(Result<Query> query) {
    if (!query) {
        return base::fail_with(std::move(query));
    }
    std::vector<std::string> keys;
    while (true) {
        WARREN_TRY_ASSIGN(const bool row, query->step());
        if (!row) {
            return keys;
        }
        keys.push_back(query->bytes(0));
    }
}

tl::unexpected<base::Error> no_lease(LeaseId lease) {
    return fail(Code::kNotFound, "lease {}: does not exist or has ended", lease);
}

}  // namespace

// A transaction being made: its revision becomes the store's if it has changed a key.
struct SqliteStore::Change {
    sqlite::WriteTransaction transaction;
    StoreRevision revision;
    Duration at{};
    std::vector<std::string> keys{};
};

// Reads the history from where it stopped the last time: a slow reader costs no memory.
class SqliteStore::HistoryWatch final : public Watch {
  public:
    HistoryWatch(SqliteStore& store, std::string_view prefix, StoreRevision from)
        : store_(store), prefix_(prefix), from_(from), id_(store.hub_.add(prefix)) {}
    ~HistoryWatch() override { store_.hub_.remove(id_); }

    Result<std::vector<Event>> drain() override {
        store_.hub_.rearm(id_);
        const std::scoped_lock lock(store_.mutex_);
        WARREN_TRY_ASSIGN(std::vector<Event> events, store_.events(prefix_, from_));
        from_ = std::max(from_, next(store_.revision_));
        return events;
    }

    void on_ready(std::function<void()> wake) override { store_.hub_.set_wake(id_, std::move(wake)); }

  private:
    SqliteStore& store_;
    std::string prefix_;
    StoreRevision from_;
    WatchHub::Id id_;
};

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::filesystem::path& path, SqliteOptions options) {
    if (options.history_revisions == 0) {
        return fail(Code::kInvalid, "store {}: history_revisions 0: must be at least 1", path.native());
    }
    if (!options.clock) {
        options.clock = steady_now;
    }
    WARREN_TRY_ASSIGN(sqlite::StoreFile file, sqlite::open_file(path, options.mode, options.max_bytes));
    std::unique_ptr<SqliteStore> store(
        new SqliteStore(std::move(file.lock), std::move(file.connection), std::move(options)));
    WARREN_TRY(store->load());
    return store;
}

SqliteStore::SqliteStore(base::UniqueFd lock, std::unique_ptr<sqlite::Connection> db, SqliteOptions options)
    : lock_(std::move(lock)), db_(std::move(db)), options_(std::move(options)), last_reading_(options_.clock()) {}

SqliteStore::~SqliteStore() = default;

Status SqliteStore::load() {
    WARREN_TRY_ASSIGN(revision_.value, db_->number("SELECT revision FROM state"));
    WARREN_TRY_ASSIGN(oldest_.value, db_->number("SELECT oldest FROM state"));
    WARREN_TRY_ASSIGN(const std::uint64_t last_put, db_->number("SELECT coalesce(max(mod_revision), 0) FROM kv"));
    if (last_put > revision_.value || oldest_ > next(revision_)) {
        return tl::unexpected<base::Error>(db_->error(SQLITE_CORRUPT));
    }
    WARREN_TRY_ASSIGN(const std::uint64_t at, db_->number("SELECT coalesce(max(committed_at), 0) FROM history"));
    elapsed_ = Duration(at);
    WARREN_TRY_ASSIGN(Query leases, db_->query("SELECT id, ttl FROM lease"));
    while (true) {
        WARREN_TRY_ASSIGN(const bool row, leases.step());
        if (!row) {
            return {};
        }
        const Duration ttl(leases.integer(1));
        leases_.emplace(LeaseId(leases.integer(0)), Lease{.ttl = ttl, .deadline = elapsed_ + ttl});
    }
}

Duration SqliteStore::now() {
    const base::Time reading = options_.clock();
    elapsed_ += std::max(reading - last_reading_, Duration::zero());
    last_reading_ = reading;
    return elapsed_;
}

Result<StoreRevision> SqliteStore::revision() {
    const std::scoped_lock lock(mutex_);
    return revision_;
}

Result<std::optional<KeyValue>> SqliteStore::get(std::string_view key) {
    WARREN_TRY(check_key("key", key));
    const std::scoped_lock lock(mutex_);
    return find(key);
}

Result<std::optional<KeyValue>> SqliteStore::find(std::string_view key) {
    WARREN_TRY_ASSIGN(Query query,
                      db_->query("SELECT key, value, create_revision, mod_revision, version, lease FROM kv "
                                 "WHERE key = ?1",
                                 {key}));
    WARREN_TRY_ASSIGN(const bool row, query.step());
    return row ? std::optional(item_of(query)) : std::nullopt;
}

Result<RangeResult> SqliteStore::range(std::string_view prefix, RangeOptions options) {
    WARREN_TRY(check_prefix("prefix", prefix));
    WARREN_TRY(check_prefix("after", options.after));
    // The smallest key behind `after` is `after` with a zero byte.
    const std::string first =
        options.after.empty() ? std::string(prefix) : std::max(std::string(prefix), options.after + '\0');
    const std::string end = prefix_end(prefix);
    const std::scoped_lock lock(mutex_);
    RangeResult result{.items = {}, .revision = revision_};
    WARREN_TRY_ASSIGN(Query query,
                      db_->query("SELECT key, value, create_revision, mod_revision, version, lease FROM kv "
                                 "WHERE key >= ?1 AND key < ?2 ORDER BY key",
                                 {first, end}));
    while (true) {
        WARREN_TRY_ASSIGN(const bool row, query.step());
        if (!row) {
            return result;
        }
        if (options.limit != 0 && result.items.size() == options.limit) {
            result.more = true;
            return result;
        }
        result.items.push_back(item_of(query));
    }
}

Result<CommitResult> SqliteStore::commit(const Transaction& transaction) {
    WARREN_TRY(check_transaction(transaction));
    const std::scoped_lock lock(mutex_);
    WARREN_TRY(end_due_leases());
    WARREN_TRY_ASSIGN(const auto failed, failed_compare(transaction.compares));
    if (failed) {
        return CommitResult{.revision = revision_, .failed_compare = failed};
    }
    for (const Put& put : transaction.puts) {
        if (put.lease != LeaseId{} && !leases_.contains(put.lease)) {
            return no_lease(put.lease);
        }
    }
    WARREN_TRY_ASSIGN(Change change, begin());
    WARREN_TRY(apply(change, transaction));
    WARREN_TRY(finish(change));
    return CommitResult{.revision = revision_, .failed_compare = std::nullopt};
}

Result<std::optional<std::size_t>> SqliteStore::failed_compare(const std::vector<Compare>& compares) {
    for (std::size_t i = 0; i < compares.size(); ++i) {
        WARREN_TRY_ASSIGN(const auto current, find(key_of(compares[i])));
        if (!holds(compares[i], current ? &*current : nullptr)) {
            return i;
        }
    }
    return std::nullopt;
}

Result<SqliteStore::Change> SqliteStore::begin() {
    const Duration at = now();
    WARREN_TRY_ASSIGN(auto transaction, sqlite::WriteTransaction::begin(*db_));
    return Change{.transaction = std::move(transaction), .revision = next(revision_), .at = at};
}

Status SqliteStore::apply(Change& change, const Transaction& transaction) {
    for (const std::string& key : transaction.deletes) {
        WARREN_TRY(erase(change, key));
    }
    for (const std::string& prefix : transaction.delete_prefixes) {
        const std::string end = prefix_end(prefix);
        WARREN_TRY_ASSIGN(const auto keys,
                          keys_of(db_->query("SELECT key FROM kv WHERE key >= ?1 AND key < ?2", {prefix, end})));
        WARREN_TRY(erase_all(change, keys));
    }
    for (const Put& put : transaction.puts) {
        WARREN_TRY(this->put(change, put));
    }
    return {};
}

Status SqliteStore::put(Change& change, const Put& put) {
    WARREN_TRY_ASSIGN(const auto current, find(put.key));
    const StoreRevision created = current ? current->create_revision : change.revision;
    const std::uint64_t version = current ? current->version + 1 : 1;
    WARREN_TRY(
        db_->run("INSERT INTO kv (key, value, create_revision, mod_revision, version, lease) "
                 "VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (key) DO UPDATE SET value = ?2, "
                 "mod_revision = ?4, version = ?5, lease = ?6",
                 {put.key, put.value, created, change.revision, version, put.lease}));
    change.keys.push_back(put.key);
    return db_->run(
        "INSERT INTO history (revision, key, value, create_revision, version, lease, committed_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        {change.revision, put.key, put.value, created, version, put.lease, change.at.count()});
}

Status SqliteStore::erase(Change& change, const std::string& key) {
    {
        WARREN_TRY_ASSIGN(Query deletion, db_->query("DELETE FROM kv WHERE key = ?1 RETURNING 1", {key}));
        WARREN_TRY_ASSIGN(const bool was_there, deletion.step());
        if (!was_there) {
            return {};
        }
    }
    change.keys.push_back(key);
    return db_->run(
        "INSERT INTO history (revision, key, value, create_revision, version, lease, committed_at) "
        "VALUES (?1, ?2, NULL, 0, 0, 0, ?3)",
        {change.revision, key, change.at.count()});
}

Status SqliteStore::erase_all(Change& change, const std::vector<std::string>& keys) {
    for (const std::string& key : keys) {
        WARREN_TRY(erase(change, key));
    }
    return {};
}

Status SqliteStore::finish(Change& change) {
    StoreRevision oldest = oldest_;
    if (!change.keys.empty()) {
        if (change.revision.value > options_.history_revisions) {
            oldest = std::max(oldest, StoreRevision(change.revision.value - options_.history_revisions + 1));
        }
        WARREN_TRY(db_->run("UPDATE state SET revision = ?1", {change.revision}));
        WARREN_TRY(trim(oldest));
    }
    WARREN_TRY(change.transaction.commit());
    if (!change.keys.empty()) {
        revision_ = change.revision;
        oldest_ = oldest;
        hub_.changed(change.keys);
    }
    return {};
}

Result<std::unique_ptr<Watch>> SqliteStore::watch(std::string_view prefix, StoreRevision from) {
    WARREN_TRY(check_prefix("prefix", prefix));
    const std::scoped_lock lock(mutex_);
    if (from == StoreRevision{}) {
        from = next(revision_);
    }
    WARREN_TRY(check_kept(from));
    return std::make_unique<HistoryWatch>(*this, prefix, from);
}

Status SqliteStore::check_kept(StoreRevision from) const {
    if (from < oldest_) {
        return fail(kCompacted,
                    "store {}: events from revision {} on are kept, {} was asked for: read everything again",
                    db_->path(), oldest_, from);
    }
    return {};
}

Result<std::vector<Event>> SqliteStore::events(std::string_view prefix, StoreRevision from) {
    WARREN_TRY(check_kept(from));
    std::vector<Event> events;
    if (from > revision_) {
        return events;
    }
    const std::string end = prefix_end(prefix);
    WARREN_TRY_ASSIGN(Query query, db_->query("SELECT key, value, create_revision, revision, version, lease "
                                              "FROM history WHERE revision >= ?1 AND key >= ?2 AND key < ?3 "
                                              "ORDER BY revision, rowid",
                                              {from, prefix, end}));
    while (true) {
        WARREN_TRY_ASSIGN(const bool row, query.step());
        if (!row) {
            return events;
        }
        events.push_back({.kind = query.is_null(1) ? EventKind::kDelete : EventKind::kPut, .item = item_of(query)});
    }
}

Status SqliteStore::compact(StoreRevision revision) {
    const std::scoped_lock lock(mutex_);
    if (revision > revision_) {
        return fail(Code::kInvalid, "compact to revision {}: the store is at {}", revision, revision_);
    }
    WARREN_TRY(forget_before(revision));
    // The log has old pages, too. Nobody else reads the file, so nothing keeps it from being emptied.
    WARREN_TRY_ASSIGN(const std::uint64_t busy, db_->number("PRAGMA wal_checkpoint(TRUNCATE)"));
    return busy == 0 ? Status() : Status(fail(Code::kInternal, "store {}: its log can't be emptied", db_->path()));
}

Status SqliteStore::forget_before(StoreRevision oldest) {
    if (oldest <= oldest_) {
        return {};
    }
    WARREN_TRY_ASSIGN(auto transaction, sqlite::WriteTransaction::begin(*db_));
    WARREN_TRY(trim(oldest));
    WARREN_TRY(transaction.commit());
    oldest_ = oldest;
    return {};
}

Status SqliteStore::trim(StoreRevision oldest) {
    if (oldest == oldest_) {
        return {};
    }
    WARREN_TRY(db_->run("DELETE FROM history WHERE revision < ?1", {oldest}));
    return db_->run("UPDATE state SET oldest = ?1", {oldest});
}

Status SqliteStore::forget_old_events() {
    const Duration limit = now() - options_.history_age;
    if (options_.history_age == Duration::zero() || limit < Duration::zero()) {
        return {};
    }
    StoreRevision last_old;
    {
        WARREN_TRY_ASSIGN(Query query, db_->query("SELECT coalesce(max(revision), 0) FROM history "
                                                  "WHERE committed_at <= ?1",
                                                  {limit.count()}));
        WARREN_TRY(query.step());
        last_old = StoreRevision(query.integer(0));
    }
    return forget_before(next(last_old));
}

Result<LeaseId> SqliteStore::grant(Duration ttl) {
    WARREN_TRY(check_ttl(ttl));
    const std::scoped_lock lock(mutex_);
    WARREN_TRY_ASSIGN(auto transaction, sqlite::WriteTransaction::begin(*db_));
    WARREN_TRY(db_->run("UPDATE state SET last_lease = last_lease + 1"));
    WARREN_TRY_ASSIGN(const std::uint64_t id, db_->number("SELECT last_lease FROM state"));
    WARREN_TRY(db_->run("INSERT INTO lease (id, ttl) VALUES (?1, ?2)", {id, ttl.count()}));
    WARREN_TRY(transaction.commit());
    leases_.emplace(LeaseId(id), Lease{.ttl = ttl, .deadline = now() + ttl});
    return LeaseId(id);
}

Status SqliteStore::keep_alive(LeaseId lease) {
    const std::scoped_lock lock(mutex_);
    const auto found = leases_.find(lease);
    const Duration at = now();
    if (found == leases_.end() || found->second.deadline <= at) {
        return no_lease(lease);
    }
    found->second.deadline = at + found->second.ttl;
    return {};
}

Status SqliteStore::revoke(LeaseId lease) {
    const std::scoped_lock lock(mutex_);
    return leases_.contains(lease) ? end_lease(lease) : Status(no_lease(lease));
}

Status SqliteStore::end_lease(LeaseId lease) {
    WARREN_TRY_ASSIGN(Change change, begin());
    // The condition on 0 is the index's.
    WARREN_TRY_ASSIGN(const auto keys,
                      keys_of(db_->query("SELECT key FROM kv WHERE lease = ?1 AND lease <> 0", {lease})));
    WARREN_TRY(erase_all(change, keys));
    WARREN_TRY(db_->run("DELETE FROM lease WHERE id = ?1", {lease}));
    WARREN_TRY(finish(change));
    leases_.erase(lease);
    return {};
}

Status SqliteStore::end_due_leases() {
    const Duration at = now();
    std::vector<std::pair<Duration, LeaseId>> due;
    for (const auto& [id, lease] : leases_) {
        if (lease.deadline <= at) {
            due.emplace_back(lease.deadline, id);
        }
    }
    std::sort(due.begin(), due.end());
    for (const auto& [deadline, id] : due) {
        WARREN_TRY(end_lease(id));
    }
    return {};
}

Status SqliteStore::tick() {
    const std::scoped_lock lock(mutex_);
    WARREN_TRY(end_due_leases());
    return forget_old_events();
}

}  // namespace warren::store
