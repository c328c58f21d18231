#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"

namespace warren::base {

namespace {

// Sets or clears all bits from `from` on.
std::array<std::uint8_t, 16> with_tail(const IpAddress& address, unsigned from, bool set) {
    auto bytes = address.bytes;
    for (unsigned bit = from; bit < address.bits(); ++bit) {
        const auto mask = static_cast<std::uint8_t>(0x80U >> (bit % 8));
        auto& byte = bytes[bit / 8];
        byte = static_cast<std::uint8_t>(set ? byte | mask : byte & ~mask);
    }
    return bytes;
}

}  // namespace

IpAddress IpAddress::v4(std::uint32_t host_order) {
    IpAddress ip;
    for (unsigned i = 0; i < 4; ++i) {
        ip.bytes[i] = static_cast<std::uint8_t>(host_order >> (24 - 8 * i));
    }
    return ip;
}

std::optional<IpAddress> IpAddress::from_bytes(std::span<const std::uint8_t> bytes) {
    if (bytes.size() != 4 && bytes.size() != 16) {
        return std::nullopt;
    }
    IpAddress ip{.family = bytes.size() == 4 ? Family::kIpv4 : Family::kIpv6, .bytes = {}};
    std::copy(bytes.begin(), bytes.end(), ip.bytes.begin());
    return ip;
}

std::uint32_t IpAddress::as_v4() const {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
        value = value << 8U | bytes[i];
    }
    return value;
}

std::uint64_t IpAddress::low() const {
    std::uint64_t value = 0;
    for (const auto byte : raw().size() == 4 ? raw() : raw().last(8)) {
        value = value << 8U | byte;
    }
    return value;
}

IpAddress IpAddress::plus(std::uint64_t count) const {
    if (family == Family::kIpv4) {
        return v4(static_cast<std::uint32_t>(as_v4() + count));
    }
    IpAddress sum = *this;
    std::uint64_t value = low() + count;
    for (std::size_t i = bytes.size(); i-- > bytes.size() - 8; value >>= 8U) {
        sum.bytes[i] = static_cast<std::uint8_t>(value);
    }
    return sum;
}

bool IpAddress::is_link_local() const {
    return family == Family::kIpv4 ? bytes[0] == 169 && bytes[1] == 254
                                   : bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80;
}

bool IpAddress::is_multicast() const {
    return family == Family::kIpv4 ? (bytes[0] & 0xf0U) == 0xe0 : bytes[0] == 0xff;
}

bool IpAddress::is_loopback() const {
    if (family == Family::kIpv4) {
        return bytes[0] == 127;
    }
    std::array<std::uint8_t, 16> loopback{};
    loopback[15] = 1;
    return bytes == loopback;
}

std::string IpAddress::text() const {
    std::array<char, INET6_ADDRSTRLEN> buffer{};
    ::inet_ntop(family == Family::kIpv4 ? AF_INET : AF_INET6, bytes.data(), buffer.data(), buffer.size());
    return buffer.data();
}

Result<IpAddress> parse_ip(std::string_view what, std::string_view text) {
    const std::string terminated(text);
    IpAddress ip;
    if (::inet_pton(AF_INET, terminated.c_str(), ip.bytes.data()) == 1) {
        return ip;
    }
    ip = {.family = Family::kIpv6, .bytes = {}};
    if (::inet_pton(AF_INET6, terminated.c_str(), ip.bytes.data()) == 1) {
        return ip;
    }
    return fail(Code::kInvalid, "{} '{}': must be an IPv4 or IPv6 address", what, text);
}

IpAddress Prefix::network() const {
    return {.family = address.family, .bytes = with_tail(address, length, false)};
}

IpAddress Prefix::last() const {
    return {.family = address.family, .bytes = with_tail(address, length, true)};
}

bool Prefix::contains(const IpAddress& other) const {
    return other.family == address.family && network() <= other && other <= last();
}

bool Prefix::overlaps(const Prefix& other) const {
    return contains(other.network()) || other.contains(network());
}

std::string Prefix::text() const {
    return fmt::format("{}/{}", address.text(), length);
}

Result<Prefix> parse_prefix(std::string_view what, std::string_view text) {
    const auto slash = text.rfind('/');
    const auto bad = [&](std::string_view rule) { return fail(Code::kInvalid, "{} '{}': {}", what, text, rule); };
    if (slash == std::string_view::npos) {
        return bad("must be ADDRESS/LENGTH, such as 10.1.0.0/24");
    }
    const auto address = parse_ip(what, text.substr(0, slash));
    if (!address) {
        return bad("must be ADDRESS/LENGTH, such as 10.1.0.0/24");
    }
    const auto length = parse_unsigned(text.substr(slash + 1), address->bits());
    if (!length) {
        return bad(fmt::format("the prefix length must be 0 to {}", address->bits()));
    }
    return Prefix{.address = *address, .length = static_cast<std::uint8_t>(*length)};
}

std::string MacAddress::text() const {
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2], bytes[3], bytes[4],
                       bytes[5]);
}

Result<MacAddress> parse_mac(std::string_view what, std::string_view text) {
    const auto parts = split(text, ':');
    MacAddress mac;
    bool good = parts.size() == mac.bytes.size();
    for (std::size_t i = 0; good && i < parts.size(); ++i) {
        const auto byte = parts[i].size() == 2 ? from_hex(parts[i]) : std::nullopt;
        good = byte.has_value();
        mac.bytes[i] = good ? byte->front() : std::uint8_t{0};
    }
    const bool unicast = (mac.bytes[0] & 1U) == 0 && mac != MacAddress{};
    if (!good || !unicast) {
        return fail(Code::kInvalid, "{} '{}': must be a unicast MAC address such as 02:57:00:00:00:01", what, text);
    }
    return mac;
}

MacAddress mac_for(const IpAddress& ip) {
    MacAddress mac{{0x02, 0x57}};
    std::ranges::copy(ip.raw().last(4), mac.bytes.begin() + 2);
    return mac;
}

std::string SocketAddress::text() const {
    return ip.family == Family::kIpv4 ? fmt::format("{}:{}", ip.text(), port) : fmt::format("[{}]:{}", ip.text(), port);
}

Result<SocketAddress> parse_socket_address(std::string_view what, std::string_view text, std::uint16_t default_port) {
    const auto bad = [&] { return fail(Code::kInvalid, "{} '{}': must be IP, IP:PORT or [IPv6]:PORT", what, text); };
    std::string_view host = text;
    std::string_view port;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos) {
            return bad();
        }
        host = text.substr(1, close - 1);
        port = text.substr(close + 1);
    } else if (std::count(text.begin(), text.end(), ':') == 1) {
        host = text.substr(0, text.find(':'));
        port = text.substr(text.find(':'));
    }
    const auto ip = parse_ip(what, host);
    if (!ip) {
        return bad();
    }
    if (port.empty()) {
        return SocketAddress{.ip = *ip, .port = default_port};
    }
    const auto number = port.front() == ':' ? parse_unsigned(port.substr(1), 65535) : std::nullopt;
    if (!number || *number == 0) {
        return bad();
    }
    return SocketAddress{.ip = *ip, .port = static_cast<std::uint16_t>(*number)};
}

}  // namespace warren::base
