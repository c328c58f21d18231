#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "keymgr/key_schedule.h"
#include "keymgr/limits.h"
#include "keymgr/rotation.h"
#include "overlay/mtu.h"
#include "proto/state.pb.h"

namespace warren::manager {

// What `--opt K[=V]` can say of a network.
struct NetworkOptions {
    bool encrypted = false;
    bool multicast = false;  // broadcast and multicast go to all members
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    bool cipher_auto = false;                              // `cipher` is chosen by what all nodes can do
    base::UdpPort encap{};                                 // of ESP in UDP; 0 = plain ESP
    std::uint32_t replay_window = 1024;                    // packets
    base::Duration key_rotation = std::chrono::hours(12);  // between scheduled rotations; 0 = never
    std::uint64_t rekey_after_packets = keymgr::kMostPackets;
    std::uint64_t rekey_after_bytes = keymgr::kMostBytes;
    std::optional<base::Mtu> mtu;       // unset: the most that every node's underlay carries
    std::vector<std::uint32_t> vnis{};  // one for each IPv4 subnet; none: the next ones

    bool operator==(const NetworkOptions&) const = default;
};

// Of ESP in UDP unless another one is given. 4500, which RFC 3948 has, belongs to IKE daemons such as strongSwan's.
inline constexpr base::UdpPort kEncapPort{7443};

// Each option at most once; unknown ones, bad values, and options of encryption on a network without it are refused.
[[nodiscard]] base::Result<NetworkOptions> parse_network_options(std::span<const std::string> options);

// The options of a network in use, changed as `network update` says. Refused, with the reason, is what can't change
// while it is in use.
[[nodiscard]] base::Result<NetworkOptions> update_network_options(const NetworkOptions& now,
                                                                  std::span<const std::string> changes);

// The options of encryption and their place in an encrypted network's record.
[[nodiscard]] NetworkOptions encryption_of(const v1::NetworkRecord& record);
void set_encryption(v1::NetworkRecord& record, const NetworkOptions& options);
// The same of all options that can change while a network is in use. What follows from the MTU that was asked for is
// set apart.
[[nodiscard]] NetworkOptions options_of(const v1::NetworkRecord& record);
void set_options(v1::NetworkRecord& record, const NetworkOptions& options);

// No network of the cluster uses the UDP port, or may come to. `what` begins the error.
[[nodiscard]] base::Status check_free_udp_port(std::string_view what, const v1::ClusterSettings& cluster,
                                               base::UdpPort port);
// A network of several parts has none: its nodes take from one another only what comes from an endpoint, and what was
// routed comes from a gateway.
[[nodiscard]] base::Status check_multicast(const NetworkOptions& options, std::size_t parts);
// ESP in UDP has a port that no network uses itself.
[[nodiscard]] base::Status check_encap(const v1::ClusterSettings& cluster, const NetworkOptions& options);

// What is an epoch's: changed, it takes a rotation.
[[nodiscard]] keymgr::EpochParameters epoch_parameters(const NetworkOptions& options);
// What its packets are wrapped in.
[[nodiscard]] overlay::Protection protection(const NetworkOptions& options);
// What the rotation of an encrypted network goes by.
[[nodiscard]] keymgr::Settings key_settings(const v1::ClusterSettings& cluster, const NetworkOptions& options);

}  // namespace warren::manager
