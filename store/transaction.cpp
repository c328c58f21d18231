#include "store/transaction.h"

#include <algorithm>
#include <iterator>

namespace warren::store {

using base::Code;
using base::fail;
using base::Status;

namespace {

constexpr std::size_t kMaxShownKey = 80;

Status check_sizes(const Transaction& transaction) {
    if (transaction.compares.size() > kMaxCompares) {
        return fail(Code::kInvalid, "transaction: {} compares: at most {}, split it", transaction.compares.size(),
                    kMaxCompares);
    }
    const std::size_t changes =
        transaction.puts.size() + transaction.deletes.size() + transaction.delete_prefixes.size();
    if (changes > kMaxChanges) {
        return fail(Code::kInvalid, "transaction: {} changes: at most {}, split it", changes, kMaxChanges);
    }
    std::size_t bytes = 0;
    for (const Compare& compare : transaction.compares) {
        const auto* value_is = std::get_if<ValueIs>(&compare);
        bytes += key_of(compare).size() + (value_is != nullptr ? value_is->value.size() : 0);
    }
    for (const Put& put : transaction.puts) {
        bytes += put.key.size() + put.value.size();
    }
    if (bytes > kMaxTransactionBytes) {
        return fail(Code::kInvalid, "transaction: {} bytes of keys and values: at most {}, split it", bytes,
                    kMaxTransactionBytes);
    }
    return {};
}

Status check_keys(const Transaction& transaction) {
    for (const Compare& compare : transaction.compares) {
        WARREN_TRY(check_key("compared key", key_of(compare)));
    }
    for (const Put& put : transaction.puts) {
        WARREN_TRY(check_key("put key", put.key));
    }
    for (const std::string& key : transaction.deletes) {
        WARREN_TRY(check_key("deleted key", key));
    }
    for (const std::string& prefix : transaction.delete_prefixes) {
        WARREN_TRY(check_key("deleted prefix", prefix));
    }
    return {};
}

// etcd refuses these as well: what is left at the end would depend on an order that a set of changes does not have.
Status check_overlaps(const Transaction& transaction) {
    std::vector<std::string_view> keys;
    keys.reserve(transaction.puts.size());
    std::transform(transaction.puts.begin(), transaction.puts.end(), std::back_inserter(keys),
                   [](const Put& put) -> std::string_view { return put.key; });
    std::sort(keys.begin(), keys.end());
    if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end()) {
        return fail(Code::kInvalid, "put key {}: put twice in one transaction", shown_key(*twice));
    }
    for (const std::string& deleted : transaction.deletes) {
        if (std::binary_search(keys.begin(), keys.end(), std::string_view(deleted))) {
            return fail(Code::kInvalid, "deleted key {}: also put in the same transaction", shown_key(deleted));
        }
    }
    for (const std::string& prefix : transaction.delete_prefixes) {
        const auto first = std::lower_bound(keys.begin(), keys.end(), std::string_view(prefix));
        if (first != keys.end() && first->starts_with(prefix)) {
            return fail(Code::kInvalid, "deleted prefix {}: {} is also put in the same transaction", shown_key(prefix),
                        shown_key(*first));
        }
    }
    return {};
}

struct Holds {
    const KeyValue* current;

    bool operator()(const Absent&) const { return current == nullptr; }
    bool operator()(const Exists&) const { return current != nullptr; }
    bool operator()(const ModifiedAt& compare) const {
        return compare.revision == (current != nullptr ? current->mod_revision : StoreRevision{});
    }
    bool operator()(const ValueIs& compare) const { return current != nullptr && current->value == compare.value; }
};

}  // namespace

Status check_key(std::string_view what, std::string_view key) {
    if (key.empty()) {
        return fail(Code::kInvalid, "{}: must not be empty", what);
    }
    return check_prefix(what, key);
}

Status check_prefix(std::string_view what, std::string_view prefix) {
    if (prefix.size() > kMaxKeyBytes) {
        return fail(Code::kInvalid, "{} {}: {} bytes, at most {}", what, shown_key(prefix), prefix.size(),
                    kMaxKeyBytes);
    }
    return {};
}

Status check_ttl(base::Duration ttl) {
    if (ttl < kMinLeaseTtl || ttl > kMaxLeaseTtl) {
        return fail(Code::kInvalid, "lease ttl {} ms: must be {} to {} ms", ttl.count(), kMinLeaseTtl.count(),
                    kMaxLeaseTtl.count());
    }
    return {};
}

Status check_transaction(const Transaction& transaction) {
    WARREN_TRY(check_sizes(transaction));
    WARREN_TRY(check_keys(transaction));
    return check_overlaps(transaction);
}

const std::string& key_of(const Compare& compare) {
    return std::visit([](const auto& one) -> const std::string& { return one.key; }, compare);
}

bool holds(const Compare& compare, const KeyValue* current) {
    return std::visit(Holds{current}, compare);
}

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) {
        end.pop_back();
    }
    if (end.empty()) {
        return std::string(kMaxKeyBytes + 1, '\xff');
    }
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1U);
    return end;
}

std::string shown_key(std::string_view key) {
    std::string shown;
    for (const char c : key.substr(0, kMaxShownKey)) {
        if (c > ' ' && c <= '~' && c != '\\') {
            shown += c;
        } else {
            shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        }
    }
    return key.size() > kMaxShownKey ? shown + "..." : shown;
}

}  // namespace warren::store
