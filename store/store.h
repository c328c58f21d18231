#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/strong.h"
#include "base/time.h"

// A versioned key-value store, shaped like etcd's v3 API (https://etcd.io/docs/v3.5/learning/api/) so that etcd can
// stand behind it. Keys and values are byte strings, keys are ordered by bytes. Values are opaque: secrets are sealed
// by who stores them.
namespace warren::store {

// Grows by one with each committed transaction that changes anything. From 1, the revision of a new store; 0 = none.
using StoreRevision = base::Strong<struct StoreRevisionTag, std::uint64_t>;
using LeaseId = base::Strong<struct LeaseIdTag, std::uint64_t>;  // never given out twice; 0 = none

// etcd's own default limits, so that nothing is built that only one implementation can hold.
constexpr std::size_t kMaxKeyBytes = 1024;
constexpr std::size_t kMaxTransactionBytes = 1U << 20U;  // keys and values together
constexpr std::size_t kMaxCompares = 128;
constexpr std::size_t kMaxChanges = 128;  // puts and deletes together
constexpr base::Duration kMinLeaseTtl = std::chrono::seconds(1);
constexpr base::Duration kMaxLeaseTtl = std::chrono::hours(24 * 365);

struct KeyValue {
    std::string key;
    std::string value;
    StoreRevision create_revision;  // of the put that made the key
    StoreRevision mod_revision;     // of the last put
    std::uint64_t version = 0;      // puts since the key was made, from 1
    LeaseId lease;                  // the key goes when this lease goes

    bool operator==(const KeyValue&) const = default;
};

struct RangeOptions {
    std::size_t limit = 0;  // at most so many keys; 0 = all
    std::string after;      // only keys behind this one: the last key of the page before
};
struct RangeResult {
    std::vector<KeyValue> items;  // ordered by key
    StoreRevision revision;       // the whole page was read at this revision
    bool more = false;            // the limit left keys out

    bool operator==(const RangeResult&) const = default;
};

// Conditions of a transaction.
struct Absent {
    std::string key;
    bool operator==(const Absent&) const = default;
};
struct Exists {
    std::string key;
    bool operator==(const Exists&) const = default;
};
// The key was last put at `revision`, so nobody has touched it since it was read. 0 means absent.
struct ModifiedAt {
    std::string key;
    StoreRevision revision;
    bool operator==(const ModifiedAt&) const = default;
};
struct ValueIs {
    std::string key;
    std::string value;
    bool operator==(const ValueIs&) const = default;
};
using Compare = std::variant<Absent, Exists, ModifiedAt, ValueIs>;

// Always a change, even with the value that is there. Without a lease it takes the key off the lease it had.
struct Put {
    std::string key;
    std::string value;
    LeaseId lease{};
    bool operator==(const Put&) const = default;
};

// If all compares hold, all changes are made at one revision; else none. The changes must not overlap (a key put twice,
// or put and deleted): that is kInvalid, as are broken limits and empty keys and prefixes.
struct Transaction {
    std::vector<Compare> compares;
    std::vector<Put> puts;
    std::vector<std::string> deletes;          // keys; one that is absent is no change
    std::vector<std::string> delete_prefixes;  // every key that begins so
    bool operator==(const Transaction&) const = default;
};

struct CommitResult {
    StoreRevision revision;                     // that of the changes; where nothing changed, the store's
    std::optional<std::size_t> failed_compare;  // index of the first one that did not hold

    [[nodiscard]] bool succeeded() const { return !failed_compare; }
    bool operator==(const CommitResult&) const = default;
};

enum class EventKind : std::uint8_t { kPut, kDelete };
struct Event {
    EventKind kind = EventKind::kPut;
    KeyValue item;  // of a deletion only key and mod_revision, the revision of the deletion

    [[nodiscard]] StoreRevision revision() const { return item.mod_revision; }
    bool operator==(const Event&) const = default;
};

// The error of watch() and drain() when the events asked for are no longer kept. The reader reads everything again with
// range() and watches from the revision after that.
constexpr base::Code kCompacted = base::Code::kPrecondition;

// The changes under a prefix, in order. Owned by the reader, used by one thread, must go before its store.
class Watch {
  public:
    Watch() = default;
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    virtual ~Watch() = default;

    // The events since the last drain, ordered by revision, none missing and none twice; all events of a revision come
    // in one drain, in no particular order (a key has one event per revision). kCompacted when the reader was too slow:
    // then this watch is over.
    [[nodiscard]] virtual base::Result<std::vector<Event>> drain() = 0;

    // `wake` is called once at registration and again when there are new events and the last ones were drained. Any
    // thread may be the caller, so it should only post to the reader's loop; it must not call the store. It is not
    // called any more once the watch is destroyed.
    virtual void on_ready(std::function<void()> wake) = 0;
};

// Any thread may call, also at the same time. Every change is on disk (or agreed on, with several stores) before its
// call returns.
//
// Errors of all functions: kInvalid names field, value and rule, and nothing changed; kExhausted: no space, nothing
// changed; kInternal and kUnavailable: disk or server failed, and a change may or may not have been made: read again.
class Store {
  public:
    Store() = default;
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;
    virtual ~Store() = default;

    [[nodiscard]] virtual base::Result<StoreRevision> revision() = 0;
    [[nodiscard]] virtual base::Result<std::optional<KeyValue>> get(std::string_view key) = 0;

    // All keys that begin with `prefix` (empty: all). Pages of one listing may be read at different revisions: who
    // watches from the revision after the first page's, and applies the events to what the pages said, ends up right.
    [[nodiscard]] virtual base::Result<RangeResult> range(std::string_view prefix, RangeOptions options) = 0;
    [[nodiscard]] base::Result<RangeResult> range(std::string_view prefix) { return range(prefix, {}); }

    // A failed compare is a result, not an error. kNotFound: a put names a lease that does not exist (any more).
    [[nodiscard]] virtual base::Result<CommitResult> commit(const Transaction& transaction) = 0;

    // Every event at or after `from`: those of the past that are still kept, then new ones. 0 = only what comes.
    // kCompacted when `from` is older than what is kept.
    [[nodiscard]] virtual base::Result<std::unique_ptr<Watch>> watch(std::string_view prefix, StoreRevision from) = 0;

    // Forgets the events before `revision`; values stay. kInvalid for a revision that is not there yet. What was
    // forgotten or replaced is in none of the store's files afterwards.
    [[nodiscard]] virtual base::Status compact(StoreRevision revision) = 0;

    // A lease lasts at least `ttl` from its last keep_alive on; when it ends, or is revoked, the keys put with it are
    // deleted in one transaction. Leases survive a restart of the store, each with its full ttl. kNotFound for one that
    // has ended.
    [[nodiscard]] virtual base::Result<LeaseId> grant(base::Duration ttl) = 0;
    [[nodiscard]] virtual base::Status keep_alive(LeaseId lease) = 0;
    [[nodiscard]] virtual base::Status revoke(LeaseId lease) = 0;

    // Does the work that time brings (ends leases, forgets old events) where the store has no server that does it. To
    // be called about once a second; leases end that much late at most.
    [[nodiscard]] virtual base::Status tick() = 0;
};

}  // namespace warren::store
