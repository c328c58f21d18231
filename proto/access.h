#pragma once

#include <set>
#include <string_view>

#include "proto/roles.pb.h"

namespace warren::proto {

// The roles that the .proto allows to call a method, by its full path "/warren.v1.Control/NodeList". Empty: nobody,
// because the method declares nothing or does not exist.
[[nodiscard]] std::set<v1::Role> allowed_roles(std::string_view method_path);

}  // namespace warren::proto
