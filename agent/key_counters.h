#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "base/ids.h"
#include "proto/session.pb.h"
#include "xfrm/engine.h"

namespace warren::agent {

// What this node has sent in each epoch: under the SAs that are there and under those that are no more, which take
// their counters with them. Begins at zero with the daemon, but for the SAs that it finds.
//
// Owner: the agent. Thread: the loop's. Bounded: the newest epochs of the networks that were told last.
class KeyCounters {
  public:
    // SAs are no more.
    void add_closed(std::span<const xfrm::SentUnder> closed);
    // All SAs that are there now.
    void see(std::span<const xfrm::SentUnder> open);

    // Something was added or seen since it was told last.
    [[nodiscard]] bool news() const { return news_; }
    // Of the networks with these ids; what is counted for others is forgotten.
    [[nodiscard]] v1::KeyCounters tell(const std::map<base::NetworkIndex, base::NetworkId>& ids);
    // A new session: the manager may have forgotten all.
    void repeat() { news_ = true; }

  private:
    struct Sum {
        std::uint64_t packets = 0;
        std::uint64_t bytes = 0;
        std::uint64_t most_packets = 0;  // of one SA
        std::uint64_t most_bytes = 0;

        void add(const xfrm::SentUnder& sent);
    };
    using Key = std::pair<base::NetworkIndex, base::Epoch>;

    std::map<Key, Sum> closed_;
    std::map<Key, Sum> open_;
    bool news_ = false;
};

}  // namespace warren::agent
