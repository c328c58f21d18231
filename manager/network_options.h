#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "keymgr/key_schedule.h"
#include "keymgr/limits.h"
#include "keymgr/rotation.h"
#include "proto/state.pb.h"

namespace warren::manager {

// What `--opt K[=V]` can say of a network.
struct NetworkOptions {
    bool encrypted = false;
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::uint32_t replay_window = 1024;                    // packets
    base::Duration key_rotation = std::chrono::hours(12);  // between scheduled rotations; 0 = never
    std::uint64_t rekey_after_packets = keymgr::kMostPackets;
    std::uint64_t rekey_after_bytes = keymgr::kMostBytes;
    std::optional<base::Mtu> mtu;  // unset: the most that every node's underlay carries

    bool operator==(const NetworkOptions&) const = default;
};

// Each option at most once; unknown ones, bad values, and options of encryption on a network without it are refused.
[[nodiscard]] base::Result<NetworkOptions> parse_network_options(std::span<const std::string> options);

// The options of a network in use, changed as `network update` says. Refused, with the reason, is what can't change
// while it is in use.
[[nodiscard]] base::Result<NetworkOptions> update_network_options(const NetworkOptions& now,
                                                                  std::span<const std::string> changes);

// The options of encryption and their place in an encrypted network's record.
[[nodiscard]] NetworkOptions encryption_of(const v1::NetworkRecord& record);
void set_encryption(v1::NetworkRecord& record, const NetworkOptions& options);

// What the rotation of an encrypted network goes by.
[[nodiscard]] keymgr::Settings key_settings(const v1::ClusterSettings& cluster, const NetworkOptions& options);

}  // namespace warren::manager
