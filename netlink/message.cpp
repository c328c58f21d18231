#include "netlink/message.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

namespace warren::netlink {

namespace {

constexpr std::size_t kFirstSize = 512;
constexpr std::size_t kAttributeHeader = sizeof(nlattr);

nl_msg* allocate(std::size_t size) {
    nl_msg* message = nlmsg_alloc_size(size);
    if (message == nullptr) {
        throw std::bad_alloc();  // as any container would
    }
    return message;
}

}  // namespace

void free_message(nl_msg* message) noexcept {
    explicit_bzero(nlmsg_hdr(message), nlmsg_hdr(message)->nlmsg_len);
    nlmsg_free(message);
}

Message::Message(std::uint16_t type, std::uint16_t flags) : message_(allocate(kFirstSize)) {
    head_ = nlmsg_put(message_.get(), 0, 0, type, 0, flags | NLM_F_REQUEST);
}

// Not nlmsg_expand(): its realloc would leave the old bytes in the heap.
void Message::grow(std::size_t needed) {
    const std::size_t size = nlmsg_get_max_size(message_.get());
    if (head_->nlmsg_len + needed + NLMSG_ALIGNTO <= size) {
        return;
    }
    base::Handle<nl_msg, &free_message> bigger(allocate(2 * (size + needed)));
    std::memcpy(nlmsg_hdr(bigger.get()), head_, head_->nlmsg_len);
    message_ = std::move(bigger);
    head_ = nlmsg_hdr(message_.get());
}

Message& Message::put_bytes(unsigned attribute, Bytes value) {
    if (kAttributeHeader + value.size() > UINT16_MAX) {
        too_long_ = true;
        return *this;
    }
    grow(static_cast<std::size_t>(nla_total_size(static_cast<int>(value.size()))));
    nla_put(message_.get(), static_cast<int>(attribute), static_cast<int>(value.size()), value.data());
    return *this;
}

Message& Message::put_string(unsigned attribute, std::string_view text) {
    const std::string terminated(text);
    return put_bytes(attribute, std::as_bytes(std::span(terminated.c_str(), terminated.size() + 1)));
}

Message& Message::put_be16(unsigned attribute, std::uint16_t host_order) {
    return put(attribute, htons(host_order));
}

Message& Message::put_be32(unsigned attribute, std::uint32_t host_order) {
    return put(attribute, htonl(host_order));
}

Message& Message::append(Bytes bytes) {
    grow(NLMSG_ALIGN(bytes.size()));
    // libnl's message buffers start out zeroed, so the padding is zero.
    std::memcpy(nlmsg_reserve(message_.get(), bytes.size(), NLMSG_ALIGNTO), bytes.data(), bytes.size());
    return *this;
}

Message::Nest Message::nest(unsigned attribute) {
    grow(kAttributeHeader);
    const std::size_t offset = head_->nlmsg_len;
    nla_put(message_.get(), static_cast<int>(attribute | NLA_F_NESTED), 0, nullptr);
    return {*this, offset};
}

Message::Nest::~Nest() {
    const std::size_t length = message_.head_->nlmsg_len - offset_;
    if (length > UINT16_MAX) {
        message_.too_long_ = true;
        return;
    }
    const auto wire = static_cast<std::uint16_t>(length);
    std::memcpy(reinterpret_cast<std::byte*>(message_.head_) + offset_ + offsetof(nlattr, nla_len), &wire, sizeof wire);
}

base::Status Message::status() const {
    if (too_long_) {
        return base::fail(base::Code::kInvalid, "netlink: an attribute is longer than 65535 bytes");
    }
    return {};
}

Bytes Message::bytes() const {
    return {reinterpret_cast<const std::byte*>(head_), head_->nlmsg_len};
}

}  // namespace warren::netlink
