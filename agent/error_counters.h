#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "overlay/barrier.h"

namespace warren::agent {

// Something that the kernel refused or dropped, how often, and what that tells. All texts live for ever.
struct ErrorCounter {
    std::string name;
    std::uint64_t value = 0;
    std::string_view meaning;  // what was counted, and its likely cause
    std::string_view remedy;   // what to do; empty: nothing, it is as it should be

    bool operator==(const ErrorCounter&) const = default;
};

// Of /proc/net/xfrm_stat (linux/snmp.h) those that are not zero. They are of the whole network namespace and since
// boot; other users of IPsec count there too.
[[nodiscard]] std::vector<ErrorCounter> parse_xfrm_errors(std::string_view text);
// Of the calling thread's namespace; empty when the kernel does not count (CONFIG_XFRM_STATISTICS).
[[nodiscard]] std::vector<ErrorCounter> read_xfrm_errors();
// Of the nft table those that are not zero.
[[nodiscard]] std::vector<ErrorCounter> barrier_errors(const overlay::DropCounters& drops);

// Remembers counters for a while, so as to tell what is going on from what once was. A value.
class RecentErrors {
  public:
    void note(base::Moment now, const std::vector<ErrorCounter>& counters);
    // How much of it was counted in about the last minute (since the first note, if that is later). A counter that was
    // never noted was zero.
    [[nodiscard]] std::uint64_t lately(const ErrorCounter& counter) const;

  private:
    static constexpr base::Duration kMinute = std::chrono::minutes(1);

    struct Sample {
        base::Moment at;
        std::map<std::string, std::uint64_t> values;
    };
    std::deque<Sample> samples_;  // the oldest is the last that is a minute old
};

}  // namespace warren::agent
