#pragma once

#include <array>
#include <compare>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace warren::base {

enum class Family : std::uint8_t { kIpv4, kIpv6 };

// An IPv4 or IPv6 address. Bytes are in network order; an IPv4 address has its four in front and zeros behind.
struct IpAddress {
    Family family = Family::kIpv4;
    std::array<std::uint8_t, 16> bytes{};

    [[nodiscard]] static IpAddress v4(std::uint32_t host_order);
    // From 4 or 16 bytes in network order; nullopt for any other length.
    [[nodiscard]] static std::optional<IpAddress> from_bytes(std::span<const std::uint8_t> bytes);

    [[nodiscard]] std::span<const std::uint8_t> raw() const {
        return {bytes.data(), family == Family::kIpv4 ? 4U : 16U};
    }
    [[nodiscard]] unsigned bits() const { return family == Family::kIpv4 ? 32 : 128; }
    [[nodiscard]] std::uint32_t as_v4() const;  // host order; IPv4 only
    // Its last eight bytes as a number; of IPv4 all of it.
    [[nodiscard]] std::uint64_t low() const;
    // The address so many behind it, where they differ in low() alone.
    [[nodiscard]] IpAddress plus(std::uint64_t count) const;
    [[nodiscard]] bool is_unspecified() const { return bytes == decltype(bytes){}; }
    [[nodiscard]] bool is_link_local() const;
    [[nodiscard]] bool is_multicast() const;
    [[nodiscard]] bool is_loopback() const;
    [[nodiscard]] std::string text() const;

    auto operator<=>(const IpAddress&) const = default;
};

// `what` names the field in the error: "--ip '10.0.0': must be an IPv4 or IPv6 address".
[[nodiscard]] Result<IpAddress> parse_ip(std::string_view what, std::string_view text);

// An address with a prefix length. A subnet when no host bit is set (is_subnet), else an interface's address.
struct Prefix {
    IpAddress address;
    std::uint8_t length = 0;

    [[nodiscard]] bool is_subnet() const { return network() == address; }
    [[nodiscard]] IpAddress network() const;  // first address
    [[nodiscard]] IpAddress last() const;     // last address: the broadcast address of an IPv4 subnet
    [[nodiscard]] bool contains(const IpAddress& other) const;
    [[nodiscard]] bool overlaps(const Prefix& other) const;
    [[nodiscard]] std::string text() const;

    auto operator<=>(const Prefix&) const = default;
};
[[nodiscard]] Result<Prefix> parse_prefix(std::string_view what, std::string_view text);

struct MacAddress {
    std::array<std::uint8_t, 6> bytes{};

    [[nodiscard]] std::string text() const;
    auto operator<=>(const MacAddress&) const = default;
};
// A unicast MAC address in xx:xx:xx:xx:xx:xx.
[[nodiscard]] Result<MacAddress> parse_mac(std::string_view what, std::string_view text);
// 02:57 and the last four bytes of the address (locally administered, unicast): what comes back under an address is
// found at once by those who knew it.
[[nodiscard]] MacAddress mac_for(const IpAddress& ip);

// "IP:PORT" or "[IPv6]:PORT"; without a port `default_port`.
struct SocketAddress {
    IpAddress ip;
    std::uint16_t port = 0;

    [[nodiscard]] std::string text() const;
    auto operator<=>(const SocketAddress&) const = default;
};
[[nodiscard]] Result<SocketAddress> parse_socket_address(std::string_view what, std::string_view text,
                                                         std::uint16_t default_port);

}  // namespace warren::base

template <typename T>
concept WarrenTextual = std::same_as<T, warren::base::IpAddress> || std::same_as<T, warren::base::Prefix> ||
    std::same_as<T, warren::base::MacAddress> || std::same_as<T, warren::base::SocketAddress>;

template <WarrenTextual T>
struct fmt::formatter<T> : fmt::formatter<std::string> {
    template <typename Context>
    auto format(const T& value, Context& context) const {
        return fmt::formatter<std::string>::format(value.text(), context);
    }
};
