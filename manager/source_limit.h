#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"
#include "base/token_bucket.h"

namespace warren::manager {

// The address in what gRPC calls the peer of a call, "ipv4:192.0.2.1:4711" or "ipv6:%5B2001:db8::1%5D:4711".
[[nodiscard]] std::optional<base::IpAddress> address_of_peer(std::string_view peer);

struct SourceLimits {
    base::Rate rate{.burst = 60, .refill = std::chrono::milliseconds(500)};  // a join is two calls
    std::size_t sources = 4096;                                              // that are remembered
    std::string_view of = "calls without a certificate";
};

// How often an address may do what a stranger may: call without a certificate, connect. An IPv6 host has a whole /64 to
// call from, so that counts as one. When more addresses call than are remembered, those that are not share one bucket:
// a flood from everywhere keeps other strangers out, and nobody else.
//
// Any thread; asked before anything reaches the core, so that a flood does not get as far.
class SourceLimit {
  public:
    explicit SourceLimit(SourceLimits limits = {}) : limits_(limits) {}

    // kExhausted: who it is and when to try again.
    [[nodiscard]] base::Status take(std::string_view peer, base::Time now);
    [[nodiscard]] std::size_t remembered() const;

  private:
    SourceLimits limits_;
    mutable std::mutex mutex_;
    std::map<std::string, base::TokenBucket> buckets_;
    base::TokenBucket others_;
    base::Time next_sweep_{};

    [[nodiscard]] base::TokenBucket& bucket(const std::string& source, base::Time now);
};

}  // namespace warren::manager
