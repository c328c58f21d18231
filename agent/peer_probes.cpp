#include "agent/peer_probes.h"

#include <algorithm>

#include "base/log.h"
#include "base/random.h"

namespace warren::agent {

namespace {

constexpr base::Log kLog{"agent"};
constexpr std::chrono::milliseconds kStep{5};
constexpr std::size_t kMany = 64;  // as many as a port gives at once
constexpr std::chrono::milliseconds kPause{50};

base::Time bucket_time() {
    return base::Time(base::steady_now().time_since_epoch());
}

}  // namespace

void PeerProbes::keep(const NetworkView& view, const base::NodeId& self, const netlink::NamespaceIdentity& home,
                      const std::function<base::Result<probe::ProbePort>()>& open) {
    auto& kept = networks_[view.id];
    if (!kept) {
        auto port = open();
        if (!port) {
            kLog.debug("network {}: {}", view.name, port.error().message());
            networks_.erase(view.id);
            return;
        }
        kept = std::make_unique<Kept>(*loop_, *std::move(port), home);
        listen(view.id, *kept);
    }
    kept->largest = view.mtu;
    kept->peers.clear();
    for (const auto& [node, member] : view.members) {
        if (node == self) {
            kept->self = member.index;
        } else {
            kept->peers.emplace(member.index, Peer{.node = node, .vtep = member.vtep});
        }
    }
}

void PeerProbes::listen(const base::NetworkId& network, Kept& kept) {
    kept.readable.async_wait(asio::posix::stream_descriptor::wait_read, [this, network](const asio::error_code& error) {
        if (error) {
            return;
        }
        const auto found = networks_.find(network);
        if (found == networks_.end()) {
            return;
        }
        Kept& listener = *found->second;
        const auto received = listener.port.receive();
        if (!received) {
            kLog.debug("network {}: {}", network, received.error().message());
            networks_.erase(found);
            return;
        }
        for (const auto& probe : received->probes) {
            take(network, listener, probe);
        }
        if (received->frames < kMany) {
            listen(network, listener);
            return;
        }
        // A container that floods its own bridge must not keep this host busy.
        listener.pause.expires_after(kPause);
        listener.pause.async_wait([this, network](const asio::error_code& stopped) {
            const auto still = stopped ? networks_.end() : networks_.find(network);
            if (!stopped && still != networks_.end()) {
                listen(network, *still->second);
            }
        });
    });
}

std::optional<netlink::NamespaceIdentity> PeerProbes::home(const base::NetworkId& network) const {
    const auto kept = networks_.find(network);
    return kept == networks_.end() ? std::nullopt : std::optional(kept->second->home);
}

void PeerProbes::remember(const base::NetworkId& network, std::uint64_t run) {
    if (const auto kept = networks_.find(network); kept != networks_.end()) {
        kept->second->remembered.insert(run);
    }
}

void PeerProbes::forget_run(const base::NetworkId& network, std::uint64_t run) {
    if (const auto kept = networks_.find(network); kept != networks_.end()) {
        kept->second->remembered.erase(run);
    }
}

void PeerProbes::take(const base::NetworkId& network, Kept& kept, const probe::ReceivedProbe& received) {
    const auto& probe = received.probe;
    if (probe.to != kept.self || !kept.peers.contains(probe.from)) {
        return;
    }
    auto& known = came(kept, probe.run);
    if (probe.number == kForged) {
        ++known.forged;
        return;
    }
    if (!probe.answer) {
        ++known.questions;
        answer(kept, received);
        return;
    }
    ++known.answers[probe.from];
    for (auto& probed : probed_) {
        if (probed.network == network && probed.probe.run() == probe.run) {
            probed.probe.take(received, std::chrono::steady_clock::now());
        }
    }
}

PeerProbes::Came& PeerProbes::came(Kept& kept, std::uint64_t run) {
    const auto known = std::ranges::find(kept.came, run, &Came::run);
    if (known != kept.came.end()) {
        return *known;
    }
    if (kept.came.size() >= kRuns) {
        const auto oldest =
            std::ranges::find_if(kept.came, [&](const Came& other) { return !kept.remembered.contains(other.run); });
        if (oldest != kept.came.end()) {
            kept.came.erase(oldest);
        }
    }
    return kept.came.emplace_back(Came{.run = run, .questions = 0, .forged = 0, .answers = {}});
}

// Whoever is in the network can ask, and a container can ask in a peer's name: the answers go to the peer, a few at a
// time.
void PeerProbes::answer(Kept& kept, const probe::ReceivedProbe& question) {
    const auto peer = kept.peers.find(question.probe.from);
    if (kept.answered[question.probe.from].take(kAnswers, bucket_time())) {
        return;
    }
    auto answer = question.probe;
    answer.answer = true;
    answer.from = kept.self;
    answer.to = question.probe.from;
    const auto size = std::clamp(question.probe.answer_size, probe::kSmallestProbe, kept.largest);
    if (const auto sent = kept.port.send(answer, size, peer->second.vtep); !sent) {
        kLog.debug("answer a probe: {}", sent.error().message());
    }
}

PeerProbes::Came PeerProbes::came(const base::NetworkId& network, std::uint64_t run) const {
    const auto kept = networks_.find(network);
    if (kept == networks_.end()) {
        return {};
    }
    const auto known = std::ranges::find(kept->second->came, run, &Came::run);
    return known == kept->second->came.end() ? Came{} : *known;
}

base::Status PeerProbes::ask(const base::NetworkId& network, const base::NodeId& peer, std::uint64_t run,
                             std::uint16_t number, base::Mtu size) {
    const auto kept = networks_.find(network);
    if (kept == networks_.end()) {
        return base::fail(base::Code::kPrecondition, "probes can't be sent: the network is not in place here");
    }
    const auto& peers = kept->second->peers;
    const auto known = std::ranges::find_if(peers, [&](const auto& entry) { return entry.second.node == peer; });
    if (known == peers.end()) {
        return base::fail(base::Code::kNotFound, "probes can't be sent: it is no member any more");
    }
    const probe::Probe question{
        .number = number, .run = run, .from = kept->second->self, .to = known->first, .answer_size = size};
    return kept->second->port.send(question, size, known->second.vtep);
}

std::vector<std::uint8_t> PeerProbes::forgery(const NetworkView& view, const base::NodeId& self,
                                              const base::NodeId& peer, std::uint64_t run) const {
    const probe::Probe probe{.number = kForged,
                             .run = run,
                             .from = view.members.at(self).index,
                             .to = view.members.at(peer).index,
                             .answer_size = probe::kSmallestProbe};
    return probe::encode_probe(probe, view.subnets.front().vni, overlay::gateway_mac(view.id, 0),
                               probe::kSmallestProbe);
}

void PeerProbes::probe(std::function<void(const std::vector<Path>&)> then) {
    waiting_.push_back(std::move(then));
    if (waiting_.size() > 1) {
        return;
    }
    const auto now = std::chrono::steady_clock::now();
    for (const auto& [network, kept] : networks_) {
        for (const auto& [index, peer] : kept->peers) {
            probed_.push_back({.network = network,
                               .peer = index,
                               .node = peer.node,
                               .probe = probe::PathProbe(base::random_u64(), kept->self, index, kept->largest, now)});
        }
    }
    step();
}

void PeerProbes::step() {
    const auto now = std::chrono::steady_clock::now();
    for (auto& probed : probed_) {
        const auto kept = networks_.find(probed.network);
        for (const auto& question : probed.probe.due(now)) {
            if (kept == networks_.end()) {
                continue;  // unanswered, as it would be
            }
            const auto peer = kept->second->peers.find(probed.peer);
            if (peer != kept->second->peers.end()) {
                // One that can't be sent is not answered either.
                (void)kept->second->port.send(question.probe, question.size, peer->second.vtep);
            }
        }
    }
    if (std::ranges::all_of(probed_, [](const Probed& probed) { return probed.probe.over(); })) {
        finish();
        return;
    }
    timer_.expires_after(kStep);
    timer_.async_wait([this](const asio::error_code& error) {
        if (!error) {
            step();
        }
    });
}

void PeerProbes::finish() {
    std::vector<Path> paths;
    for (const auto& probed : std::exchange(probed_, {})) {
        paths.push_back(
            {.network = probed.network, .peer = probed.node, .found = probed.probe.found(), .run = probed.probe.run()});
    }
    for (const auto& then : std::exchange(waiting_, {})) {
        then(paths);
    }
}

void PeerProbes::stop() {
    timer_.cancel();
    networks_.clear();
}

}  // namespace warren::agent
