#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/lab/capture.h"
#include "tests/lab/kernel_view.h"

// ESP on the underlay, without the kernel's IPsec and without Warren: read from captures, opened, sent by hand.
namespace warren::lab {

using Bytes = std::vector<uint8_t>;

// An IP packet, of either family; of ESP (RFC 4303 section 2) unless it says otherwise.
struct Packet {
    std::string source;
    std::string destination;
    Bytes payload;
    uint8_t protocol = IPPROTO_ESP;
};

// Where the parts of an ESP packet begin, with an IV of 8 bytes (RFC 4106, RFC 7634). The ICV is at the end.
inline constexpr size_t kSpiAt = 0;
inline constexpr size_t kSequenceAt = 4;
inline constexpr size_t kIvAt = 8;
inline constexpr size_t kCiphertextAt = 16;
inline constexpr size_t kIcvSize = 16;

uint32_t spi_of(const Packet& packet);
uint32_t sequence_of(const Packet& packet);

// The ESP packets of a stopped capture that match a tcpdump filter besides.
std::vector<Packet> esp_packets(const Capture& capture, const std::string& filter);
// Those in UDP from and to a port (RFC 3948), without the UDP.
std::vector<Packet> esp_in_udp_packets(const Capture& capture, unsigned port);

// The UDP datagram in it, by OpenSSL. Nothing when the ICV is wrong for that key, with an extended sequence number
// whose upper half is zero, or when the padding or the next header is not as RFC 4303 section 2.4 and 2.6 have it.
std::optional<Packet> opened(const Packet& packet, const SaKey& key);

// A pcap file of these packets, without Ethernet.
void write_pcap(const std::filesystem::path& file, const std::vector<Packet>& packets);

// Sends it, over IPv4, from that namespace, whatever its source address. The frames have the namespace's own MAC: with
// the real sender's, the underlay's bridge would take this for the way to the real sender.
void send_packet(const Where& where, const Packet& packet, unsigned copies = 1);

}  // namespace warren::lab
