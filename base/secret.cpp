#include "base/secret.h"

#include <cstring>

namespace warren::base {

void wipe(std::span<std::uint8_t> bytes) {
    if (!bytes.empty()) {
        ::explicit_bzero(bytes.data(), bytes.size());
    }
}

}  // namespace warren::base
