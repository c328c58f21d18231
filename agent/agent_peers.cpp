#include "agent/agent.h"
#include "proto/wire.h"

// Questions to other members of a network, through the manager.
namespace warren::agent {

namespace {

constexpr base::Duration kPatience = std::chrono::seconds(3);

v1::PeerAnswer unanswered(const base::NodeId& peer, const char* why) {
    v1::PeerAnswer answer;
    answer.set_node_id(proto::raw(peer));
    answer.set_error(why);
    return answer;
}

}  // namespace

void Agent::ask_peer(const base::NodeId& peer, v1::PeerQuestion question,
                     std::function<void(const v1::PeerAnswer&)> then) {
    if (!welcomed_) {
        then(unanswered(peer, "this node has no session with the manager"));
        return;
    }
    const auto id = next_request_++;
    question.set_id(id);
    question.set_node_id(proto::raw(peer));
    asked_peers_.emplace(id,
                         PeerAsked{.deadline = base::steady_now() + kPatience, .peer = peer, .then = std::move(then)});
    v1::FromAgent message;
    *message.mutable_peer_question() = std::move(question);
    session_->send(std::move(message));
}

void Agent::take_answer(const v1::PeerAnswer& answer) {
    const auto asked = asked_peers_.find(answer.id());
    if (asked == asked_peers_.end() || proto::raw(asked->second.peer) != answer.node_id()) {
        return;  // too late, or not from whom it was asked
    }
    const auto then = std::move(asked->second.then);
    asked_peers_.erase(asked);
    then(answer);
}

void Agent::end_late_questions(base::Moment now) {
    std::vector<PeerAsked> late;
    for (auto asked = asked_peers_.begin(); asked != asked_peers_.end();) {
        const auto next = std::next(asked);
        if (asked->second.deadline <= now) {
            late.push_back(std::move(asked->second));
            asked_peers_.erase(asked);
        }
        asked = next;
    }
    for (const auto& asked : late) {
        asked.then(unanswered(asked.peer, "it did not answer"));
    }
}

}  // namespace warren::agent
