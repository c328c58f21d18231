#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "overlay/publication.h"

// What an endpoint offers at a port, as names lead to it. Pure.
namespace warren::overlay {

struct Service {
    std::string name;  // in lower case
    Transport transport = Transport::kTcp;
    std::uint16_t port = 0;

    // "http:80/tcp".
    [[nodiscard]] std::string text() const;
    auto operator<=>(const Service&) const = default;
};

// From NAME:PORT[/tcp|udp]; the name is as RFC 6335 section 5.1 has it. `what` names the field in the error
// ("--service").
[[nodiscard]] base::Result<Service> parse_service(std::string_view what, std::string_view text);

}  // namespace warren::overlay
