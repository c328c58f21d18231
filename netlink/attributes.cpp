#include "netlink/attributes.h"

#include <arpa/inet.h>
#include <linux/netlink.h>

#include <algorithm>

namespace warren::netlink {

namespace {

constexpr std::size_t kAlignment = 4;  // NLMSG_ALIGNTO and NLA_ALIGNTO

std::size_t aligned(std::size_t size) {
    return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

Bytes after_header(Bytes bytes, std::size_t header) {
    return bytes.subspan(std::min(aligned(header), bytes.size()));
}

base::Result<Cut> cut_message(Bytes datagram) {
    WARREN_TRY_ASSIGN(const nlmsghdr head, read_header<nlmsghdr>("message", datagram));
    if (head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size()) {
        return base::fail(base::Code::kInternal, "netlink: message of {} bytes in {} received", head.nlmsg_len,
                          datagram.size());
    }
    return Cut{.message = {.type = head.nlmsg_type,
                           .flags = head.nlmsg_flags,
                           .sequence = head.nlmsg_seq,
                           .port = head.nlmsg_pid,
                           .payload = datagram.subspan(sizeof head, head.nlmsg_len - sizeof head)},
               .step = std::min(aligned(head.nlmsg_len), datagram.size())};
}

Attributes::Item Attributes::item_at(Bytes rest) {
    nlattr head{};
    if (rest.size() < sizeof head) {
        return {};
    }
    std::memcpy(&head, rest.data(), sizeof head);
    if (head.nla_len < sizeof head || head.nla_len > rest.size()) {
        return {};
    }
    return {.type = head.nla_type & static_cast<unsigned>(NLA_TYPE_MASK),
            .value = rest.subspan(sizeof head, head.nla_len - sizeof head),
            .step = std::min(aligned(head.nla_len), rest.size())};
}

base::Result<Attributes> Attributes::parse(Bytes bytes) {
    for (Bytes rest = bytes; !rest.empty();) {
        const Item item = item_at(rest);
        if (item.step == 0) {
            return base::fail(base::Code::kInternal, "netlink: attribute with a wrong length at byte {} of {}",
                              bytes.size() - rest.size(), bytes.size());
        }
        rest = rest.subspan(item.step);
    }
    return Attributes(bytes);
}

std::optional<Bytes> Attributes::find(unsigned type) const {
    for (Bytes rest = bytes_; !rest.empty();) {
        const Item item = item_at(rest);
        if (item.type == type) {
            return item.value;
        }
        rest = rest.subspan(item.step);
    }
    return std::nullopt;
}

base::Status Attributes::wrong_size(unsigned type, std::size_t is, std::size_t expected) {
    return base::fail(base::Code::kInternal, "netlink: attribute {}: {} bytes, {} expected", type, is, expected);
}

base::Status Attributes::read_flag(unsigned type, bool& out) const {
    auto value = static_cast<std::uint8_t>(out ? 1 : 0);
    WARREN_TRY(read(type, value));
    out = value != 0;
    return {};
}

base::Status Attributes::read_be16(unsigned type, std::uint16_t& out) const {
    std::uint16_t value = htons(out);
    WARREN_TRY(read(type, value));
    out = ntohs(value);
    return {};
}

base::Status Attributes::read_be32(unsigned type, std::uint32_t& out) const {
    std::uint32_t value = htonl(out);
    WARREN_TRY(read(type, value));
    out = ntohl(value);
    return {};
}

base::Status Attributes::read_string(unsigned type, std::string& out) const {
    if (const auto value = find(type)) {
        const std::string_view text(reinterpret_cast<const char*>(value->data()), value->size());
        out = text.substr(0, text.find('\0'));
    }
    return {};
}

base::Status Attributes::read_ip(unsigned type, base::IpAddress& out) const {
    std::optional<base::IpAddress> value;
    WARREN_TRY(read_ip(type, value));
    out = value.value_or(out);
    return {};
}

base::Status Attributes::read_ip(unsigned type, std::optional<base::IpAddress>& out) const {
    const auto value = find(type);
    if (!value) {
        return {};
    }
    std::array<std::uint8_t, 16> raw{};
    if (value->size() > raw.size()) {
        return wrong_size(type, value->size(), raw.size());
    }
    if (!value->empty()) {
        std::memcpy(raw.data(), value->data(), value->size());
    }
    const auto ip = base::IpAddress::from_bytes(std::span(raw).first(value->size()));
    if (!ip) {
        return wrong_size(type, value->size(), 4);
    }
    out = ip;
    return {};
}

base::Status Attributes::read_mac(unsigned type, base::MacAddress& out) const {
    if (const auto value = find(type); value && value->size() == out.bytes.size()) {
        std::memcpy(out.bytes.data(), value->data(), out.bytes.size());
    }
    return {};
}

base::Result<Attributes> Attributes::nested(unsigned type) const {
    return parse(find(type).value_or(Bytes{}));
}

}  // namespace warren::netlink
