#include "base/random.h"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace warren::base {

void random_bytes(std::span<std::uint8_t> out) {
    while (!out.empty()) {
        const ssize_t got = ::getrandom(out.data(), out.size(), 0);
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            std::abort();
        }
        out = out.subspan(static_cast<std::size_t>(got));
    }
}

std::uint64_t random_u64() {
    std::array<std::uint8_t, sizeof(std::uint64_t)> bytes{};
    random_bytes(bytes);
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

}  // namespace warren::base
