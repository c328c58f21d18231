#include "agent/decode.h"

#include "proto/wire.h"

namespace warren::agent {

base::Result<base::IpAddress> decode_ip(std::string_view what, const std::string& raw) {
    const auto ip = proto::ip_of(raw);
    if (!ip) {
        return base::fail(base::Code::kInvalid, "{}: an address of {} bytes", what, raw.size());
    }
    return *ip;
}

base::Result<base::Prefix> decode_prefix(std::string_view what, const std::string& raw, std::uint32_t length) {
    WARREN_TRY_ASSIGN(const auto address, decode_ip(what, raw));
    if (length > address.bits()) {
        return base::fail(base::Code::kInvalid, "{} {}: prefix length {}", what, address, length);
    }
    return base::Prefix{.address = address, .length = static_cast<std::uint8_t>(length)};
}

}  // namespace warren::agent
