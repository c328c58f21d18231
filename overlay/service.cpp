#include "overlay/service.h"

#include <algorithm>

#include "base/text.h"

namespace warren::overlay {

namespace {

constexpr std::size_t kLongestName = 15;

bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_service_name(std::string_view name) {
    return !name.empty() && name.size() <= kLongestName && std::ranges::any_of(name, is_letter) &&
           std::ranges::all_of(name, [](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '-'; }) &&
           !name.starts_with('-') && !name.ends_with('-') && name.find("--") == std::string_view::npos;
}

}  // namespace

std::string Service::text() const {
    return fmt::format("{}:{}/{}", name, port, name_of(transport));
}

base::Result<Service> parse_service(std::string_view what, std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return base::fail(base::Code::kInvalid, "{} '{}': {}; it is NAME:PORT[/tcp|udp], such as http:80/tcp", what,
                          text, why);
    };
    Service service;
    auto rest = text;
    const auto transport = take_transport(rest);
    if (!transport) {
        return refuse("the protocol must be tcp or udp");
    }
    service.transport = *transport;
    const auto parts = base::split(rest, ':');
    if (parts.size() != 2) {
        return refuse("a name and a port are needed");
    }
    if (!is_service_name(parts[0])) {
        return refuse(
            "the name must be 1 to 15 letters, digits and single hyphens between them, with a letter among them "
            "(RFC 6335)");
    }
    const auto port = parse_port(parts[1]);
    if (!port) {
        return refuse("the port must be a number from 1 to 65535");
    }
    service.name = base::to_lower(parts[0]);
    service.port = *port;
    return service;
}

}  // namespace warren::overlay
