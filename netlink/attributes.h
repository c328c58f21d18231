#pragma once

#include <concepts>
#include <cstring>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/result.h"
#include "base/strong.h"
#include "netlink/message.h"

namespace warren::netlink {

// One message from the kernel, its length checked against the datagram it came in. Valid only during the callback.
struct Received {
    std::uint16_t type = 0;      // RTM_*, XFRM_MSG_*
    std::uint16_t flags = 0;     // NLM_F_*
    std::uint32_t sequence = 0;  // of the request it answers; in an event that of the request that caused it, or 0
    std::uint32_t port = 0;      // in an event: Socket::port() of the originator, 0 = the kernel itself
    Bytes payload;               // after the nlmsghdr
};

// Cuts a datagram into its messages. An error when a length lies; what came before the lie has been handed to `fn`.
template <typename F>
[[nodiscard]] base::Status for_each_message(Bytes datagram, F&& fn);

// The fixed struct at the front of `bytes`, copied out (alignment), or an error if they are too few. `what` names it.
template <Wire T>
[[nodiscard]] base::Result<T> read_header(std::string_view what, Bytes bytes) {
    if (bytes.size() < sizeof(T)) {
        return base::fail(base::Code::kInternal, "netlink: {}: {} bytes, at least {} expected", what, bytes.size(),
                          sizeof(T));
    }
    T out{};
    std::memcpy(&out, bytes.data(), sizeof(T));
    return out;
}

// What follows a fixed struct of `header` bytes (which netlink pads to four).
[[nodiscard]] Bytes after_header(Bytes bytes, std::size_t header);

// A checked run of attributes (a payload after its fixed struct, or the inside of a nest): a view, allocates nothing.
// Every length is verified once in parse(); reads check the size of the value they want. A duplicate's first wins.
class Attributes {
  public:
    [[nodiscard]] static base::Result<Attributes> parse(Bytes bytes);

    [[nodiscard]] std::optional<Bytes> find(unsigned type) const;
    [[nodiscard]] bool has(unsigned type) const { return find(type).has_value(); }

    // These leave `out` alone when the attribute is absent, and fail when its size is wrong.
    template <Wire T>
    [[nodiscard]] base::Status read(unsigned type, T& out) const {
        const auto value = find(type);
        if (!value) {
            return {};
        }
        if (value->size() != sizeof(T)) {
            return wrong_size(type, value->size(), sizeof(T));
        }
        std::memcpy(&out, value->data(), sizeof(T));
        return {};
    }
    template <Wire T>
    [[nodiscard]] base::Status read(unsigned type, std::optional<T>& out) const {
        T value{};
        WARREN_TRY(read(type, value));
        if (has(type)) {
            out = value;
        }
        return {};
    }
    // Structs that grew over the years: takes what both sides know, the rest stays as it was. At least `minimum` bytes.
    template <Wire T>
    [[nodiscard]] base::Status read_growing(unsigned type, T& out, std::size_t minimum) const {
        const auto value = find(type);
        if (value && value->size() < minimum) {
            return wrong_size(type, value->size(), minimum);
        }
        if (value) {
            std::memcpy(&out, value->data(), std::min(sizeof(T), value->size()));
        }
        return {};
    }
    [[nodiscard]] base::Status read_flag(unsigned type, bool& out) const;           // u8 ≠ 0
    [[nodiscard]] base::Status read_be16(unsigned type, std::uint16_t& out) const;  // to host order
    [[nodiscard]] base::Status read_be32(unsigned type, std::uint32_t& out) const;  // to host order
    [[nodiscard]] base::Status read_string(unsigned type, std::string& out) const;  // up to the first zero
    [[nodiscard]] base::Status read_ip(unsigned type, base::IpAddress& out) const;  // 4 or 16 bytes
    [[nodiscard]] base::Status read_ip(unsigned type, std::optional<base::IpAddress>& out) const;
    [[nodiscard]] base::Status read_mac(unsigned type, base::MacAddress& out) const;  // 6 bytes; other sizes: absent
    [[nodiscard]] base::Result<Attributes> nested(unsigned type) const;               // empty when absent

    // Every attribute in order: fn(unsigned type, Bytes value).
    template <typename F>
    void for_each(F&& fn) const;

  private:
    explicit Attributes(Bytes bytes) : bytes_(bytes) {}
    [[nodiscard]] static base::Status wrong_size(unsigned type, std::size_t is, std::size_t expected);

    struct Item {
        unsigned type = 0;
        Bytes value;
        std::size_t step = 0;  // to the next one; 0 = none here
    };
    [[nodiscard]] static Item item_at(Bytes rest);

    Bytes bytes_;
};

template <typename F>
void Attributes::for_each(F&& fn) const {
    for (Bytes rest = bytes_; !rest.empty();) {
        const Item item = item_at(rest);
        fn(item.type, item.value);
        rest = rest.subspan(item.step);
    }
}

// The first message of `datagram` and the bytes it takes with its padding; an error when its length lies.
struct Cut {
    Received message;
    std::size_t step = 0;
};
[[nodiscard]] base::Result<Cut> cut_message(Bytes datagram);

template <typename F>
base::Status for_each_message(Bytes datagram, F&& fn) {
    while (!datagram.empty()) {
        WARREN_TRY_ASSIGN(const Cut cut, cut_message(datagram));
        fn(cut.message);
        datagram = datagram.subspan(cut.step);
    }
    return {};
}

}  // namespace warren::netlink
