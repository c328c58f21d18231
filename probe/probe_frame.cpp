#include "probe/probe_frame.h"

#include <algorithm>
#include <array>
#include <concepts>

namespace warren::probe {

namespace {

constexpr std::array<std::uint8_t, 4> kMagic{'W', 'R', 'N', 1};
constexpr std::uint8_t kVniFollows = 0x08;  // RFC 7348, section 5
constexpr std::uint8_t kAnswer = 1;
constexpr std::uint8_t kWhole = 2;
constexpr std::size_t kVxlanAndEthernet = 8 + 14;

class Writer {
  public:
    void bytes(std::span<const std::uint8_t> more) { out_.insert(out_.end(), more.begin(), more.end()); }
    template <std::unsigned_integral T>
    void number(T value) {
        for (unsigned shift = sizeof(T) * 8; shift > 0; shift -= 8) {
            out_.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
        }
    }
    std::vector<std::uint8_t> take(std::size_t size) {
        out_.resize(std::max(size, out_.size()));
        return std::move(out_);
    }

  private:
    std::vector<std::uint8_t> out_;
};

template <std::unsigned_integral T>
T read(std::span<const std::uint8_t>& rest) {
    T value = 0;
    for (const auto byte : rest.first(sizeof(T))) {
        value = static_cast<T>(static_cast<T>(value << (sizeof(T) > 1 ? 8U : 0U)) | byte);
    }
    rest = rest.subspan(sizeof(T));
    return value;
}

}  // namespace

base::MacAddress source_mac(base::NodeIndex node) {
    return {{0x02, 'W', 'R', 'N', static_cast<std::uint8_t>(node.value >> 8U), static_cast<std::uint8_t>(node.value)}};
}

std::vector<std::uint8_t> encode_probe(const Probe& probe, base::Vni vni, base::MacAddress bridge, base::Mtu size) {
    Writer out;
    out.number(std::uint8_t{kVniFollows});
    out.bytes(std::array<std::uint8_t, 3>{});
    out.number(vni.value << 8U);
    out.bytes(bridge.bytes);
    out.bytes(source_mac(probe.from).bytes);
    out.number(kProbeEthertype);
    out.bytes(kMagic);
    out.number(static_cast<std::uint8_t>((probe.answer ? kAnswer : 0U) | (probe.whole ? kWhole : 0U)));
    out.number(std::uint8_t{0});
    out.number(probe.number);
    out.number(probe.run);
    out.number(static_cast<std::uint16_t>(probe.from.value));
    out.number(static_cast<std::uint16_t>(probe.to.value));
    out.number(static_cast<std::uint16_t>(probe.answer_size.value));
    return out.take(kVxlanAndEthernet + size.value);
}

std::optional<ReceivedProbe> decode_probe(std::span<const std::uint8_t> payload) {
    if (payload.size() < kSmallestProbe.value || !std::ranges::equal(payload.first(kMagic.size()), kMagic)) {
        return std::nullopt;
    }
    auto rest = payload.subspan(kMagic.size());
    ReceivedProbe received{.probe = {}, .size = base::Mtu{static_cast<std::uint32_t>(payload.size())}};
    Probe& probe = received.probe;
    const auto flags = read<std::uint8_t>(rest);
    (void)read<std::uint8_t>(rest);
    probe.answer = (flags & kAnswer) != 0;
    probe.whole = (flags & kWhole) != 0;
    probe.number = read<std::uint16_t>(rest);
    probe.run = read<std::uint64_t>(rest);
    probe.from = base::NodeIndex{read<std::uint16_t>(rest)};
    probe.to = base::NodeIndex{read<std::uint16_t>(rest)};
    probe.answer_size = base::Mtu{read<std::uint16_t>(rest)};
    return received;
}

std::optional<ReceivedProbe> decode_datagram(std::span<const std::uint8_t> datagram) {
    return datagram.size() < kVxlanAndEthernet ? std::nullopt : decode_probe(datagram.subspan(kVxlanAndEthernet));
}

}  // namespace warren::probe
