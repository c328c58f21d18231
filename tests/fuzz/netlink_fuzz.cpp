#include <cstddef>
#include <cstdint>
#include <cstring>

#include "netlink/address.h"
#include "netlink/link.h"
#include "netlink/neighbour.h"
#include "netlink/route.h"
#include "xfrm/codec.h"

// What comes from the kernel's sockets: two bytes of message type, the payload behind, to every decoder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using warren::netlink::Received;
    Received received;
    if (size < sizeof received.type) {
        return 0;
    }
    std::memcpy(&received.type, data, sizeof received.type);
    // The types that the decoders know are few: make most inputs meet one.
    received.type = static_cast<std::uint16_t>(16 + received.type % 64);
    received.payload = std::as_bytes(std::span(data, size).subspan(sizeof received.type));
    (void)warren::netlink::decode_link(received);
    (void)warren::netlink::decode_address(received);
    (void)warren::netlink::decode_neighbour(received);
    (void)warren::netlink::decode_fdb(received);
    (void)warren::netlink::decode_route(received);
    (void)warren::xfrm::decode_sa(received);
    (void)warren::xfrm::decode_policy(received);
    (void)warren::xfrm::decode_event(received);
    return 0;
}
