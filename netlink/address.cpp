#include "netlink/address.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "netlink/family.h"

namespace warren::netlink {

namespace {

Message about(std::uint16_t type, std::uint16_t flags, const Address& address) {
    Message message(type, flags);
    message.header(
        ifaddrmsg{.ifa_family = wire_family(address.prefix.address.family),
                  .ifa_prefixlen = address.prefix.length,
                  .ifa_scope = static_cast<std::uint8_t>(address.host_scope ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE),
                  .ifa_index = address.link.value});
    message.put_ip(IFA_LOCAL, address.prefix.address).put_ip(IFA_ADDRESS, address.prefix.address);
    std::uint32_t extra = 0;
    extra |= address.no_prefix_route ? IFA_F_NOPREFIXROUTE : 0U;
    extra |= address.no_dad ? IFA_F_NODAD : 0U;
    message.put(IFA_FLAGS, extra);
    return message;
}

}  // namespace

Message add_address(const Address& address) {
    return about(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

Message replace_address(const Address& address) {
    return about(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
}

Message delete_address(const Address& address) {
    return about(RTM_DELADDR, 0, address);
}

Message dump_addresses(std::optional<base::IfIndex> link) {
    Message message(RTM_GETADDR);
    message.header(ifaddrmsg{.ifa_family = AF_UNSPEC, .ifa_index = link.value_or(base::IfIndex(0)).value});
    return message;
}

base::Result<std::optional<Address>> decode_address(const Received& received) {
    WARREN_TRY_ASSIGN(const auto head, read_header<ifaddrmsg>("address", received.payload));
    const auto family = family_of(head.ifa_family);
    if (!family) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, Attributes::parse(after_header(received.payload, sizeof head)));
    std::optional<base::IpAddress> own;  // IFA_ADDRESS is the other end's where both are there
    WARREN_TRY(attributes.read_ip(IFA_ADDRESS, own));
    WARREN_TRY(attributes.read_ip(IFA_LOCAL, own));
    std::uint32_t flags = head.ifa_flags;
    WARREN_TRY(attributes.read(IFA_FLAGS, flags));
    if (!own || own->family != *family || head.ifa_prefixlen > own->bits()) {
        return base::fail(base::Code::kInternal, "netlink: address of interface {} makes no sense", head.ifa_index);
    }
    return Address{.link = base::IfIndex(head.ifa_index),
                   .prefix = {.address = *own, .length = head.ifa_prefixlen},
                   .host_scope = head.ifa_scope == RT_SCOPE_HOST,
                   .no_prefix_route = (flags & IFA_F_NOPREFIXROUTE) != 0,
                   .no_dad = (flags & IFA_F_NODAD) != 0,
                   .permanent = (flags & IFA_F_PERMANENT) != 0};
}

base::Result<std::vector<Address>> read_addresses(Socket& socket, std::optional<base::IfIndex> link) {
    return socket.read_all<Address>([link] { return dump_addresses(link); }, decode_address);
}

}  // namespace warren::netlink
