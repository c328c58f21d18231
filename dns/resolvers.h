#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "dns/message.h"

// What it takes to hand a question on to the host's own resolvers. Pure.
namespace warren::dns {

// The servers of a resolv.conf(5), in their order, as many at most as the C library takes; what is not understood is
// skipped. A scope (fe80::1%eth0) is not understood.
inline constexpr std::size_t kMostServers = 3;  // resolv.conf(5), MAXNS
[[nodiscard]] std::vector<base::IpAddress> parse_resolv_conf(std::string_view text);

// The question of a query is one that may be handed on: of class IN, asked for with recursion, and no transfer of a
// zone.
[[nodiscard]] bool is_to_be_forwarded(const Query& query);

// The same message under another number; `message` has a header.
[[nodiscard]] std::vector<std::uint8_t> with_id(std::span<const std::uint8_t> message, std::uint16_t id);

// It answers this query, which went out under `id`: the number and the question are right. Who sent it is for the
// caller to check.
[[nodiscard]] bool is_reply(std::span<const std::uint8_t> message, const Query& query, std::uint16_t id);

}  // namespace warren::dns
