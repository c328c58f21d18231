#include "xfrm/model.h"

#include <netinet/in.h>

namespace warren::xfrm {
namespace {

std::string port_text(const PortMatch& port) {
    if (port.mask == 0) {
        return "any";
    }
    return port.mask == 0xffff ? fmt::format("{}", port.port) : fmt::format("{}/{:#06x}", port.port, port.mask);
}

std::string address_text(const base::Prefix& prefix) {
    return prefix.length == 0 ? "any" : prefix.text();
}

std::string protocol_text(std::uint8_t protocol) {
    switch (protocol) {
        case 0:
            return "any protocol";
        case IPPROTO_UDP:
            return "udp";
        case IPPROTO_TCP:
            return "tcp";
        default:
            return fmt::format("protocol {}", protocol);
    }
}

}  // namespace

std::string_view name(Direction direction) {
    return direction == Direction::kIn ? "in" : "out";
}

AeadName aead(keymgr::Cipher cipher) {
    switch (cipher) {
        case keymgr::Cipher::kAes128Gcm:
            return {.kernel = "rfc4106(gcm(aes))", .icv_bits = 128, .key_bits = 128 + 32};
        case keymgr::Cipher::kAes256Gcm:
            return {.kernel = "rfc4106(gcm(aes))", .icv_bits = 128, .key_bits = 256 + 32};
        case keymgr::Cipher::kChaCha20Poly1305:
            return {.kernel = "rfc7539esp(chacha20,poly1305)", .icv_bits = 128, .key_bits = 256 + 32};
    }
    return {};
}

bool Selector::overlaps(const Selector& other) const {
    return family == other.family && (protocol == 0 || other.protocol == 0 || protocol == other.protocol) &&
           (source.length == 0 || other.source.length == 0 || source.overlaps(other.source)) &&
           (destination.length == 0 || other.destination.length == 0 || destination.overlaps(other.destination)) &&
           source_port.overlaps(other.source_port) && destination_port.overlaps(other.destination_port);
}

bool same_policy(const Policy& a, const Policy& b) {
    Policy numbered = a;
    numbered.index = b.index;
    return numbered == b;
}

std::optional<base::NetworkIndex> owner(const Policy& policy) {
    return policy.templates.size() == 1 && !policy.keyed_apart ? network_of(policy.templates.front().reqid)
                                                               : std::nullopt;
}

std::optional<base::NetworkIndex> owner(const Sa& sa) {
    return sa.location.spi.value != 0 && !sa.keyed_apart ? network_of(sa.reqid) : std::nullopt;
}

std::string text(const Policy& policy) {
    const Selector& selector = policy.selector;
    return fmt::format("{} {} {} -> {} {} {} -> {}, priority {}", name(policy.direction),
                       policy.action == Action::kAllow ? "allow" : "block", address_text(selector.source),
                       address_text(selector.destination), protocol_text(selector.protocol),
                       port_text(selector.source_port), port_text(selector.destination_port), policy.priority);
}

std::string text(const SaLocation& location) {
    return fmt::format("{} -> {} spi {:#010x}", location.source, location.destination, location.spi.value);
}

}  // namespace warren::xfrm
