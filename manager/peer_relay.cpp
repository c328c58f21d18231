#include "manager/peer_relay.h"

#include <algorithm>

#include "proto/wire.h"

namespace warren::manager {

namespace {

using base::Code;

constexpr std::size_t kLargest = 16U << 10U;  // bytes of a question or an answer
// A doctor asks once about each peer of each network that it can't reach.
constexpr base::Rate kSaid{.burst = 1000, .refill = std::chrono::milliseconds(20)};

}  // namespace

base::Status PeerRelay::check(const base::NodeId& asker, const base::NodeId& asked,
                              const base::NetworkId& network) const {
    const auto* known = cluster_->network(network);
    if (known == nullptr || known->member(asker) == nullptr || known->member(asked) == nullptr) {
        return base::fail(Code::kDenied, "only members of a network ask each other");
    }
    if (!hub_->reachable(asked)) {
        return base::fail(Code::kUnavailable, "it has no session with the manager");
    }
    return {};
}

void PeerRelay::question(const base::NodeId& asker, const v1::PeerQuestion& question, base::Time now) {
    if (question.ByteSizeLong() > kLargest || said_[asker].take(kSaid, now)) {
        return;
    }
    const auto asked = id_of<base::NodeId>(question.node_id());
    v1::FromManager message;
    if (auto fine = check(asker, asked, id_of<base::NetworkId>(question.network_id())); !fine) {
        auto& refusal = *message.mutable_peer_answer();
        refusal.set_id(question.id());
        refusal.set_node_id(question.node_id());
        refusal.set_error(fine.error().message());
        hub_->reply(asker, std::move(message));
        return;
    }
    auto& handed_on = *message.mutable_peer_question();
    handed_on = question;
    handed_on.set_node_id(proto::raw(asker));
    hub_->reply(asked, std::move(message));
}

void PeerRelay::answer(const base::NodeId& answerer, const v1::PeerAnswer& answer, base::Time now) {
    const auto asker = id_of<base::NodeId>(answer.node_id());
    const bool strangers = std::ranges::none_of(cluster_->networks(), [&](const auto& entry) {
        return entry.second.member(asker) != nullptr && entry.second.member(answerer) != nullptr;
    });
    if (strangers || answer.ByteSizeLong() > kLargest || said_[answerer].take(kSaid, now)) {
        return;
    }
    v1::FromManager message;
    auto& handed_on = *message.mutable_peer_answer();
    handed_on = answer;
    handed_on.set_node_id(proto::raw(answerer));
    hub_->reply(asker, std::move(message));
}

}  // namespace warren::manager
