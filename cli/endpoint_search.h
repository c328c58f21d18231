#pragma once

#include <google/protobuf/repeated_field.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "proto/control.pb.h"

namespace warren::cli {

using Endpoints = google::protobuf::RepeatedPtrField<v1::Endpoint>;

// By its id, or else the only one with this name, or with an id that begins so. kNotFound, and kConflict with those
// that it may be. Borrowed from `all`.
[[nodiscard]] base::Result<const v1::Endpoint*> find_endpoint(const Endpoints& all, const std::string& wanted);

// The networks that the endpoint's container is in, the endpoint's own first.
[[nodiscard]] std::vector<std::string> networks_of(const v1::Endpoint& endpoint, const Endpoints& all);

}  // namespace warren::cli
