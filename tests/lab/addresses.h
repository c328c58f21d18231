#pragma once

#include <string>

namespace warren::lab {

// An address that is shown with the length of its subnet, by itself.
inline std::string without_length(const std::string& address) {
    return address.substr(0, address.find('/'));
}

}  // namespace warren::lab
