#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>

#include "cli/table.h"

// What more than one answer shows, so that it looks the same everywhere.
namespace warren::cli {

// The ciphers that a node's kernel has, or each reason why there are none on a line of its own.
void add_ciphers(Block& block, const std::string& key, const google::protobuf::RepeatedPtrField<std::string>& ciphers,
                 const std::string& problem);

// How much of what may be sent under one key is used up; red when it is all.
[[nodiscard]] Cell limit_used(double percent);

// When a node's certificate ends; red when it has.
void add_certificate(Block& block, std::int64_t expires_unix_ms, const View& view);

}  // namespace warren::cli
