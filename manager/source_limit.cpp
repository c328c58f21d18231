#include "manager/source_limit.h"

#include <algorithm>

namespace warren::manager {

namespace {

constexpr base::Duration kSweep = std::chrono::seconds(1);
constexpr std::size_t kIpv6Prefix = 8;  // bytes

// "::ffff:192.0.2.1" is what a socket for both families calls an IPv4 address (RFC 4291 section 2.5.5.2).
std::optional<base::IpAddress> mapped_v4(const base::IpAddress& address) {
    constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const auto raw = address.raw();
    if (address.family == base::Family::kIpv4 || !std::equal(kMapped.begin(), kMapped.end(), raw.begin())) {
        return std::nullopt;
    }
    return base::IpAddress::from_bytes(raw.subspan(kMapped.size()));
}

// Who shares a bucket: an IPv4 address, or the /64 of an IPv6 address.
std::string source_of(const base::IpAddress& address) {
    const auto raw = address.raw();
    const auto size = address.family == base::Family::kIpv4 ? raw.size() : kIpv6Prefix;
    return {raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

std::optional<base::IpAddress> address_of_peer(std::string_view peer) {
    const auto take = [&peer](std::string_view prefix) {
        const bool found = peer.starts_with(prefix);
        peer.remove_prefix(found ? prefix.size() : 0);
        return found;
    };
    const bool v6 = take("ipv6:");
    if (!v6 && !take("ipv4:")) {
        return std::nullopt;
    }
    if (v6 && !take("%5B")) {
        take("[");
    }
    const auto end = v6 ? std::min(peer.find("%5D"), peer.find(']')) : peer.find(':');
    // A zone ("fe80::1%25eth0") says on which link; the address is what counts.
    const auto text = peer.substr(0, end);
    const auto parsed = base::parse_ip("peer", text.substr(0, text.find('%')));
    if (!parsed) {
        return std::nullopt;
    }
    return mapped_v4(*parsed).value_or(*parsed);
}

base::Status SourceLimit::take(std::string_view peer, base::Time now) {
    const auto address = address_of_peer(peer);
    const std::lock_guard guard(mutex_);
    auto& taken = address ? bucket(source_of(*address), now) : others_;
    if (const auto wait = taken.take(limits_.rate, now)) {
        return base::fail(base::Code::kExhausted, "too many {} from {}: try again in {} s", limits_.of,
                          address ? address->text() : std::string(peer),
                          std::chrono::ceil<std::chrono::seconds>(*wait).count());
    }
    return {};
}

std::size_t SourceLimit::remembered() const {
    const std::lock_guard guard(mutex_);
    return buckets_.size();
}

base::TokenBucket& SourceLimit::bucket(const std::string& source, base::Time now) {
    const auto found = buckets_.find(source);
    if (found != buckets_.end()) {
        return found->second;
    }
    if (buckets_.size() >= limits_.sources && (now >= next_sweep_ || next_sweep_ > now + kSweep)) {
        next_sweep_ = now + kSweep;
        std::erase_if(buckets_, [now](const auto& entry) { return entry.second.is_full(now); });
    }
    return buckets_.size() < limits_.sources ? buckets_[source] : others_;
}

}  // namespace warren::manager
