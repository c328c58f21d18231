#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/error_counters.h"
#include "probe/underlay_tap.h"

namespace warren::agent {

// Counts what crosses the underlay of the probe frames of one run, which all have one size.
//
// Owner: the agent, for some seconds. Thread: the loop's.
class RunWatch {
  public:
    struct Run {
        std::uint64_t number = 0;
        base::Mtu size;                   // of its frames, as IP packets in their place
        base::IpAddress self;             // this node's VTEP
        base::UdpPort port;               // the network's
        std::set<base::UdpPort> encap;    // where it has ESP in UDP
        base::NetworkIndex index;         // which its SPIs have in them
        std::set<base::IpAddress> peers;  // their VTEPs: of others nothing is counted
    };
    [[nodiscard]] static base::Result<std::unique_ptr<RunWatch>> open(asio::io_context& loop, const std::string& device,
                                                                      const Run& run,
                                                                      const std::vector<ErrorCounter>& counters);
    RunWatch(const RunWatch&) = delete;
    RunWatch& operator=(const RunWatch&) = delete;
    ~RunWatch() { readable_.release(); }

    struct Seen {
        unsigned esp_in = 0;
        unsigned esp_out = 0;
        // Going out; forged ones are not among them. What comes in was seen where it went out; here the kernel may show
        // what it has decrypted (esp4_offload with GRO).
        unsigned clear = 0;
        unsigned forged = 0;                   // that came
        std::optional<probe::LinkHeader> way;  // of what went out to it
    };
    // To and from that peer so far.
    [[nodiscard]] const Seen& seen(const base::IpAddress& peer) { return seen_[peer]; }
    // By how much each grew since the watch began.
    [[nodiscard]] std::map<std::string, std::uint64_t> growth(const std::vector<ErrorCounter>& counters) const;

    // Sends a datagram in clear to a peer that ESP went to, as if its VXLAN device had, but for that `payload` is
    // marked.
    [[nodiscard]] base::Status forge(const base::IpAddress& peer, const std::vector<std::uint8_t>& payload);

  private:
    RunWatch(asio::io_context& loop, probe::UnderlayTap tap, const Run& run, const std::vector<ErrorCounter>& counters);

    probe::UnderlayTap tap_;
    asio::posix::stream_descriptor readable_;  // of the tap, which closes it
    Run run_;
    RecentErrors since_;  // with the counters of the beginning only
    std::map<base::IpAddress, Seen> seen_;

    void listen();
    void take(const probe::UnderlayTap::Frame& frame);
};

}  // namespace warren::agent
