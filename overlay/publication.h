#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"

// A port of a container that is reached through its host's addresses. Pure.
namespace warren::overlay {

enum class Transport : std::uint8_t { kTcp, kUdp };
[[nodiscard]] std::string_view name_of(Transport transport);
// What is behind the slash of PORT[/tcp|udp], which it takes off; without one TCP. nullopt: something else.
[[nodiscard]] std::optional<Transport> take_transport(std::string_view& text);
// From 1 to 65535.
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view text);

struct Publication {
    Transport transport = Transport::kTcp;
    std::optional<base::IpAddress> host_ip;  // nullopt: every IPv4 address of the host
    std::uint16_t host_port = 0;
    std::uint16_t port = 0;  // of the container

    // "127.0.0.1:8080:80/tcp", without the address if there is none.
    [[nodiscard]] std::string text() const;
    auto operator<=>(const Publication&) const = default;
};

// From [IP:]HOSTPORT:PORT[/tcp|udp]. `what` names the field in the error ("--publish").
[[nodiscard]] base::Result<Publication> parse_publication(std::string_view what, std::string_view text);

// One host can't have both.
[[nodiscard]] bool collide(const Publication& a, const Publication& b);

}  // namespace warren::overlay
