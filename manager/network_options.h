#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "keymgr/key_schedule.h"

namespace warren::manager {

// What `--opt K[=V]` can say of a network.
struct NetworkOptions {
    bool encrypted = false;
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::uint32_t replay_window = 1024;  // packets
    std::optional<base::Mtu> mtu;        // unset: the most that every node's underlay carries

    bool operator==(const NetworkOptions&) const = default;
};

// Each option at most once; unknown ones, bad values, and options of encryption on a network without it are refused.
[[nodiscard]] base::Result<NetworkOptions> parse_network_options(std::span<const std::string> options);

}  // namespace warren::manager
