#pragma once

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "agent/view.h"
#include "base/token_bucket.h"
#include "probe/path_probe.h"
#include "probe/probe_port.h"

namespace warren::agent {

// Answers the probe frames of peers, counts them, and sends its own.
//
// Owner: the agent. Thread: the loop's. Failure: a network whose frames can't be received answers none and is tried
// again by the next keep().
class PeerProbes {
  public:
    explicit PeerProbes(asio::io_context& loop) : loop_(&loop), timer_(loop) {}

    // From now on this network's probes are answered, as its view is now. After each apply of it; `open` is asked for a
    // port if there is none.
    void keep(const NetworkView& view, const base::NodeId& self, const netlink::NamespaceIdentity& home,
              const std::function<base::Result<probe::ProbePort>()>& open);
    void forget(const base::NetworkId& network) { networks_.erase(network); }
    void forget_all() { networks_.clear(); }
    // The namespace in which it listens; nullopt: in none.
    [[nodiscard]] std::optional<netlink::NamespaceIdentity> home(const base::NetworkId& network) const;

    // A probe with this number is a forgery of ours, to be refused: it is counted and not answered.
    static constexpr std::uint16_t kForged = 0xffff;

    // What has come of a run lately.
    struct Came {
        std::uint64_t run = 0;
        unsigned questions = 0;
        unsigned forged = 0;
        std::map<base::NodeIndex, unsigned> answers;  // of whom
    };
    [[nodiscard]] Came came(const base::NetworkId& network, std::uint64_t run) const;
    // What comes of this run is kept, whatever else comes, until it is forgotten.
    void remember(const base::NetworkId& network, std::uint64_t run);
    void forget_run(const base::NetworkId& network, std::uint64_t run);
    // Asks one peer once; what it answers is in came().
    [[nodiscard]] base::Status ask(const base::NetworkId& network, const base::NodeId& peer, std::uint64_t run,
                                   std::uint16_t number, base::Mtu size);
    // The payload of a datagram that would be such a question, if it came through.
    [[nodiscard]] std::vector<std::uint8_t> forgery(const NetworkView& view, const base::NodeId& self,
                                                    const base::NodeId& peer, std::uint64_t run) const;

    struct Path {
        base::NetworkId network;
        base::NodeId peer;
        probe::PathFound found;
        std::uint64_t run = 0;
    };
    // Probes the ways to all peers of all networks that are kept; `then` gets what was found. Some seconds. One after
    // the other: a call while another is at work is told of what that one finds.
    void probe(std::function<void(const std::vector<Path>&)> then);
    void stop();

  private:
    static constexpr base::Rate kAnswers{.burst = 100, .refill = std::chrono::milliseconds(10)};  // to each peer
    static constexpr std::size_t kRuns = 64;  // remembered of each network

    struct Peer {
        base::NodeId node;
        base::IpAddress vtep;
    };
    struct Kept {
        Kept(asio::io_context& loop, probe::ProbePort opened, const netlink::NamespaceIdentity& where)
            : port(std::move(opened)), home(where), readable(loop, port.fd()), pause(loop) {}
        Kept(const Kept&) = delete;
        Kept& operator=(const Kept&) = delete;
        ~Kept() { readable.release(); }

        probe::ProbePort port;
        netlink::NamespaceIdentity home;
        asio::posix::stream_descriptor readable;  // of port, which closes it
        base::NodeIndex self;
        base::Mtu largest;
        std::map<base::NodeIndex, Peer> peers;
        std::deque<Came> came;
        std::map<base::NodeIndex, base::TokenBucket> answered;
        std::set<std::uint64_t> remembered;  // runs
        asio::steady_timer pause;
    };
    struct Probed {
        base::NetworkId network;
        base::NodeIndex peer;
        base::NodeId node;
        probe::PathProbe probe;
    };

    asio::io_context* loop_;
    asio::steady_timer timer_;
    std::map<base::NetworkId, std::unique_ptr<Kept>> networks_;
    std::vector<Probed> probed_;
    std::vector<std::function<void(const std::vector<Path>&)>> waiting_;

    void listen(const base::NetworkId& network, Kept& kept);
    void take(const base::NetworkId& network, Kept& kept, const probe::ReceivedProbe& received);
    static Came& came(Kept& kept, std::uint64_t run);
    void answer(Kept& kept, const probe::ReceivedProbe& question);
    void step();
    void finish();
};

}  // namespace warren::agent
