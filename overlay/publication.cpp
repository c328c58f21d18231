#include "overlay/publication.h"

#include "base/text.h"

namespace warren::overlay {

std::string_view name_of(Transport transport) {
    return transport == Transport::kTcp ? "tcp" : "udp";
}

std::optional<Transport> take_transport(std::string_view& text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) {
        return Transport::kTcp;
    }
    const auto name = text.substr(slash + 1);
    text = text.substr(0, slash);
    if (name != "tcp" && name != "udp") {
        return std::nullopt;
    }
    return name == "tcp" ? Transport::kTcp : Transport::kUdp;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
    const auto number = base::parse_unsigned(text, UINT16_MAX);
    return number && *number > 0 ? std::optional(static_cast<std::uint16_t>(*number)) : std::nullopt;
}

std::string Publication::text() const {
    return fmt::format("{}{}:{}/{}", host_ip ? host_ip->text() + ":" : "", host_port, port, name_of(transport));
}

base::Result<Publication> parse_publication(std::string_view what, std::string_view text) {
    const auto refuse = [&](std::string_view why) {
        return base::fail(base::Code::kInvalid, "{} '{}': {}; it is [IP:]HOSTPORT:PORT[/tcp|udp], such as 8080:80/tcp",
                          what, text, why);
    };
    Publication out;
    auto rest = text;
    const auto transport = take_transport(rest);
    if (!transport) {
        return refuse("the protocol must be tcp or udp");
    }
    out.transport = *transport;
    auto parts = base::split(rest, ':');
    if (parts.size() == 3) {
        const auto ip = base::parse_ip(what, parts.front());
        if (!ip || ip->family != base::Family::kIpv4) {
            return refuse("the address must be an IPv4 address");
        }
        if (!ip->is_unspecified()) {
            out.host_ip = *ip;
        }
        parts.erase(parts.begin());
    }
    if (parts.size() != 2) {
        return refuse("the host's port and the container's are needed");
    }
    const auto host_port = parse_port(parts[0]);
    const auto port = parse_port(parts[1]);
    if (!host_port || !port) {
        return refuse("a port must be a number from 1 to 65535");
    }
    out.host_port = *host_port;
    out.port = *port;
    return out;
}

bool collide(const Publication& a, const Publication& b) {
    return a.transport == b.transport && a.host_port == b.host_port &&
           (!a.host_ip || !b.host_ip || *a.host_ip == *b.host_ip);
}

}  // namespace warren::overlay
