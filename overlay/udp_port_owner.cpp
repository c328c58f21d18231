#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/process.h"
#include "base/text.h"
#include "overlay/builder.h"

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

// The inode of a UDP socket bound to the port. Sockets of the kernel have one too, but no process has it open. Format:
// net/ipv4/udp.c, udp4_format_sock: "sl local_address:port remote_address:port st tx:rx tr:when retrnsmt uid timeout
// inode ...", all hexadecimal but the last two.
std::optional<std::uint64_t> find_socket(const fs::path& table, base::UdpPort port,
                                         const std::optional<base::IpAddress>& address) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // the heading
    const std::string wanted = fmt::format("{:04X}", port.value);
    while (std::getline(file, line)) {
        std::istringstream words(line);
        std::string slot, local, skipped, inode;
        words >> slot >> local;
        for (int i = 0; i < 7; ++i) {
            words >> skipped;
        }
        words >> inode;
        if (local.ends_with(":" + wanted) &&
            is_in_the_way(std::string_view(local).substr(0, local.size() - wanted.size() - 1), address)) {
            return base::parse_unsigned(inode).value_or(0);
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> udp_port_owner(base::UdpPort port, const std::optional<base::IpAddress>& address) {
    for (const char* table : {"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"}) {
        if (const auto inode = find_socket(table, port, address)) {
            return base::find_socket_holder(*inode).value_or("the kernel itself, by a tunnel such as VXLAN");
        }
    }
    return std::nullopt;
}

}  // namespace warren::overlay
