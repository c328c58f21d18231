#include "overlay/barrier.h"

#include <fmt/format.h>

#include <charconv>

namespace warren::overlay {

namespace {

std::string elements(const ProtectedPorts& ports, bool pairs) {
    std::string out;
    std::set<base::UdpPort> seen;
    for (const auto& [reqid, port] : ports) {
        if (pairs) {
            out += fmt::format("{}{} . {}", out.empty() ? "" : ", ", reqid, port);
        } else if (seen.insert(port).second) {
            out += fmt::format("{}{}", out.empty() ? "" : ", ", port);
        }
    }
    return out;
}

std::string set_body(const ProtectedPorts& ports, bool pairs) {
    const std::string list = elements(ports, pairs);
    return list.empty() ? "" : fmt::format("elements = {{ {} }}", list);
}

// The number behind the word "packets" of the named counter.
std::optional<std::uint64_t> packets_of(std::string_view listing, std::string_view counter) {
    const auto begin = listing.find(fmt::format("counter {} {{", counter));
    if (begin == std::string_view::npos) {
        return std::nullopt;
    }
    constexpr std::string_view kWord = "packets ";
    const auto end = listing.find('}', begin);
    const auto at = listing.find(kWord, begin);
    if (at == std::string_view::npos || at > end) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    const char* first = listing.data() + at + kWord.size();
    const auto [rest, problem] = std::from_chars(first, listing.data() + listing.size(), value);
    return problem == std::errc{} ? std::optional(value) : std::nullopt;
}

// Why these hooks and priorities:
// * untouched: before connection tracking (-200), which NAT builds on. A rule that rewrote the source port, too, would
// make
//   the packet unrecognisable to the XFRM policies and to `out`, and it would leave in clear.
// * out: behind source NAT (100), since a rule that rewrites our VTEP's address takes a packet past the XFRM policies.
// The packet
//   is seen before ESP, with the route that leads into it. What comes out of ESP passes here again, as ESP, or as UDP
//   from port 4500, and is no concern of the rule.
//   Nor does an ICMP error leave that quotes a frame: the kernel answers what was decrypted and finds no VXLAN socket
//   with "port unreachable" and up to 548 bytes of it. Behind the 8 bytes of ICMP there are the quoted IP header (its
//   protocol in byte 9, in IPv6 byte 6), then the ports of UDP. An error about ESP on the way quotes ESP.
// * in: before anybody's filter; a packet that came in ESP passes here after decryption, and carries its reqid.
// Accepting ends
//   only this chain: other tables still have their say.
// * forward: a container behind masquerade that sends from port 600 would, with its source rewritten to the VTEP's, be
// wrapped
//   into our own ESP. Any source port, since a NAT rule may rewrite that too.
constexpr std::string_view kTable = R"(table inet warren {{
  comment "protects the ports of encrypted networks; put back by warrend when changed"
  counter sent_clear {{ packets {sent} bytes 0 }}
  counter received_clear {{ packets {received} bytes 0 }}
  counter forwarded {{ packets {forwarded} bytes 0 }}
  set encrypted_ports {{
    type inet_service
    {ports}
  }}
  set pairs {{
    typeof ipsec in reqid . udp dport
    {pairs}
  }}
  set quoted_ports_ip {{
    typeof @th,240,16
    {ports}
  }}
  set quoted_ports_ip6 {{
    typeof @th,400,16
    {ports}
  }}
  chain untouched {{
    type filter hook output priority -300; policy accept;
    udp sport 512-1023 udp dport @encrypted_ports notrack
  }}
  chain out {{
    type filter hook postrouting priority 300; policy accept;
    udp sport 512-1023 udp dport @encrypted_ports rt ipsec missing counter name sent_clear drop
    meta l4proto icmp @th,136,8 17 @th,240,16 @quoted_ports_ip counter name sent_clear drop
    meta l4proto ipv6-icmp @th,112,8 17 @th,400,16 @quoted_ports_ip6 counter name sent_clear drop
  }}
  chain in {{
    type filter hook input priority -300; policy accept;
    udp dport @encrypted_ports ipsec in reqid . udp dport @pairs accept
    udp dport @encrypted_ports counter name received_clear drop
  }}
  chain forward {{
    type filter hook forward priority -300; policy accept;
    udp dport @encrypted_ports counter name forwarded drop
  }}
}}
)";

}  // namespace

std::string barrier_ruleset(const ProtectedPorts& ports, const DropCounters& counted) {
    return barrier_removal() +
           fmt::format(kTable, fmt::arg("sent", counted.sent_clear), fmt::arg("received", counted.received_clear),
                       fmt::arg("forwarded", counted.forwarded), fmt::arg("ports", set_body(ports, false)),
                       fmt::arg("pairs", set_body(ports, true)));
}

std::string barrier_elements(const ProtectedPorts& ports) {
    std::string out = "flush set inet warren pairs\n";
    for (const auto* set : {"encrypted_ports", "quoted_ports_ip", "quoted_ports_ip6"}) {
        out += fmt::format("flush set inet warren {}\n", set);
        if (!ports.empty()) {
            out += fmt::format("add element inet warren {} {{ {} }}\n", set, elements(ports, false));
        }
    }
    if (!ports.empty()) {
        out += fmt::format("add element inet warren pairs {{ {} }}\n", elements(ports, true));
    }
    return out;
}

std::string barrier_removal() {
    return "add table inet warren\ndelete table inet warren\n";  // the first so that the second finds one
}

std::optional<DropCounters> parse_drop_counters(std::string_view listing) {
    const auto sent = packets_of(listing, "sent_clear");
    const auto received = packets_of(listing, "received_clear");
    const auto forwarded = packets_of(listing, "forwarded");
    if (!sent || !received || !forwarded) {
        return std::nullopt;
    }
    return DropCounters{.sent_clear = *sent, .received_clear = *received, .forwarded = *forwarded};
}

}  // namespace warren::overlay
