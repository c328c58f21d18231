#include <arpa/inet.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>

#include "base/secret.h"
#include "xfrm/codec.h"

namespace warren::xfrm {
namespace {

using netlink::Attributes;
using netlink::Bytes;
using netlink::Received;

// Since Linux 6.10; Debian 12's headers end before it. Harmless on an SA of ours.
constexpr unsigned kAttributeSaDir = 33;

// struct xfrm_algo_aead without the key at its end.
struct AeadHead {
    std::array<char, 64> name;
    std::uint32_t key_bits;
    std::uint32_t icv_bits;
};
static_assert(sizeof(AeadHead) == offsetof(xfrm_algo_aead, alg_key));

std::optional<base::Family> family_of(std::uint16_t number) {
    switch (number) {
        case AF_INET:
            return base::Family::kIpv4;
        case AF_INET6:
            return base::Family::kIpv6;
        default:
            return std::nullopt;
    }
}

base::IpAddress address_of(const xfrm_address_t& wire, base::Family family) {
    base::IpAddress address{.family = family};
    std::memcpy(address.bytes.data(), &wire, address.raw().size());
    return address;
}

Mode mode_of(std::uint8_t mode) {
    switch (mode) {
        case XFRM_MODE_TRANSPORT:
            return Mode::kTransport;
        case XFRM_MODE_TUNNEL:
            return Mode::kTunnel;
        default:
            return Mode::kOther;
    }
}

base::Result<Selector> selector_of(const xfrm_selector& wire, base::Family family) {
    const Selector selector{.family = family,
                            .source = {.address = address_of(wire.saddr, family), .length = wire.prefixlen_s},
                            .destination = {.address = address_of(wire.daddr, family), .length = wire.prefixlen_d},
                            .protocol = wire.proto,
                            .source_port = {.port = ntohs(wire.sport), .mask = ntohs(wire.sport_mask)},
                            .destination_port = {.port = ntohs(wire.dport), .mask = ntohs(wire.dport_mask)},
                            .interface = static_cast<std::uint32_t>(wire.ifindex)};
    if (wire.prefixlen_s > selector.source.address.bits() || wire.prefixlen_d > selector.destination.address.bits()) {
        return base::fail(base::Code::kInternal, "netlink: selector: prefix lengths {} and {}", wire.prefixlen_s,
                          wire.prefixlen_d);
    }
    return selector;
}

bool limits_time(const xfrm_lifetime_cfg& limits) {
    return limits.soft_add_expires_seconds != 0 || limits.hard_add_expires_seconds != 0 ||
           limits.soft_use_expires_seconds != 0 || limits.hard_use_expires_seconds != 0;
}

bool limits_hard(const xfrm_lifetime_cfg& limits) {
    return limits.hard_byte_limit != XFRM_INF || limits.hard_packet_limit != XFRM_INF || limits_time(limits);
}

// The kernel fills in the family of a selector that selects nothing.
bool selects(const xfrm_selector& wire) {
    return wire.prefixlen_s != 0 || wire.prefixlen_d != 0 || wire.proto != 0 || wire.sport_mask != 0 ||
           wire.dport_mask != 0 || wire.ifindex != 0;
}

std::uint64_t join(std::uint32_t high, std::uint32_t low) {
    return std::uint64_t{high} << 32U | low;
}

// The name, the lengths and nothing of the key.
base::Status read_aead(const Attributes& attributes, Sa& sa) {
    const auto value = attributes.find(XFRMA_ALG_AEAD);
    if (!value) {
        return {};
    }
    WARREN_TRY_ASSIGN(const auto head, netlink::read_header<AeadHead>("XFRMA_ALG_AEAD", *value));
    sa.aead.assign(head.name.data(), strnlen(head.name.data(), head.name.size()));
    sa.key_bits = head.key_bits;
    sa.icv_bits = head.icv_bits;
    return {};
}

base::Status read_replay(const Attributes& attributes, Sa& sa) {
    xfrm_replay_state_esn esn{};
    WARREN_TRY(attributes.read_growing(XFRMA_REPLAY_ESN_VAL, esn, sizeof esn));
    xfrm_replay_state plain{};
    WARREN_TRY(attributes.read_growing(XFRMA_REPLAY_VAL, plain, sizeof plain));
    if (attributes.has(XFRMA_REPLAY_ESN_VAL)) {
        sa.replay_window = esn.replay_window;
        sa.counters.sequence_out = join(esn.oseq_hi, esn.oseq);
        sa.counters.sequence_in = join(esn.seq_hi, esn.seq);
    } else {
        sa.counters.sequence_out = plain.oseq;
        sa.counters.sequence_in = plain.seq;
    }
    return {};
}

// Whether it is encapsulation as ours is: in UDP, between equal ports, whatever addresses were before.
base::Result<bool> read_encap(const Attributes& attributes, Sa& sa) {
    xfrm_encap_tmpl encap{};
    WARREN_TRY(attributes.read_growing(XFRMA_ENCAP, encap, sizeof encap));
    if (!attributes.has(XFRMA_ENCAP)) {
        return true;
    }
    sa.encap = base::UdpPort{ntohs(encap.encap_dport)};
    return encap.encap_type == UDP_ENCAP_ESPINUDP && encap.encap_sport == encap.encap_dport &&
           sa.encap != base::UdpPort{};
}

// What is fine on an SA of ours. Anything else restricts or alters it, known to these headers or not.
bool harmless(unsigned attribute) {
    switch (attribute) {
        case XFRMA_ALG_AEAD:
        case XFRMA_REPLAY_ESN_VAL:
        case XFRMA_REPLAY_VAL:
        case XFRMA_REPLAY_THRESH:
        case XFRMA_ETIMER_THRESH:
        case XFRMA_LASTUSED:
        case XFRMA_PROTO:
        case XFRMA_SRCADDR:
        case XFRMA_PAD:
        case XFRMA_ENCAP:
        case kAttributeSaDir:
            return true;
        default:
            return false;
    }
}

base::Result<std::optional<Sa>> sa_of(const xfrm_usersa_info& info, const Attributes& attributes) {
    const auto family = family_of(info.family);
    if (!family) {
        return std::nullopt;
    }
    Sa sa{.location = {.destination = address_of(info.id.daddr, *family),
                       .spi = Spi{ntohl(info.id.spi)},
                       .source = address_of(info.saddr, *family)},
          .reqid = Reqid{info.reqid},
          .protocol = info.id.proto,
          .mode = mode_of(info.mode),
          .esn = (info.flags & XFRM_STATE_ESN) != 0,
          .replay_window = info.replay_window,
          .restricted = (info.flags & ~XFRM_STATE_ESN) != 0 || limits_hard(info.lft) || selects(info.sel),
          .keyed_apart = attributes.has(XFRMA_MARK),
          .soft = {.packets = info.lft.soft_packet_limit, .bytes = info.lft.soft_byte_limit},
          .counters = {.packets = info.curlft.packets,
                       .bytes = info.curlft.bytes,
                       .outside_window = info.stats.replay_window,
                       .replayed = info.stats.replay,
                       .integrity_failed = info.stats.integrity_failed}};
    attributes.for_each([&](unsigned type, Bytes) { sa.restricted = sa.restricted || !harmless(type); });
    WARREN_TRY(read_aead(attributes, sa));
    WARREN_TRY(read_replay(attributes, sa));
    WARREN_TRY_ASSIGN(const bool encapsulated_as_ours, read_encap(attributes, sa));
    sa.restricted = sa.restricted || !encapsulated_as_ours;
    return sa;
}

base::Result<Attributes> attributes_after(const Received& received, std::size_t header) {
    return Attributes::parse(netlink::after_header(received.payload, header));
}

bool is_zero(const xfrm_address_t& address) {
    return std::bit_cast<std::array<std::uint32_t, 4>>(address) == std::array<std::uint32_t, 4>{};
}

base::Status read_templates(const Attributes& attributes, Policy& policy) {
    const auto value = attributes.find(XFRMA_TMPL);
    if (!value) {
        return {};
    }
    if (value->size() % sizeof(xfrm_user_tmpl) != 0) {
        return base::fail(base::Code::kInternal, "netlink: XFRMA_TMPL: {} bytes, not a multiple of {}", value->size(),
                          sizeof(xfrm_user_tmpl));
    }
    for (Bytes rest = *value; !rest.empty(); rest = rest.subspan(sizeof(xfrm_user_tmpl))) {
        WARREN_TRY_ASSIGN(const auto wire, netlink::read_header<xfrm_user_tmpl>("template", rest));
        policy.templates.push_back({.reqid = Reqid{wire.reqid},
                                    .protocol = wire.id.proto,
                                    .mode = mode_of(wire.mode),
                                    .pinned = wire.id.spi != 0 || !is_zero(wire.id.daddr) || !is_zero(wire.saddr),
                                    .optional = wire.optional != 0,
                                    .any_algorithm = (wire.aalgos & wire.ealgos & wire.calgos) == ~0U});
    }
    return {};
}

base::Result<std::optional<Event>> decode_deletion(const Received& received) {
    WARREN_TRY_ASSIGN(const auto id, netlink::read_header<xfrm_usersa_id>("deleted SA", received.payload));
    const auto family = family_of(id.family);
    if (!family) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const auto attributes, attributes_after(received, sizeof id));
    SaGone gone{.location = {.destination = address_of(id.daddr, *family), .spi = Spi{ntohl(id.spi)}}};
    gone.location.source.family = *family;
    if (const auto value = attributes.find(XFRMA_SA)) {
        WARREN_TRY_ASSIGN(const auto info, netlink::read_header<xfrm_usersa_info>("XFRMA_SA", *value));
        gone.location.source = address_of(info.saddr, *family);
        gone.reqid = Reqid{info.reqid};
        gone.counters = {.packets = info.curlft.packets, .bytes = info.curlft.bytes};
    }
    return gone;
}

base::Result<std::optional<Event>> decode_expiry(const Received& received) {
    WARREN_TRY_ASSIGN(const auto expire, netlink::read_header<xfrm_user_expire>("expiry", received.payload));
    const auto family = family_of(expire.state.family);
    if (!family) {
        return std::nullopt;
    }
    return SaExpired{.location = {.destination = address_of(expire.state.id.daddr, *family),
                                  .spi = Spi{ntohl(expire.state.id.spi)},
                                  .source = address_of(expire.state.saddr, *family)},
                     .reqid = Reqid{expire.state.reqid},
                     .hard = expire.hard != 0};
}

}  // namespace

base::Result<std::optional<Sa>> decode_sa(const Received& received) {
    WARREN_TRY_ASSIGN(const auto info, netlink::read_header<xfrm_usersa_info>("SA", received.payload));
    WARREN_TRY_ASSIGN(const auto attributes, attributes_after(received, sizeof info));
    return sa_of(info, attributes);
}

base::Result<std::optional<Policy>> decode_policy(const Received& received) {
    WARREN_TRY_ASSIGN(const auto info, netlink::read_header<xfrm_userpolicy_info>("policy", received.payload));
    WARREN_TRY_ASSIGN(const auto attributes, attributes_after(received, sizeof info));
    const auto family = family_of(info.sel.family);
    if (!family || (info.dir != XFRM_POLICY_IN && info.dir != XFRM_POLICY_OUT)) {
        return std::nullopt;
    }
    WARREN_TRY_ASSIGN(const Selector selector, selector_of(info.sel, *family));
    xfrm_userpolicy_type type{};
    WARREN_TRY(attributes.read_growing(XFRMA_POLICY_TYPE, type, 1));
    Policy policy{
        .direction = info.dir == XFRM_POLICY_IN ? Direction::kIn : Direction::kOut,
        .selector = selector,
        .action = info.action == XFRM_POLICY_ALLOW ? Action::kAllow : Action::kBlock,
        .priority = info.priority,
        .restricted = info.flags != 0 || limits_hard(info.lft),
        .keyed_apart = attributes.has(XFRMA_MARK) || attributes.has(XFRMA_IF_ID) || type.type != XFRM_POLICY_TYPE_MAIN,
        .index = info.index};
    WARREN_TRY(read_templates(attributes, policy));
    return policy;
}

base::Result<std::optional<Event>> decode_event(const Received& received) {
    switch (received.type) {
        case XFRM_MSG_NEWSA:
        case XFRM_MSG_UPDSA: {
            WARREN_TRY_ASSIGN(auto sa, decode_sa(received));
            return sa ? std::optional<Event>(SaChanged{*std::move(sa)}) : std::nullopt;
        }
        case XFRM_MSG_DELSA:
            return decode_deletion(received);
        case XFRM_MSG_EXPIRE:
            return decode_expiry(received);
        case XFRM_MSG_FLUSHSA: {
            WARREN_TRY_ASSIGN(const auto flush, netlink::read_header<xfrm_usersa_flush>("flush", received.payload));
            return SasFlushed{.protocol = flush.proto};
        }
        case XFRM_MSG_NEWPOLICY:
        case XFRM_MSG_UPDPOLICY:
        case XFRM_MSG_DELPOLICY:
        case XFRM_MSG_POLEXPIRE:
        case XFRM_MSG_FLUSHPOLICY:
            return PoliciesChanged{};
        default:
            return std::nullopt;
    }
}

void wipe(const Received& received) {
    // The view is read-only, the buffer below it is not.
    auto* bytes = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(received.payload.data()));
    base::wipe({bytes, received.payload.size()});
}

}  // namespace warren::xfrm
