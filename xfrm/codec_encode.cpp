#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

#include "xfrm/codec.h"

namespace warren::xfrm {
namespace {

std::uint16_t family_number(base::Family family) {
    return family == base::Family::kIpv4 ? AF_INET : AF_INET6;
}

xfrm_address_t address_of(const base::IpAddress& address) {
    xfrm_address_t wire{};
    std::memcpy(&wire, address.bytes.data(), sizeof wire);
    return wire;
}

// The kernel takes a limit of 0 for one that is reached at the first packet.
xfrm_lifetime_cfg limits_of(const SoftLimits& limits) {
    return {.soft_byte_limit = limits.bytes,
            .hard_byte_limit = XFRM_INF,
            .soft_packet_limit = limits.packets,
            .hard_packet_limit = XFRM_INF};
}

xfrm_selector selector_of(const Selector& selector) {
    xfrm_selector wire{};
    wire.daddr = address_of(selector.destination.address);
    wire.saddr = address_of(selector.source.address);
    wire.dport = htons(selector.destination_port.port);
    wire.dport_mask = htons(selector.destination_port.mask);
    wire.sport = htons(selector.source_port.port);
    wire.sport_mask = htons(selector.source_port.mask);
    wire.family = family_number(selector.family);
    wire.prefixlen_d = selector.destination.length;
    wire.prefixlen_s = selector.source.length;
    wire.proto = selector.protocol;
    wire.ifindex = static_cast<int>(selector.interface);
    return wire;
}

xfrm_user_tmpl template_of(const Template& transformation, base::Family family) {
    xfrm_user_tmpl wire{};
    wire.id.proto = transformation.protocol;
    wire.family = family_number(family);
    wire.reqid = transformation.reqid.value;
    wire.mode = static_cast<std::uint8_t>(transformation.mode);
    wire.optional = transformation.optional ? 1 : 0;
    // Which algorithms is the SA's business; zeros would match none.
    wire.aalgos = wire.ealgos = wire.calgos = ~0U;
    return wire;
}

std::uint8_t direction_number(Direction direction) {
    return direction == Direction::kIn ? XFRM_POLICY_IN : XFRM_POLICY_OUT;
}

netlink::Message policy_message(std::uint16_t type, std::uint16_t flags, const Policy& policy) {
    xfrm_userpolicy_info info{};
    info.sel = selector_of(policy.selector);
    info.lft = limits_of({.packets = kNoLimit, .bytes = kNoLimit});
    info.priority = policy.priority;
    info.dir = direction_number(policy.direction);
    info.action = policy.action == Action::kAllow ? XFRM_POLICY_ALLOW : XFRM_POLICY_BLOCK;
    info.share = XFRM_SHARE_ANY;
    netlink::Message message(type, flags);
    message.header(info);
    std::vector<xfrm_user_tmpl> templates;
    for (const Template& transformation : policy.templates) {
        templates.push_back(template_of(transformation, policy.selector.family));
    }
    if (!templates.empty()) {
        message.put_bytes(XFRMA_TMPL, std::as_bytes(std::span(templates)));
    }
    return message;
}

// struct xfrm_algo_aead with the key in its flexible end.
void put_aead(netlink::Message& message, keymgr::Cipher cipher, std::span<const std::uint8_t> key) {
    const AeadName algorithm = aead(cipher);
    xfrm_algo_aead head{};
    std::copy(algorithm.kernel.begin(), algorithm.kernel.end(), head.alg_name);
    head.alg_key_len = static_cast<unsigned>(key.size() * 8);
    head.alg_icv_len = algorithm.icv_bits;
    base::Secret<sizeof head + decltype(keymgr::SaKey::bytes)::size()> wire;
    const std::span<std::uint8_t> out = wire.reveal_mutable();
    std::memcpy(out.data(), &head, sizeof head);
    std::copy(key.begin(), key.end(), out.subspan(sizeof head).begin());
    message.put_bytes(XFRMA_ALG_AEAD, std::as_bytes(out.first(sizeof head + key.size())));
}

// ESN needs the window in this attribute, with a bit for each packet (kernel net/xfrm/xfrm_user.c, verify_replay).
void put_replay_window(netlink::Message& message, std::uint32_t window) {
    const std::uint32_t words = (window + 31) / 32;
    std::vector<std::byte> wire(sizeof(xfrm_replay_state_esn) + words * sizeof(std::uint32_t));
    xfrm_replay_state_esn head{};
    head.bmp_len = words;
    head.replay_window = window;
    std::memcpy(wire.data(), &head, sizeof head);
    message.put_bytes(XFRMA_REPLAY_ESN_VAL, wire);
}

// RFC 3948: the same port at both ends, and no original address, since nothing on the way translates ours.
void put_encap(netlink::Message& message, base::UdpPort port) {
    xfrm_encap_tmpl wire{};
    wire.encap_type = UDP_ENCAP_ESPINUDP;
    wire.encap_sport = wire.encap_dport = htons(port.value);
    message.put_bytes(XFRMA_ENCAP, std::as_bytes(std::span(&wire, 1)));
}

}  // namespace

netlink::Message encode(const AddSa& operation) {
    const base::IpAddress& destination = operation.location.destination;
    xfrm_usersa_info info{};
    info.id.daddr = address_of(destination);
    info.id.spi = htonl(operation.location.spi.value);
    info.id.proto = IPPROTO_ESP;
    info.saddr = address_of(operation.location.source);
    info.lft = limits_of(operation.limits);
    info.reqid = operation.reqid.value;
    info.family = info.sel.family = family_number(destination.family);
    info.mode = XFRM_MODE_TRANSPORT;
    info.flags = XFRM_STATE_ESN;
    netlink::Message message(XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL);
    message.header(info);
    put_aead(message, operation.cipher, operation.key.reveal());
    put_replay_window(message, operation.replay_window);
    if (operation.encap != base::UdpPort{}) {
        put_encap(message, operation.encap);
    }
    return message;
}

netlink::Message encode(const DeleteSa& operation) {
    xfrm_usersa_id id{};
    id.daddr = address_of(operation.location.destination);
    id.spi = htonl(operation.location.spi.value);
    id.family = family_number(operation.location.destination.family);
    id.proto = IPPROTO_ESP;
    netlink::Message message(XFRM_MSG_DELSA);
    message.header(id);
    return message;
}

netlink::Message encode(const AddPolicy& operation) {
    return policy_message(XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL, operation.policy);
}

netlink::Message encode(const UpdatePolicy& operation) {
    return policy_message(XFRM_MSG_UPDPOLICY, NLM_F_CREATE | NLM_F_REPLACE, operation.policy);
}

netlink::Message encode(const DeletePolicy& operation) {
    xfrm_userpolicy_id id{};
    id.sel.family = family_number(operation.family);
    id.index = operation.index;
    id.dir = direction_number(operation.direction);
    netlink::Message message(XFRM_MSG_DELPOLICY);
    message.header(id);
    return message;
}

// Without a header: the kernel reads the attributes of this dump from where one would be (net/xfrm/xfrm_user.c,
// xfrm_dump_sa()), and complains in its log about bytes that are none.
netlink::Message dump_sas_request() {
    return netlink::Message(XFRM_MSG_GETSA);
}

netlink::Message dump_policies_request() {
    netlink::Message message(XFRM_MSG_GETPOLICY);
    message.header(xfrm_userpolicy_id{});
    return message;
}

}  // namespace warren::xfrm
