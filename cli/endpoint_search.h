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

// The endpoints of the same container, one for each of its networks; this one first. Borrowed from both.
[[nodiscard]] std::vector<const v1::Endpoint*> beside(const v1::Endpoint& endpoint, const Endpoints& all);

// Whom it may ask for names in its network; empty: nobody is known.
[[nodiscard]] std::string gateway_for(const v1::Endpoint& endpoint, const v1::Network& network);

}  // namespace warren::cli
