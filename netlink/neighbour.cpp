#include "netlink/neighbour.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "netlink/family.h"

namespace warren::netlink {

namespace {

constexpr std::uint16_t kPut = NLM_F_CREATE | NLM_F_REPLACE;

Message about(std::uint16_t type, std::uint16_t flags, const Neighbour& neighbour) {
    Message message(type, flags);
    message.header(ndmsg{.ndm_family = wire_family(neighbour.ip.family),
                         .ndm_ifindex = static_cast<int>(neighbour.link.value),
                         .ndm_state = NUD_PERMANENT});
    message.put_ip(NDA_DST, neighbour.ip);
    return message;
}

std::uint16_t wire_state(FdbState state) {
    switch (state) {
        case FdbState::kPermanent:
            return NUD_PERMANENT;
        case FdbState::kStatic:
            return NUD_NOARP;
        case FdbState::kDynamic:
            return NUD_REACHABLE;
    }
    return NUD_PERMANENT;
}

Message about(std::uint16_t type, std::uint16_t flags, const FdbEntry& entry) {
    Message message(type, flags);
    message.header(
        ndmsg{.ndm_family = AF_BRIDGE,
              .ndm_ifindex = static_cast<int>(entry.link.value),
              .ndm_state = wire_state(entry.state),
              .ndm_flags = static_cast<std::uint8_t>(entry.table == FdbTable::kDevice ? NTF_SELF : NTF_MASTER)});
    message.put(NDA_LLADDR, entry.mac.bytes);
    if (entry.destination) {
        message.put_ip(NDA_DST, *entry.destination);
    }
    if (entry.vlan != 0) {
        message.put(NDA_VLAN, entry.vlan);
    }
    return message;
}

FdbState state_of(std::uint16_t wire) {
    if ((wire & NUD_PERMANENT) != 0) {
        return FdbState::kPermanent;
    }
    return (wire & NUD_NOARP) != 0 ? FdbState::kStatic : FdbState::kDynamic;
}

}  // namespace

Message put_neighbour(const Neighbour& neighbour) {
    Message message = about(RTM_NEWNEIGH, kPut, neighbour);
    message.put(NDA_LLADDR, neighbour.mac.bytes);
    return message;
}

Message delete_neighbour(const Neighbour& neighbour) {
    return about(RTM_DELNEIGH, 0, neighbour);
}

Message dump_neighbours(base::IfIndex link) {
    Message message(RTM_GETNEIGH);
    message.header(ndmsg{.ndm_family = AF_UNSPEC});
    message.put(NDA_IFINDEX, link.value);
    return message;
}

base::Result<std::optional<Neighbour>> decode_neighbour(const Received& received) {
    WARREN_TRY_ASSIGN(const auto head, read_header<ndmsg>("neighbour", received.payload));
    const auto family = family_of(head.ndm_family);
    if (!family) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, Attributes::parse(after_header(received.payload, sizeof head)));
    std::optional<base::IpAddress> ip;
    WARREN_TRY(attributes.read_ip(NDA_DST, ip));
    if (!ip || ip->family != *family) {
        return base::fail(base::Code::kInternal, "netlink: neighbour of interface {} without an address of its family",
                          head.ndm_ifindex);
    }
    Neighbour out{.link = base::IfIndex(static_cast<std::uint32_t>(head.ndm_ifindex)),
                  .ip = *ip,
                  .permanent = (head.ndm_state & NUD_PERMANENT) != 0};
    WARREN_TRY(attributes.read_mac(NDA_LLADDR, out.mac));
    return out;
}

Message put_fdb(const FdbEntry& entry) {
    return about(RTM_NEWNEIGH, kPut, entry);
}

Message append_fdb(const FdbEntry& entry) {
    return about(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_APPEND, entry);
}

Message delete_fdb(const FdbEntry& entry) {
    return about(RTM_DELNEIGH, 0, entry);
}

Message dump_fdb(base::IfIndex link) {
    Message message(RTM_GETNEIGH);
    message.header(ndmsg{.ndm_family = AF_BRIDGE, .ndm_ifindex = static_cast<int>(link.value)});
    return message;
}

base::Result<std::optional<FdbEntry>> decode_fdb(const Received& received) {
    WARREN_TRY_ASSIGN(const auto head, read_header<ndmsg>("forwarding entry", received.payload));
    if (head.ndm_family != AF_BRIDGE) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, Attributes::parse(after_header(received.payload, sizeof head)));
    FdbEntry out{.link = base::IfIndex(static_cast<std::uint32_t>(head.ndm_ifindex)),
                 .table = (head.ndm_flags & NTF_SELF) != 0 ? FdbTable::kDevice : FdbTable::kBridge,
                 .state = state_of(head.ndm_state)};
    WARREN_TRY(attributes.read_mac(NDA_LLADDR, out.mac));
    WARREN_TRY(attributes.read_ip(NDA_DST, out.destination));
    WARREN_TRY(attributes.read(NDA_VLAN, out.vlan));
    return out;
}

base::Result<std::vector<Neighbour>> read_neighbours(Socket& socket, base::IfIndex link) {
    return socket.read_all<Neighbour>([link] { return dump_neighbours(link); }, decode_neighbour);
}

base::Result<std::vector<FdbEntry>> read_fdb(Socket& socket, base::IfIndex link) {
    return socket.read_all<FdbEntry>([link] { return dump_fdb(link); }, decode_fdb);
}

}  // namespace warren::netlink
