#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"
#include "base/strong.h"
#include "keymgr/key_schedule.h"
#include "keymgr/limits.h"

// Security associations and policies as values. Nothing here talks to a kernel, reads a clock or holds a key.
namespace warren::xfrm {

// Host order here; the codec turns it.
using Spi = base::Strong<struct SpiTag, std::uint32_t>;
using Reqid = base::Strong<struct ReqidTag, std::uint32_t>;

enum class Direction : std::uint8_t { kIn, kOut };
[[nodiscard]] std::string_view name(Direction direction);  // "in", "out"

// ---- Numbers ----

// What an SPI of ours says: bits 31-30 = 01, 29-28 slot, 27-14 sender, 13-0 network. Unique at every receiver by
// construction, and outside 0xc0000000-0xcfffffff, which strongSwan's charon takes.
struct SpiParts {
    base::EpochSlot slot;        // 0..3
    base::NodeIndex sender;      // 14 bits
    base::NetworkIndex network;  // 14 bits

    auto operator<=>(const SpiParts&) const = default;
};
inline constexpr std::uint32_t kIndexMask = 0x3fff;

[[nodiscard]] constexpr Spi make_spi(const SpiParts& parts) {
    return Spi{0x40000000U | (parts.slot.value & 3U) << 28U | (parts.sender.value & kIndexMask) << 14U |
               (parts.network.value & kIndexMask)};
}
// nullopt: not of our form.
[[nodiscard]] constexpr std::optional<SpiParts> split_spi(Spi spi) {
    if (spi.value >> 30U != 1) {
        return std::nullopt;
    }
    return SpiParts{.slot = base::EpochSlot{static_cast<std::uint8_t>(spi.value >> 28U & 3U)},
                    .sender = base::NodeIndex{static_cast<std::uint16_t>(spi.value >> 14U & kIndexMask)},
                    .network = base::NetworkIndex{static_cast<std::uint16_t>(spi.value & kIndexMask)}};
}

// The mark of everything that is ours in the kernel's IPsec: a reqid in 0x57000000/8, on SAs and on the template of
// every policy (the kernel ignores the template of a block policy, but keeps it).
inline constexpr std::uint32_t kReqidMark = 0x57000000;

[[nodiscard]] constexpr Reqid make_reqid(base::NetworkIndex network) {
    return Reqid{kReqidMark | network.value};
}
// The network of a reqid that make_reqid() can have made; nullopt: not ours, never to be touched.
[[nodiscard]] constexpr std::optional<base::NetworkIndex> network_of(Reqid reqid) {
    if ((reqid.value & ~kIndexMask) != kReqidMark) {
        return std::nullopt;
    }
    return base::NetworkIndex{static_cast<std::uint16_t>(reqid.value & kIndexMask)};
}

// The kernel's name of a cipher, its ICV and what XFRMA_ALG_AEAD counts as key: key and salt.
struct AeadName {
    std::string_view kernel;
    std::uint32_t icv_bits;
    std::uint32_t key_bits;
};
[[nodiscard]] AeadName aead(keymgr::Cipher cipher);

// ---- Policies ----

// VXLAN source ports of encrypted networks: 512-1023, which no unprivileged process can bind.
inline constexpr std::uint16_t kSourcePort = 512;
inline constexpr std::uint16_t kSourcePortMask = 0xfe00;
inline constexpr std::uint32_t kAllowPriority = 1000;
inline constexpr std::uint32_t kBlockPriority = 2000;

// A port and the bits of it that count; mask 0 is any port.
struct PortMatch {
    std::uint16_t port = 0;
    std::uint16_t mask = 0;

    [[nodiscard]] bool overlaps(const PortMatch& other) const { return ((port ^ other.port) & mask & other.mask) == 0; }
    auto operator<=>(const PortMatch&) const = default;
};

struct Selector {
    base::Family family = base::Family::kIpv4;
    base::Prefix source;        // length 0 is any
    base::Prefix destination;   // length 0 is any
    std::uint8_t protocol = 0;  // 0 is any
    PortMatch source_port;
    PortMatch destination_port;
    std::uint32_t interface = 0;

    [[nodiscard]] bool overlaps(const Selector& other) const;
    auto operator<=>(const Selector&) const = default;
};

enum class Action : std::uint8_t { kAllow, kBlock };
enum class Mode : std::uint8_t { kTransport = 0, kTunnel = 1, kOther = 2 };

// The transformation that a policy demands.
struct Template {
    Reqid reqid;
    std::uint8_t protocol = 0;
    Mode mode = Mode::kTransport;
    bool pinned = false;    // names an SPI or addresses
    bool optional = false;  // an inbound packet may lack it
    bool any_algorithm = true;

    auto operator<=>(const Template&) const = default;
};

struct Policy {
    Direction direction = Direction::kOut;
    Selector selector;
    Action action = Action::kBlock;
    std::uint32_t priority = 0;
    std::vector<Template> templates;
    // Has a flag or a limit, which ours never have.
    bool restricted = false;
    // Has a mark, an interface id or a type, by which the kernel tells policies apart: not ours.
    bool keyed_apart = false;
    std::uint32_t index = 0;  // the kernel's own number; 0 in a wanted policy, ignored by same_policy()

    bool operator==(const Policy&) const = default;
};
// Equal in all but the kernel's number.
[[nodiscard]] bool same_policy(const Policy& a, const Policy& b);
// The network that a policy belongs to; nullopt: not ours.
[[nodiscard]] std::optional<base::NetworkIndex> owner(const Policy& policy);
// One line for people: "out allow 10.0.0.1/32 -> any udp 512/0xfe00 -> 10007, priority 1000".
[[nodiscard]] std::string text(const Policy& policy);

// ---- Security associations ----

struct SaLocation {
    base::IpAddress destination;
    Spi spi;
    base::IpAddress source;

    auto operator<=>(const SaLocation&) const = default;
};
// The kernel has one SA for a destination and SPI, whatever the source (net/xfrm/xfrm_state.c, __xfrm_state_lookup).
struct KernelOrder {
    [[nodiscard]] bool operator()(const SaLocation& a, const SaLocation& b) const {
        return std::tie(a.destination, a.spi) < std::tie(b.destination, b.spi);
    }
};
[[nodiscard]] std::string text(const SaLocation& location);  // "10.0.0.1 -> 10.0.0.2 spi 0x40004001"

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// Soft limits: the kernel reports an SA that reaches one, once, and goes on using it. kNoLimit: none.
struct SoftLimits {
    std::uint64_t packets = keymgr::kMostPackets;
    std::uint64_t bytes = keymgr::kMostBytes;

    auto operator<=>(const SoftLimits&) const = default;
};

struct SaCounters {
    std::uint64_t packets = 0;
    std::uint64_t bytes = 0;
    std::uint64_t sequence_out = 0;  // last sent, with the high half of ESN
    std::uint64_t sequence_in = 0;   // highest seen
    std::uint32_t outside_window = 0;
    std::uint32_t replayed = 0;
    std::uint32_t integrity_failed = 0;

    auto operator<=>(const SaCounters&) const = default;
};

// An SA as the kernel shows it, without its key.
struct Sa {
    SaLocation location;
    Reqid reqid;
    std::uint8_t protocol = 0;
    Mode mode = Mode::kTransport;
    std::string aead;  // empty: not an AEAD
    std::uint32_t icv_bits = 0;
    std::uint32_t key_bits = 0;
    bool esn = false;
    std::uint32_t replay_window = 0;
    base::UdpPort encap{};  // ESP in UDP from and to this port; 0: plain ESP
    // Has a flag, a selector, another encapsulation, a hard or time limit or what else ours never have.
    bool restricted = false;
    // Has a mark, by which the kernel tells SAs apart: not ours.
    bool keyed_apart = false;
    SoftLimits soft{.packets = kNoLimit, .bytes = kNoLimit};
    SaCounters counters;

    bool operator==(const Sa&) const = default;
};

// The network that an SA belongs to; nullopt: not ours. Nor is a larval state (SPI 0), which the kernel makes for
// itself with our reqid where a key manager listens.
[[nodiscard]] std::optional<base::NetworkIndex> owner(const Sa& sa);

// ---- What is wanted of one encrypted network ----

struct Member {
    base::NodeId node;
    base::NodeIndex index;
    base::IpAddress vtep;
    base::MembershipId membership;

    bool operator==(const Member&) const = default;
};

struct EpochView {
    base::Epoch number;
    base::EpochSlot slot;
    keymgr::Cipher cipher = keymgr::Cipher::kAes128Gcm;
    std::uint32_t replay_window = 1024;           // packets, 32..4096
    base::UdpPort encap{};                        // ESP in UDP from and to this port; 0: plain ESP
    const keymgr::EpochSecret* secret = nullptr;  // borrowed for the call; null: held without its secret, installs fail
};

struct Peer {
    Member member;
    base::Epoch send;                  // the epoch to send to it in; 0: none, so nothing can be sent
    std::vector<base::Epoch> receive;  // every epoch it may still send in
};

// A value of the caller's, complete: what is not in it is not wanted.
struct Network {
    base::ClusterId cluster;
    base::NetworkId id;
    base::NetworkIndex index;
    base::UdpPort port;
    Member self;
    SoftLimits limits;  // of SAs to be added, and what the counters of all are compared with
    std::vector<EpochView> epochs;
    std::vector<Peer> peers;
};

}  // namespace warren::xfrm
