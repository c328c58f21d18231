#include "tests/lab/esp_packets.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "base/free.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "tests/lab/in_namespace.h"

namespace warren::lab {
namespace {

using CipherContext = base::Handle<EVP_CIPHER_CTX, &EVP_CIPHER_CTX_free>;

constexpr size_t kEthernetHeader = 14;
constexpr size_t kIpHeader = 20;
constexpr size_t kIpv6Header = 40;
constexpr long kUdpHeader = 8;
constexpr size_t kSaltSize = 4;

uint32_t number_at(const Bytes& bytes, size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return ntohl(value);
}

in_addr address_of(const std::string& text) {
    in_addr address{};
    if (::inet_pton(AF_INET, text.c_str(), &address) != 1) {
        throw std::runtime_error(text + ": no IPv4 address");
    }
    return address;
}

std::string text_of(int family, const uint8_t* address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    return ::inet_ntop(family, address, text.data(), text.size());
}

Packet from_frame(const std::string& frame) {
    const Bytes ip(frame.begin() + kEthernetHeader, frame.end());
    const bool four = ip.at(0) >> 4U == 4;
    const size_t header = four ? (ip.at(0) & 0xfU) * 4U : kIpv6Header;
    // A short frame is padded behind it.
    const size_t length = four ? number_at(ip, 0) & 0xffffU : kIpv6Header + (number_at(ip, 4) >> 16U);
    const int family = four ? AF_INET : AF_INET6;
    return {.source = text_of(family, &ip.at(four ? 12 : 8)),
            .destination = text_of(family, &ip.at(four ? 16 : 24)),
            .payload = Bytes(ip.begin() + static_cast<long>(header), ip.begin() + static_cast<long>(length)),
            .protocol = ip.at(four ? 9 : 6)};
}

bool is_ipv6(const Packet& packet) {
    return packet.source.find(':') != std::string::npos;
}

Bytes ipv6_packet(const Packet& packet) {
    Bytes bytes(kIpv6Header);
    bytes[0] = 0x60;
    bytes[4] = static_cast<uint8_t>(packet.payload.size() >> 8U);
    bytes[5] = static_cast<uint8_t>(packet.payload.size());
    bytes[6] = packet.protocol;
    bytes[7] = 64;  // hop limit
    if (::inet_pton(AF_INET6, packet.source.c_str(), &bytes[8]) != 1 ||
        ::inet_pton(AF_INET6, packet.destination.c_str(), &bytes[24]) != 1) {
        throw std::runtime_error(packet.source + " or " + packet.destination + ": no IPv6 address");
    }
    bytes.insert(bytes.end(), packet.payload.begin(), packet.payload.end());
    return bytes;
}

// Without a checksum: the kernel puts it in where it sends, and tshark does not look at it.
Bytes ip_packet(const Packet& packet) {
    if (is_ipv6(packet)) {
        return ipv6_packet(packet);
    }
    const auto length = kIpHeader + packet.payload.size();
    Bytes bytes(kIpHeader);
    bytes[0] = 0x45;
    bytes[2] = static_cast<uint8_t>(length >> 8U);
    bytes[3] = static_cast<uint8_t>(length);
    bytes[8] = 64;  // TTL
    bytes[9] = packet.protocol;
    const auto source = address_of(packet.source);
    const auto destination = address_of(packet.destination);
    std::memcpy(&bytes[12], &source, sizeof(source));
    std::memcpy(&bytes[16], &destination, sizeof(destination));
    bytes.insert(bytes.end(), packet.payload.begin(), packet.payload.end());
    return bytes;
}

const EVP_CIPHER* cipher_of(const SaKey& key, size_t key_size) {
    if (key.algorithm == "rfc4106(gcm(aes))") {
        return key_size == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    }
    if (key.algorithm == "rfc7539esp(chacha20,poly1305)") {
        return EVP_chacha20_poly1305();
    }
    throw std::runtime_error("no such cipher: " + key.algorithm);
}

// What is authenticated besides: the SPI and the whole extended sequence number (RFC 4106 section 5, RFC 7634 section
// 2.1).
Bytes authenticated_of(const Packet& packet) {
    Bytes bytes(packet.payload.begin(), packet.payload.begin() + kSequenceAt);
    bytes.insert(bytes.end(), 4, 0);
    bytes.insert(bytes.end(), packet.payload.begin() + kSequenceAt, packet.payload.begin() + kIvAt);
    return bytes;
}

// The payload with ESP's trailer; nothing when the ICV is wrong.
std::optional<Bytes> decrypted(const Packet& packet, const SaKey& key) {
    const auto material = base::from_hex(key.key).value();
    const auto* cipher = cipher_of(key, material.size() - kSaltSize);
    const auto& sealed = packet.payload;
    Bytes nonce(material.end() - kSaltSize, material.end());
    nonce.insert(nonce.end(), sealed.begin() + kIvAt, sealed.begin() + kCiphertextAt);
    const auto authenticated = authenticated_of(packet);
    Bytes icv(sealed.end() - kIcvSize, sealed.end());
    Bytes plain(sealed.size() - kCiphertextAt - kIcvSize);
    int size = 0;
    const CipherContext context(EVP_CIPHER_CTX_new());
    auto* raw = context.get();
    const bool good =
        EVP_DecryptInit_ex(raw, cipher, nullptr, material.data(), nonce.data()) == 1 &&
        EVP_CIPHER_CTX_ctrl(raw, EVP_CTRL_AEAD_SET_TAG, kIcvSize, icv.data()) == 1 &&
        EVP_DecryptUpdate(raw, nullptr, &size, authenticated.data(), static_cast<int>(authenticated.size())) == 1 &&
        EVP_DecryptUpdate(raw, plain.data(), &size, sealed.data() + kCiphertextAt, static_cast<int>(plain.size())) ==
            1 &&
        EVP_DecryptFinal_ex(raw, plain.data() + size, &size) == 1;
    return good ? std::optional(plain) : std::nullopt;
}

}  // namespace

uint32_t spi_of(const Packet& packet) {
    return number_at(packet.payload, kSpiAt);
}

uint32_t sequence_of(const Packet& packet) {
    return number_at(packet.payload, kSequenceAt);
}

std::vector<Packet> esp_packets(const Capture& capture, const std::string& filter) {
    std::vector<Packet> packets;
    for (const auto& frame : capture.frames("esp" + (filter.empty() ? "" : " and " + filter))) {
        packets.push_back(from_frame(frame));
    }
    return packets;
}

std::vector<Packet> esp_in_udp_packets(const Capture& capture, unsigned port) {
    std::vector<Packet> packets;
    for (const auto& frame : capture.frames(fmt::format("udp src port {0} and udp dst port {0}", port))) {
        auto& packet = packets.emplace_back(from_frame(frame));
        packet.payload.erase(packet.payload.begin(), packet.payload.begin() + kUdpHeader);
        packet.protocol = IPPROTO_ESP;
    }
    return packets;
}

std::optional<Packet> opened(const Packet& packet, const SaKey& key) {
    auto plain = decrypted(packet, key);
    if (!plain || plain->size() < 2 || plain->back() != IPPROTO_UDP) {
        return std::nullopt;
    }
    const size_t padding = plain->at(plain->size() - 2);
    if (padding > 3) {  // no more than aligns it
        return std::nullopt;
    }
    plain->resize(plain->size() - 2);
    for (size_t left = padding; left > 0; --left, plain->pop_back()) {
        if (plain->empty() || plain->back() != left) {
            return std::nullopt;
        }
    }
    return Packet{.source = packet.source,
                  .destination = packet.destination,
                  .payload = std::move(*plain),
                  .protocol = IPPROTO_UDP};
}

void write_pcap(const std::filesystem::path& file, const std::vector<Packet>& packets) {
    std::ofstream out(file, std::ios::binary);
    const auto put = [&](uint32_t value) { out.write(reinterpret_cast<const char*>(&value), sizeof(value)); };
    constexpr uint32_t kRawIp = 101;  // LINKTYPE_RAW
    for (const uint32_t field : {0xa1b2c3d4U, 4U << 16U | 2U, 0U, 0U, 65535U, kRawIp}) {
        put(field);
    }
    for (const auto& packet : packets) {
        const auto bytes = ip_packet(packet);
        const auto length = static_cast<uint32_t>(bytes.size());
        for (const uint32_t field : {0U, 0U, length, length}) {
            put(field);
        }
        out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    if (!out.flush()) {
        throw std::runtime_error(file.string() + ": cannot be written");
    }
}

void send_packet(const Where& where, const Packet& packet, unsigned copies) {
    const InNamespace inside(where);
    const base::UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    const auto bytes = ip_packet(packet);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr = address_of(packet.destination);
    for (unsigned i = 0; i < copies; ++i) {
        if (::sendto(fd.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
            throw std::runtime_error(
                fmt::format("{}: send to {}: {}", where.netns, packet.destination, std::strerror(errno)));
        }
    }
}

}  // namespace warren::lab
