#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/ids.h"
#include "keymgr/readiness.h"

namespace warren::sim {

using NodeNumber = int;

// One SA: what its key is derived from, with the epoch's secret.
struct SaName {
    base::Epoch epoch;
    NodeNumber sender = 0;
    base::MembershipId sender_id;
    NodeNumber receiver = 0;
    base::MembershipId receiver_id;

    auto operator<=>(const SaName&) const = default;
};
[[nodiscard]] std::string text(const SaName& sa);

// A manager's message about the network, always with the whole of it but for the acknowledgements.
struct Update {
    base::Revision revision;
    keymgr::End self;
    std::map<NodeNumber, keymgr::End> peers;
    std::vector<keymgr::HeldEpoch> epochs;
    base::Epoch active;
    keymgr::AckUpdate acks;
};

// A node: its kernel's SAs, the record that survives a crash of the daemon, and the daemon's view. The rules are the
// real ones; the rest does what an agent has to do around them.
class Agent {
  public:
    // What the world watches: called after every single change of the kernel's SAs.
    struct Hooks {
        std::function<void()> kernel_changed;
        std::function<void(const SaName&)> outbound_added;
        std::function<void(base::Epoch)> sa_lost;
    };

    Agent(NodeNumber number, Hooks hooks) : number_(number), hooks_(std::move(hooks)) {}

    void take(const Update& update);
    void take(const keymgr::PeerAck& ack);
    void leave();           // is no member any more: everything goes
    void restart_daemon();  // loses the view, keeps kernel and record
    void reboot();          // loses all

    // Brings the kernel to the view: adds inbound SAs, switches outbound ones, then deletes. The revision to
    // acknowledge, under the membership id it is for.
    std::optional<keymgr::PeerAck> apply();

    // Somebody deletes one of the node's SAs.
    std::optional<SaName> flush_one(std::uint64_t dice);

    [[nodiscard]] const std::optional<Update>& view() const { return view_; }
    [[nodiscard]] const SaName* outbound(NodeNumber peer) const;
    [[nodiscard]] bool accepts(const SaName& sa) const;
    [[nodiscard]] const std::map<NodeNumber, SaName>& all_outbound() const { return out_; }
    [[nodiscard]] std::set<base::Epoch> inbound_epochs() const;
    [[nodiscard]] std::size_t inbound_count() const { return in_.size(); }

  private:
    NodeNumber number_;
    Hooks hooks_;
    std::optional<Update> view_;
    keymgr::AckView acks_;
    std::map<NodeNumber, SaName> out_;
    std::map<std::pair<NodeNumber, base::EpochSlot>, SaName> in_;  // by SPI: sender and slot
    std::set<SaName> recorded_in_;                                 // ever installed since boot
    std::map<std::tuple<NodeNumber, base::MembershipId, base::MembershipId>, base::Epoch> recorded_out_;

    void add_inbound(std::map<std::pair<NodeNumber, base::EpochSlot>, SaName>& wanted);
    void switch_outbound(NodeNumber peer, const keymgr::End& end);
    void drop_unwanted(const std::map<std::pair<NodeNumber, base::EpochSlot>, SaName>& wanted);
};

}  // namespace warren::sim
