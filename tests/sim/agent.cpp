#include "tests/sim/agent.h"

#include <algorithm>
#include <iterator>

namespace warren::sim {

using base::Epoch;
using base::EpochSlot;

std::string text(const SaName& sa) {
    return fmt::format("epoch {} from {} ({}) to {} ({})", sa.epoch, sa.sender, sa.sender_id, sa.receiver,
                       sa.receiver_id);
}

void Agent::take(const Update& update) {
    if (!view_ || view_->self != update.self) {
        acks_ = {};
    }
    view_ = update;
    acks_.apply(update.acks);
}

void Agent::take(const keymgr::PeerAck& ack) {
    acks_.apply({.acks = {ack}});
}

void Agent::leave() {
    view_.reset();
    acks_ = {};
    out_.clear();
    in_.clear();
    hooks_.kernel_changed();
}

void Agent::restart_daemon() {
    view_.reset();
    acks_ = {};
}

void Agent::reboot() {
    restart_daemon();
    out_.clear();
    in_.clear();
    recorded_in_.clear();
    recorded_out_.clear();
    hooks_.kernel_changed();
}

std::optional<keymgr::PeerAck> Agent::apply() {
    if (!view_) {
        return std::nullopt;
    }
    std::map<std::pair<NodeNumber, EpochSlot>, SaName> wanted;
    add_inbound(wanted);
    for (const auto& [peer, end] : view_->peers) {
        switch_outbound(peer, end);
    }
    drop_unwanted(wanted);
    return keymgr::PeerAck{.member = view_->self.id, .acked = view_->revision};
}

void Agent::add_inbound(std::map<std::pair<NodeNumber, EpochSlot>, SaName>& wanted) {
    for (const auto& [peer, end] : view_->peers) {
        for (const Epoch number : keymgr::rx_epochs(view_->epochs, view_->self, end)) {
            const auto epoch = std::ranges::find(view_->epochs, number, &keymgr::HeldEpoch::number);
            const SaName sa{.epoch = number,
                            .sender = peer,
                            .sender_id = end.id,
                            .receiver = number_,
                            .receiver_id = view_->self.id};
            const auto spi = std::pair(peer, epoch->slot);
            wanted[spi] = sa;
            const auto there = in_.find(spi);
            if (there != in_.end() && there->second == sa) {
                continue;
            }
            if (!recorded_in_.insert(sa).second) {
                hooks_.sa_lost(number);  // was there once: its replay window is lost, so it stays away
                continue;
            }
            in_[spi] = sa;
            hooks_.kernel_changed();
        }
    }
}

void Agent::switch_outbound(NodeNumber peer, const keymgr::End& end) {
    const auto record = std::tuple(peer, view_->self.id, end.id);
    const auto used = recorded_out_.find(record);
    const Epoch in_use = used == recorded_out_.end() ? Epoch{} : used->second;
    const Epoch epoch = keymgr::tx_epoch(view_->active, view_->epochs, view_->self, end, acks_.acked(end), in_use);
    const SaName sa{
        .epoch = epoch, .sender = number_, .sender_id = view_->self.id, .receiver = peer, .receiver_id = end.id};
    const auto there = out_.find(peer);
    if (epoch == Epoch{}) {
        out_.erase(peer);
    } else if (there != out_.end() && there->second == sa) {
        return;
    } else if (epoch == in_use) {
        hooks_.sa_lost(epoch);
        out_.erase(peer);  // of an older membership, if anything
    } else {
        recorded_out_[record] = epoch;
        hooks_.outbound_added(sa);
        out_[peer] = sa;
    }
    hooks_.kernel_changed();
}

void Agent::drop_unwanted(const std::map<std::pair<NodeNumber, EpochSlot>, SaName>& wanted) {
    std::erase_if(out_, [&](const auto& entry) { return !view_->peers.contains(entry.first); });
    std::erase_if(in_, [&](const auto& entry) {
        const auto found = wanted.find(entry.first);
        return found == wanted.end() || found->second != entry.second;
    });
    hooks_.kernel_changed();
}

std::optional<SaName> Agent::flush_one(std::uint64_t dice) {
    std::optional<SaName> gone;
    if (dice % 2 == 0 && !in_.empty()) {
        const auto victim = std::next(in_.begin(), static_cast<std::ptrdiff_t>(dice / 2 % in_.size()));
        gone = victim->second;
        in_.erase(victim);
    } else if (!out_.empty()) {
        const auto victim = std::next(out_.begin(), static_cast<std::ptrdiff_t>(dice / 2 % out_.size()));
        gone = victim->second;
        out_.erase(victim);
    }
    return gone;
}

const SaName* Agent::outbound(NodeNumber peer) const {
    const auto found = out_.find(peer);
    return found == out_.end() ? nullptr : &found->second;
}

bool Agent::accepts(const SaName& sa) const {
    return std::ranges::any_of(in_, [&](const auto& entry) { return entry.second == sa; });
}

std::set<Epoch> Agent::inbound_epochs() const {
    std::set<Epoch> epochs;
    for (const auto& [spi, sa] : in_) {
        epochs.insert(sa.epoch);
    }
    return epochs;
}

}  // namespace warren::sim
