#include "overlay/port_owner.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/process.h"
#include "base/text.h"

namespace warren::overlay {

namespace {

namespace fs = std::filesystem;

// Of the form in which those tables have addresses: words of four bytes in the host's order.
std::string table_text(const base::IpAddress& address) {
    std::string text;
    const auto raw = address.raw();
    for (std::size_t i = 0; i < raw.size(); i += sizeof(std::uint32_t)) {
        std::uint32_t word = 0;
        std::memcpy(&word, raw.data() + i, sizeof word);
        text += fmt::format("{:08X}", word);
    }
    return text;
}

bool is_in_the_way(std::string_view local, const std::optional<base::IpAddress>& address) {
    return !address || local.find_first_not_of('0') == std::string_view::npos || local == table_text(*address);
}

// The inode of a socket bound to the port, of TCP one that listens. Sockets of the kernel have one too, but no process
// has it open. Format: net/ipv4/udp.c, udp4_format_sock, and net/ipv4/tcp_ipv4.c, get_tcp4_sock: "sl local_address:port
// remote_address:port st tx:rx tr:when retrnsmt uid timeout inode ...", all hexadecimal but the last two.
std::optional<std::uint64_t> find_socket(const fs::path& table, Transport transport, std::uint16_t port,
                                         const std::optional<base::IpAddress>& address) {
    constexpr std::string_view kListens = "0A";  // TCP_LISTEN
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the heading
    const std::string wanted = fmt::format("{:04X}", port);
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string slot, local, remote, state, skipped, inode;
        words >> slot >> local >> remote >> state;
        for (int i = 0; i < 5; ++i) {
            words >> skipped;
        }
        words >> inode;
        if ((transport == Transport::kUdp || state == kListens) && local.ends_with(":" + wanted) &&
            is_in_the_way(std::string_view(local).substr(0, local.size() - wanted.size() - 1), address)) {
            return base::parse_unsigned(inode).value_or(0);
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> port_owner(Transport transport, std::uint16_t port,
                                      const std::optional<base::IpAddress>& address) {
    const std::string name = transport == Transport::kTcp ? "tcp" : "udp";
    for (const char* family : {"", "6"}) {
        const auto table = fmt::format("/proc/thread-self/net/{}{}", name, family);
        if (const auto inode = find_socket(table, transport, port, address)) {
            return base::find_socket_holder(*inode).value_or("the kernel itself, by a tunnel such as VXLAN");
        }
    }
    return std::nullopt;
}

}  // namespace warren::overlay
