#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/lab/process.h"

// Forged VXLAN: what an attacker sends who knows everything but the keys.
namespace warren::lab {

inline constexpr unsigned kNobody = 65534;  // Debian's uid without any right
inline constexpr uint16_t kForgedPort = 7777;

struct Forgery {
    uint32_t vni = 0;
    std::string inner_source_mac;  // "02:00:…"
    std::string inner_mac;         // the victim container's
    std::string inner_source_ip;
    std::string inner_ip;
};

// A VXLAN payload (RFC 7348 section 5) around an Ethernet frame with a UDP datagram to port kForgedPort of the victim.
std::string forged_payload(const Forgery& forgery);

struct Datagram {
    uint16_t source_port = 0;  // 0: the kernel chooses one of the unprivileged
    std::string destination;
    uint16_t destination_port = 0;
    std::string payload;  // hexadecimal
    unsigned uid = 0;     // who sends
    int copies = 5;
};

// Sends from a process of its own in that namespace. Not ok when the kernel refuses (source port, uid, route).
Output send_udp(const Where& where, const Datagram& datagram);

// What the test program does when send_udp() has started it for that: its exit code. Nothing when it was not.
std::optional<int> run_as_udp_sender(int argc, char** argv);

}  // namespace warren::lab
