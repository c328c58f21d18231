#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ids.h"
#include "base/ip.h"

// Frames of our own that go through a network's overlay from one node to another and are answered there, so that it is
// known whether the containers' frames would arrive. Pure.
//
// On the wire: VXLAN as the kernel's device makes it, in it an Ethernet frame to the bridge's MAC address, of the
// ethertype for local experiments (IEEE 802, clause 9.2.3), with the fields of Probe in network order and zeros up to
// its size. No container's frame is like that, and no container gets it.
namespace warren::probe {

constexpr std::uint16_t kProbeEthertype = 0x88B5;
// What fits is at least this large, counted as an IP packet in its place would be.
constexpr base::Mtu kSmallestProbe{64};

struct Probe {
    bool answer = false;
    bool whole = false;        // sent, and to be answered, with IP's "don't fragment"
    std::uint16_t number = 0;  // of the question in its run
    std::uint64_t run = 0;     // drawn at random by the asker
    base::NodeIndex from;
    base::NodeIndex to;
    base::Mtu answer_size;  // of an IP packet in its place

    bool operator==(const Probe&) const = default;
};

// That a node's frames come from. Locally administered; never learned, since no port learns.
[[nodiscard]] base::MacAddress source_mac(base::NodeIndex node);

// The payload of the UDP datagram. `size` is not below kSmallestProbe.
[[nodiscard]] std::vector<std::uint8_t> encode_probe(const Probe& probe, base::Vni vni, base::MacAddress bridge,
                                                     base::Mtu size);

struct ReceivedProbe {
    Probe probe;
    base::Mtu size;

    bool operator==(const ReceivedProbe&) const = default;
};
// From what is behind the Ethernet header, or from a UDP datagram as encode_probe() makes it, of which the end may be
// cut off (`size` tells what is there). nullopt: not one of ours.
[[nodiscard]] std::optional<ReceivedProbe> decode_probe(std::span<const std::uint8_t> payload);
[[nodiscard]] std::optional<ReceivedProbe> decode_datagram(std::span<const std::uint8_t> datagram);

}  // namespace warren::probe
