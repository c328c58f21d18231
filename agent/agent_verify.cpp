#include <algorithm>
#include <asio/steady_timer.hpp>

#include "agent/agent.h"
#include "agent/proof.h"
#include "agent/run_watch.h"
#include "base/random.h"
#include "base/reference.h"
#include "overlay/mtu.h"
#include "proto/wire.h"

// `warren network verify`: marked frames to every peer while both ends watch their underlay, and a forged one in clear.
namespace warren::agent {

namespace {

using base::Code;
using base::fail;

constexpr unsigned kFrames = 10;
constexpr unsigned kForgeries = 3;
constexpr std::chrono::milliseconds kPace{20};
constexpr std::chrono::milliseconds kArrival{500};  // more than the way takes
constexpr std::size_t kWatches = 8;                 // at once, for peers
constexpr base::Duration kWatchLimit = std::chrono::seconds(15);
constexpr std::uint32_t kLeastSize = 600;

}  // namespace

struct Agent::VerifyRun {
    VerifyRun(asio::io_context& loop, Respond<v1::NetworkVerifyReply> asked) : respond(std::move(asked)), timer(loop) {}

    Respond<v1::NetworkVerifyReply> respond;
    asio::steady_timer timer;
    base::NetworkId network;
    std::uint64_t number = 0;
    base::Mtu size;
    std::unique_ptr<RunWatch> watch;
    struct Peer {
        base::NodeId node;
        base::IpAddress vtep;
        v1::PeerProof proof;
        std::optional<v1::Seen> told;
    };
    std::vector<Peer> peers;
    std::size_t open = 0;  // questions
    unsigned rounds = 0;

    // Each peer is asked; `take` gets its answer, and after the last one `then` is called.
    void ask_all(Agent& agent, const std::shared_ptr<VerifyRun>& self, const v1::PeerQuestion& question,
                 const std::function<void(Peer&, const v1::PeerAnswer&)>& take, const std::function<void()>& then) {
        open = peers.size() + 1;
        const auto done = [self, then] {
            if (--self->open == 0) {
                then();
            }
        };
        for (auto& peer : peers) {
            agent.ask_peer(peer.node, question, [self, &peer, take, done](const v1::PeerAnswer& answer) {
                take(peer, answer);
                done();
            });
        }
        done();
    }
    void after(std::chrono::milliseconds time, std::function<void()> then) {
        timer.expires_after(time);
        timer.async_wait([then = std::move(then)](const asio::error_code& error) {
            if (!error) {
                then();
            }
        });
    }
};

void Agent::verify(const v1::NetworkVerifyRequest& request, const Respond<v1::NetworkVerifyReply>& respond) {
    auto run = prepare_verify(request.network(), respond);
    if (!run) {
        respond(base::fail_with(std::move(run)));
        return;
    }
    v1::PeerQuestion question;
    question.set_network_id(proto::raw((*run)->network));
    question.set_run((*run)->number);
    question.mutable_watch()->set_size((*run)->size.value);
    (*run)->ask_all(
        *this, *run, question,
        [](VerifyRun::Peer& peer, const v1::PeerAnswer& answer) { peer.proof.set_detail(answer.error()); },
        [this, run = *run] { send_marked(run); });
}

base::Result<std::shared_ptr<Agent::VerifyRun>> Agent::prepare_verify(const std::string& name,
                                                                      const Respond<v1::NetworkVerifyReply>& respond) {
    auto id = base::find_reference("network", name, networks_, [](const auto& state) { return state.view.name; });
    if (!id && id.error().code() == Code::kNotFound) {
        return fail(Code::kNotFound,
                    "network '{}': this host is no member of such a network; verify it where it has an endpoint, see "
                    "warren status",
                    name);
    }
    if (!id) {
        return base::fail_with(std::move(id));
    }
    const auto& view = networks_.at(*id).view;
    if (!view.encrypted) {
        return fail(Code::kPrecondition, "network '{}': is not encrypted, so there is nothing to prove", view.name);
    }
    auto run = std::make_shared<VerifyRun>(*loop_, respond);
    run->network = *id;
    run->number = base::random_u64();
    run->size = base::Mtu{std::min(kLeastSize, view.mtu.value - 1)};
    if (view.mtu.value > kLeastSize + 1) {
        run->size.value += static_cast<std::uint32_t>(base::random_u64() % (view.mtu.value - 1 - kLeastSize));
    }
    std::set<base::IpAddress> vteps;
    for (const auto& [node, member] : view.members) {
        if (node != self().node) {
            auto& peer = run->peers.emplace_back();
            peer.node = node;
            peer.vtep = member.vtep;
            peer.proof.set_peer(member.vtep.text());
            vteps.insert(member.vtep);
        }
    }
    WARREN_TRY_ASSIGN(run->watch, RunWatch::open(*loop_, underlay_.device.ifname,
                                                 {.number = run->number,
                                                  .size = run->size,
                                                  .self = self().vtep,
                                                  .port = view.port,
                                                  .encap = encap_ports(view),
                                                  .index = view.index,
                                                  .peers = std::move(vteps)},
                                                 error_counters()));
    probes_.remember(run->network, run->number);
    verify_runs_.insert(run);
    return run;
}

void Agent::send_marked(const std::shared_ptr<VerifyRun>& run) {
    if (run->rounds == kFrames) {
        run->after(kArrival, [this, run] { send_forged(run); });
        return;
    }
    for (auto& peer : run->peers) {
        const auto sent =
            probes_.ask(run->network, peer.node, run->number, static_cast<std::uint16_t>(run->rounds), run->size);
        if (sent) {
            peer.proof.set_sent(peer.proof.sent() + 1);
        } else if (peer.proof.detail().empty()) {
            peer.proof.set_detail(sent.error().message());
        }
    }
    ++run->rounds;
    run->after(kPace, [this, run] { send_marked(run); });
}

void Agent::send_forged(const std::shared_ptr<VerifyRun>& run) {
    const auto network = networks_.find(run->network);
    for (auto& peer : run->peers) {
        if (network == networks_.end() || !network->second.view.members.contains(peer.node) ||
            !network->second.view.members.contains(self().node)) {
            continue;
        }
        const auto payload = probes_.forgery(network->second.view, self().node, peer.node, run->number);
        for (unsigned i = 0; i < kForgeries; ++i) {
            if (run->watch->forge(peer.vtep, payload)) {
                peer.proof.set_forged_sent(peer.proof.forged_sent() + 1);
            }
        }
    }
    run->after(kArrival, [this, run] {
        v1::PeerQuestion question;
        question.set_network_id(proto::raw(run->network));
        question.set_run(run->number);
        question.set_seen(true);
        run->ask_all(
            *this, run, question,
            [](VerifyRun::Peer& peer, const v1::PeerAnswer& answer) {
                if (answer.error().empty()) {
                    peer.told = answer.seen();
                } else if (peer.proof.detail().empty()) {
                    peer.proof.set_detail(answer.error());
                }
            },
            [this, run] { end_verify(run); });
    });
}

void Agent::end_verify(const std::shared_ptr<VerifyRun>& ended) {
    verify_runs_.erase(ended);
    VerifyRun& run = *ended;
    v1::NetworkVerifyReply reply;
    const auto network = networks_.find(run.network);
    const auto came = probes_.came(run.network, run.number);
    for (auto& peer : run.peers) {
        auto& proof = peer.proof;
        const auto& here = run.watch->seen(peer.vtep);
        proof.set_esp_sent_here(here.esp_out);
        proof.set_esp_seen_here(here.esp_in);
        proof.set_clear_here(here.clear);
        if (network != networks_.end()) {
            const auto member = network->second.view.members.find(peer.node);
            if (member != network->second.view.members.end()) {
                const auto answers = came.answers.find(member->second.index);
                proof.set_answered(answers == came.answers.end() ? 0 : answers->second);
            }
        }
        if (peer.told) {
            proof.set_esp_seen_there(peer.told->esp_in());
            proof.set_esp_sent_there(peer.told->esp_out());
            proof.set_clear_there(peer.told->clear());
            proof.set_forged_seen_there(peer.told->forged());
            proof.set_forged_delivered(peer.told->forged_delivered());
        }
        judge(proof, peer.told);
        *reply.add_peers() = proof;
    }
    reply.set_network(network == networks_.end() ? run.network.text() : network->second.view.name);
    reply.set_verdict(verdict_of(reply));
    run.watch.reset();
    probes_.forget_run(run.network, run.number);
    run.respond(std::move(reply));
}

void Agent::stop_verify() {
    for (const auto& run : verify_runs_) {
        run->timer.cancel();
    }
    verify_runs_.clear();
    watches_.clear();
}

void Agent::answer_peer(const v1::PeerQuestion& question) {
    v1::FromAgent message;
    auto& answer = *message.mutable_peer_answer();
    answer.set_id(question.id());
    answer.set_node_id(question.node_id());
    const auto id = proto::id_of<base::NetworkId>(question.network_id());
    const auto network = networks_.find(id);
    const auto peer = proto::id_of<base::NodeId>(question.node_id());
    if (network == networks_.end() || !network->second.view.members.contains(peer)) {
        answer.set_error("it does not know this node as a member of the network yet");
    } else if (question.has_watch()) {
        if (auto begun = begin_watch(question, network->second.view); !begun) {
            answer.set_error(begun.error().message());
        }
    } else if (question.has_seen()) {
        tell_seen(question, answer);
    } else {
        answer.set_probes(probes_.came(id, question.run()).questions);
    }
    session_->send(std::move(message));
}

base::Status Agent::begin_watch(const v1::PeerQuestion& question, const NetworkView& view) {
    const auto asker = proto::id_of<base::NodeId>(question.node_id());
    end_watch(asker);
    const base::Mtu size{question.watch().size()};
    if (!view.encrypted || size < probe::kSmallestProbe || size > view.mtu) {
        return fail(Code::kInvalid, "watch: it takes an encrypted network and a size from {} to {}",
                    probe::kSmallestProbe, view.mtu);
    }
    if (watches_.size() >= kWatches) {
        return fail(Code::kExhausted, "it watches for others already; try again in some seconds");
    }
    WARREN_TRY_ASSIGN(auto watch, RunWatch::open(*loop_, underlay_.device.ifname,
                                                 {.number = question.run(),
                                                  .size = size,
                                                  .self = self().vtep,
                                                  .port = view.port,
                                                  .encap = encap_ports(view),
                                                  .index = view.index,
                                                  .peers = {view.members.at(asker).vtep}},
                                                 error_counters()));
    watches_.emplace(asker, Watch{.watch = std::move(watch),
                                  .peer = view.members.at(asker).vtep,
                                  .network = view.id,
                                  .run = question.run(),
                                  .until = base::steady_now() + kWatchLimit});
    probes_.remember(view.id, question.run());
    return {};
}

void Agent::tell_seen(const v1::PeerQuestion& question, v1::PeerAnswer& answer) {
    const auto asker = proto::id_of<base::NodeId>(question.node_id());
    const auto found = watches_.find(asker);
    if (found == watches_.end() || found->second.run != question.run()) {
        answer.set_error("it does not watch any more");
        return;
    }
    auto& watch = *found->second.watch;
    const auto counted = watch.seen(found->second.peer);
    const auto came = probes_.came(found->second.network, question.run());
    auto& seen = *answer.mutable_seen();
    seen.set_esp_in(counted.esp_in);
    seen.set_esp_out(counted.esp_out);
    seen.set_clear(counted.clear);
    seen.set_delivered(came.questions);
    seen.set_forged(counted.forged);
    seen.set_forged_delivered(came.forged);
    for (const auto& [name, by] : watch.growth(error_counters())) {
        (*seen.mutable_refusals())[name] = by;
    }
    end_watch(asker);
}

void Agent::end_watch(const base::NodeId& asker) {
    if (const auto watch = watches_.extract(asker)) {
        probes_.forget_run(watch.mapped().network, watch.mapped().run);
    }
}

void Agent::end_late_watches(base::Moment now) {
    std::vector<base::NodeId> late;
    for (const auto& [asker, watch] : watches_) {
        if (watch.until <= now) {
            late.push_back(asker);
        }
    }
    std::ranges::for_each(late, [this](const auto& asker) { end_watch(asker); });
}

}  // namespace warren::agent
