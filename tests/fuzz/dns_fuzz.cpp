#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dns/message.h"
#include "dns/resolvers.h"
#include "dns/zone.h"

namespace {

using namespace warren;
using Bytes = std::span<const std::uint8_t>;

void must(bool holds) {
    if (!holds) {
        __builtin_trap();
    }
}

const dns::Zone& zone() {
    static const dns::Zone zone(
        "net1",
        {base::parse_prefix("subnet", "10.128.0.0/24").value(), base::parse_prefix("subnet", "fd01::/64").value()},
        {{.name = "web",
          .aliases = {"www"},
          .ips = {base::IpAddress::v4(0x0a800002), base::parse_ip("ip", "fd01::2").value()},
          .services = {{.name = "_http._tcp", .port = 80}}},
         {.name = "db",
          .aliases = {"www"},
          .ips = {base::IpAddress::v4(0x0a800003)},
          .services = {{.name = "_http._tcp", .port = 81}, {.name = "_dns._udp", .port = 53}}},
         {.name = "six", .aliases = {}, .ips = {base::parse_ip("ip", "fd01::6").value()}}});
    return zone;
}

// What a container asks for names, and what it is told.
void ask(Bytes bytes) {
    const auto query = dns::parse_query(bytes);
    if (!query) {
        return;
    }
    const dns::Zone* const zones[] = {&zone()};
    const auto answer = dns::answer(*query, zones, bytes.size());
    must(dns::encode(*query, answer, dns::udp_limit(*query)).size() <= dns::udp_limit(*query));
    if (dns::is_to_be_forwarded(*query)) {
        // Sent back as it went out but for the bit that says so, it is its own reply.
        constexpr std::uint16_t kId = 0x1234;
        auto reply = dns::with_id(bytes, kId);
        must(!dns::is_reply(reply, *query, kId));
        reply[2] |= 0x80U;
        must(dns::is_reply(reply, *query, kId));
        must(!dns::is_reply(reply, *query, kId + 1));
    }
}

// What comes from where the host's resolvers are.
void reply(Bytes bytes) {
    static const std::vector<std::uint8_t> kAsked{0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'e', 'b', 0, 0, 1, 0, 1};
    static const auto query = dns::parse_query(kAsked).value();
    const auto id = static_cast<std::uint16_t>(bytes.size() < 2 ? 0 : bytes[0] << 8U | bytes[1]);
    must(!dns::is_reply(bytes, query, id) || bytes.size() >= kAsked.size());
}

// What is in the host's resolv.conf.
void read_resolvers(Bytes bytes) {
    const std::string text(bytes.begin(), bytes.end());
    must(dns::parse_resolv_conf(text).size() <= dns::kMostServers);
    // Few random texts begin with the keyword.
    must(dns::parse_resolv_conf("nameserver " + text).size() <= dns::kMostServers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Bytes bytes(data, size);
    ask(bytes);
    reply(bytes);
    read_resolvers(bytes);
    return 0;
}
