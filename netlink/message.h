#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/free.h"
#include "base/ip.h"
#include "base/result.h"

struct nl_msg;
struct nlmsghdr;

namespace warren::netlink {

using Bytes = std::span<const std::byte>;

template <typename T>
concept Wire = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

template <Wire T>
[[nodiscard]] Bytes bytes_of(const T& value) {
    return std::as_bytes(std::span<const T, 1>(&value, 1));
}

void free_message(nl_msg* message) noexcept;  // wipes the bytes first: an XFRM request carries a key

// One netlink request under construction: header, the protocol's fixed struct, attributes. Grows as needed. A part that
// does not fit netlink's 16-bit attribute length makes the whole message invalid (status()), and a Socket refuses it.
// Owner: whoever builds it, one thread. Movable, not copyable. The bytes are wiped when it dies.
class Message {
  public:
    // `type` is RTM_* or XFRM_MSG_*; `flags` are those beyond NLM_F_REQUEST and NLM_F_ACK, e.g. NLM_F_CREATE |
    // NLM_F_EXCL. The Socket fills in sequence number and port.
    explicit Message(std::uint16_t type, std::uint16_t flags = 0);

    // The protocol's fixed struct (ifinfomsg, xfrm_usersa_info, ...); before any attribute.
    template <Wire T>
    Message& header(const T& fixed) {
        return append(bytes_of(fixed));
    }

    template <Wire T>
    Message& put(unsigned attribute, const T& value) {
        return put_bytes(attribute, bytes_of(value));
    }
    Message& put_bytes(unsigned attribute, Bytes value);
    Message& put_string(unsigned attribute, std::string_view text);  // with the terminating zero
    Message& put_flag(unsigned attribute) { return put_bytes(attribute, {}); }
    Message& put_ip(unsigned attribute, const base::IpAddress& ip) {
        return put_bytes(attribute, std::as_bytes(ip.raw()));
    }
    Message& put_be16(unsigned attribute, std::uint16_t host_order);
    Message& put_be32(unsigned attribute, std::uint32_t host_order);

    // Bytes as they are, padded to four: a struct inside a nest (VETH_INFO_PEER), or attributes made elsewhere.
    Message& append(Bytes bytes);

    // What is put while the scope lives lies inside `attribute`. Scopes end in reverse order of their beginning, and
    // before the message is moved: begin them in a function that takes the message by reference.
    class Nest {
      public:
        Nest(const Nest&) = delete;
        Nest& operator=(const Nest&) = delete;
        ~Nest();

      private:
        friend class Message;
        Nest(Message& message, std::size_t offset) : message_(message), offset_(offset) {}
        Message& message_;
        std::size_t offset_;
    };
    [[nodiscard]] Nest nest(unsigned attribute);  // with NLA_F_NESTED

    [[nodiscard]] base::Status status() const;
    [[nodiscard]] nlmsghdr& raw() { return *head_; }
    [[nodiscard]] const nlmsghdr& raw() const { return *head_; }
    [[nodiscard]] Bytes bytes() const;  // the whole message, header included

  private:
    void grow(std::size_t needed);

    base::Handle<nl_msg, &free_message> message_;
    nlmsghdr* head_ = nullptr;  // inside message_
    bool too_long_ = false;
};

}  // namespace warren::netlink
