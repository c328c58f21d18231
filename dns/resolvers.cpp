#include "dns/resolvers.h"

#include <algorithm>

#include "base/text.h"

namespace warren::dns {

namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint8_t kResponse = 0x80;
constexpr auto kTransfer = static_cast<Type>(252);             // AXFR
constexpr auto kIncrementalTransfer = static_cast<Type>(251);  // IXFR

bool same_letter(std::uint8_t a, std::uint8_t b) {
    const auto lower = [](std::uint8_t c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; };
    return lower(a) == lower(b);
}

}  // namespace

std::vector<base::IpAddress> parse_resolv_conf(std::string_view text) {
    constexpr std::string_view kKeyword = "nameserver";
    constexpr std::string_view kBlanks = " \t\r";
    std::vector<base::IpAddress> servers;
    for (auto line : base::split(text, '\n')) {
        if (!line.starts_with(kKeyword) || servers.size() == kMostServers) {
            continue;
        }
        line.remove_prefix(kKeyword.size());
        const auto begin = line.find_first_not_of(kBlanks);
        if (begin == 0 || begin == std::string_view::npos) {
            continue;
        }
        line.remove_prefix(begin);
        if (const auto ip = base::parse_ip(kKeyword, line.substr(0, line.find_first_of(kBlanks)))) {
            servers.push_back(*ip);
        }
    }
    return servers;
}

bool is_to_be_forwarded(const Query& query) {
    return query.opcode == 0 && !query.malformed && query.recursion_desired && query.question &&
           query.question->internet && query.question->type != kTransfer &&
           query.question->type != kIncrementalTransfer;
}

std::vector<std::uint8_t> with_id(std::span<const std::uint8_t> message, std::uint16_t id) {
    std::vector<std::uint8_t> out(message.begin(), message.end());
    out.at(0) = static_cast<std::uint8_t>(id >> 8U);
    out.at(1) = static_cast<std::uint8_t>(id);
    return out;
}

bool is_reply(std::span<const std::uint8_t> message, const Query& query, std::uint16_t id) {
    const auto& wire = query.question->wire;
    if (message.size() < kHeader + wire.size()) {
        return false;
    }
    const bool numbered = message[0] == id >> 8U && message[1] == (id & 0xffU);
    const bool answers = (message[2] & kResponse) != 0 && message[4] == 0 && message[5] == 1;
    return numbered && answers && std::equal(wire.begin(), wire.end(), message.begin() + kHeader, same_letter);
}

}  // namespace warren::dns
