#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/strong.h"

namespace warren::base {

using IdBytes = std::array<std::uint8_t, 16>;

// 128 random bits that name one object for ever. Text form: 32 lower-case hex digits.
template <typename Tag>
struct Id {
    IdBytes bytes{};

    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool is_zero() const { return bytes == IdBytes{}; }
    auto operator<=>(const Id&) const = default;
};

[[nodiscard]] std::string id_text(const IdBytes& bytes);
// `what` names the field in the error: "network id 12: must be 32 hex digits".
[[nodiscard]] Result<IdBytes> parse_id_bytes(std::string_view what, std::string_view text);
[[nodiscard]] IdBytes random_id_bytes();

template <typename Tag>
std::string Id<Tag>::text() const {
    return id_text(bytes);
}
template <typename IdType>
[[nodiscard]] Result<IdType> parse_id(std::string_view what, std::string_view text) {
    return parse_id_bytes(what, text).map([](const IdBytes& bytes) { return IdType{bytes}; });
}
template <typename IdType>
[[nodiscard]] IdType random_id() {
    return IdType{random_id_bytes()};
}

using ClusterId = Id<struct ClusterIdTag>;
using NodeId = Id<struct NodeIdTag>;
using NetworkId = Id<struct NetworkIdTag>;
using EndpointId = Id<struct EndpointIdTag>;
using BootId = Id<struct BootIdTag>;  // /proc/sys/kernel/random/boot_id of a node

using NodeIndex = Strong<struct NodeIndexTag, std::uint16_t>;        // 14 bits, from 1
using NetworkIndex = Strong<struct NetworkIndexTag, std::uint16_t>;  // 14 bits, from 1; encrypted networks only
using Vni = Strong<struct VniTag, std::uint32_t>;                    // 24 bits
using Epoch = Strong<struct EpochTag, std::uint32_t>;                // from 1; 0 = none
using EpochSlot = Strong<struct EpochSlotTag, std::uint8_t>;         // 0..3
using MembershipId = Strong<struct MembershipIdTag, std::uint64_t>;  // random; 0 = none
using Revision = Strong<struct RevisionTag, std::uint64_t>;          // a network's state number, from 1; 0 = none yet
using IfIndex = Strong<struct IfIndexTag, std::uint32_t>;
using UdpPort = Strong<struct UdpPortTag, std::uint16_t>;
using Mtu = Strong<struct MtuTag, std::uint32_t>;  // bytes of an IP packet

}  // namespace warren::base

template <typename Tag>
struct std::hash<warren::base::Id<Tag>> {
    // The bytes are random, so any eight of them are a hash.
    std::size_t operator()(const warren::base::Id<Tag>& id) const noexcept {
        std::size_t head = 0;
        std::memcpy(&head, id.bytes.data(), sizeof head);
        return head;
    }
};

template <typename Tag>
struct fmt::formatter<warren::base::Id<Tag>> : fmt::formatter<std::string> {
    template <typename Context>
    auto format(const warren::base::Id<Tag>& id, Context& context) const {
        return fmt::formatter<std::string>::format(id.text(), context);
    }
};
