#include <cstddef>
#include <cstdint>

#include "dns/message.h"
#include "dns/zone.h"

// What containers ask for names, and what they are told.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace warren;
    static const dns::Zone zone(
        "net1", {base::parse_prefix("subnet", "10.128.0.0/24").value()},
        {{.name = "web",
          .aliases = {"www"},
          .ips = {base::IpAddress::v4(0x0a800002)},
          .services = {{.name = "_http._tcp", .port = 80}}},
         {.name = "db",
          .aliases = {"www"},
          .ips = {base::IpAddress::v4(0x0a800003)},
          .services = {{.name = "_http._tcp", .port = 81}, {.name = "_dns._udp", .port = 53}}}});
    if (const auto query = dns::parse_query({data, size})) {
        const dns::Zone* const zones[] = {&zone};
        const auto answer = dns::answer(*query, zones, size);
        if (dns::encode(*query, answer, dns::udp_limit(*query)).size() > dns::udp_limit(*query)) {
            __builtin_trap();
        }
    }
    return 0;
}
