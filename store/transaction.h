#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

// The rules that hold for every implementation of Store. Pure.
namespace warren::store {

[[nodiscard]] base::Status check_key(std::string_view what, std::string_view key);
[[nodiscard]] base::Status check_prefix(std::string_view what, std::string_view prefix);  // may be empty
[[nodiscard]] base::Status check_ttl(base::Duration ttl);
[[nodiscard]] base::Status check_transaction(const Transaction& transaction);

// The key of a condition; whether it holds for what is there (null = absent).
[[nodiscard]] const std::string& key_of(const Compare& compare);
[[nodiscard]] bool holds(const Compare& compare, const KeyValue* current);

// The first string behind all keys of legal length that begin with `prefix`.
[[nodiscard]] std::string prefix_end(std::string_view prefix);

// A key as an error shows it: what is not printable ASCII as \xNN, long ones cut.
[[nodiscard]] std::string shown_key(std::string_view key);

}  // namespace warren::store
