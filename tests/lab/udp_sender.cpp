#include "tests/lab/udp_sender.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace warren::lab {
namespace {

constexpr const char* kCommand = "send-udp";

using Bytes = std::vector<uint8_t>;

void put16(Bytes& bytes, unsigned value) {
    bytes.push_back(static_cast<uint8_t>(value >> 8U));
    bytes.push_back(static_cast<uint8_t>(value));
}

void put_mac(Bytes& bytes, const std::string& mac) {
    for (size_t at = 0; at < 17; at += 3) {
        bytes.push_back(static_cast<uint8_t>(std::stoul(mac.substr(at, 2), nullptr, 16)));
    }
}

void put_ip(Bytes& bytes, const std::string& ip) {
    in_addr address{};
    ::inet_pton(AF_INET, ip.c_str(), &address);
    const uint32_t value = ntohl(address.s_addr);
    put16(bytes, value >> 16U);
    put16(bytes, value & 0xffffU);
}

// RFC 1071, over an IPv4 header whose checksum field is zero.
unsigned checksum(const Bytes& header) {
    uint32_t sum = 0;
    for (size_t at = 0; at < header.size(); at += 2) {
        sum += static_cast<uint32_t>(header[at]) << 8U | header[at + 1];
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return ~sum & 0xffffU;
}

Bytes udp_over_ip(const Forgery& forgery) {
    const std::string text = "forged";
    const auto udp_length = static_cast<unsigned>(8 + text.size());
    Bytes ip{0x45, 0};
    put16(ip, 20 + udp_length);
    ip.insert(ip.end(), {0, 0, 0, 0, 64, IPPROTO_UDP, 0, 0});
    put_ip(ip, forgery.inner_source_ip);
    put_ip(ip, forgery.inner_ip);
    const auto sum = checksum(ip);
    ip[10] = static_cast<uint8_t>(sum >> 8U);
    ip[11] = static_cast<uint8_t>(sum);
    put16(ip, kForgedPort);
    put16(ip, kForgedPort);
    put16(ip, udp_length);
    put16(ip, 0);  // no checksum
    ip.insert(ip.end(), text.begin(), text.end());
    return ip;
}

sockaddr_in socket_address(const std::string& ip, uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
    return address;
}

int give_up(const char* what) {
    const auto message = fmt::format("{}: {}\n", what, std::strerror(errno));
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, message.data(), message.size());
    return 1;
}

int send_all(const Datagram& datagram) {
    if (datagram.uid != 0 && ::setresuid(datagram.uid, datagram.uid, datagram.uid) != 0) {
        return give_up("setresuid");
    }
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const auto from = socket_address("0.0.0.0", datagram.source_port);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0) {
        return give_up("bind");
    }
    Bytes payload;
    for (size_t at = 0; at + 1 < datagram.payload.size(); at += 2) {
        payload.push_back(static_cast<uint8_t>(std::stoul(datagram.payload.substr(at, 2), nullptr, 16)));
    }
    const auto to = socket_address(datagram.destination, datagram.destination_port);
    for (int i = 0; i < datagram.copies; ++i) {
        if (::sendto(fd, payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
            return give_up("sendto");
        }
    }
    return 0;
}

}  // namespace

std::string forged_payload(const Forgery& forgery) {
    Bytes bytes{0x08, 0, 0, 0};  // a VNI is there
    put16(bytes, forgery.vni >> 8U);
    put16(bytes, (forgery.vni & 0xffU) << 8U);
    put_mac(bytes, forgery.inner_mac);
    put_mac(bytes, forgery.inner_source_mac);
    put16(bytes, 0x0800);
    const auto ip = udp_over_ip(forgery);
    bytes.insert(bytes.end(), ip.begin(), ip.end());
    std::string hex;
    for (const auto byte : bytes) {
        hex += fmt::format("{:02x}", byte);
    }
    return hex;
}

Output send_udp(const Where& where, const Datagram& datagram) {
    return run({"/proc/self/exe", kCommand, std::to_string(datagram.source_port), datagram.destination,
                std::to_string(datagram.destination_port), datagram.payload, std::to_string(datagram.uid),
                std::to_string(datagram.copies)},
               where);
}

std::optional<int> run_as_udp_sender(int argc, char** argv) {
    if (argc != 8 || std::strcmp(argv[1], kCommand) != 0) {
        return std::nullopt;
    }
    return send_all({.source_port = static_cast<uint16_t>(std::stoul(argv[2])),
                     .destination = argv[3],
                     .destination_port = static_cast<uint16_t>(std::stoul(argv[4])),
                     .payload = argv[5],
                     .uid = static_cast<unsigned>(std::stoul(argv[6])),
                     .copies = std::stoi(argv[7])});
}

}  // namespace warren::lab
