#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/wanted.h"
#include "base/ids.h"
#include "keymgr/readiness.h"
#include "xfrm/engine.h"
#include "xfrm/fake_kernel.h"

namespace warren::sim {

using NodeNumber = int;
using SecretBytes = std::array<std::uint8_t, 32>;

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

[[nodiscard]] base::NodeId node_id(NodeNumber number);
[[nodiscard]] base::IpAddress vtep(NodeNumber number, int address);

// A member as the manager tells of it.
struct Party {
    keymgr::End end;
    int address = 0;
};

// A manager's message about the network, always with the whole of it but for the acknowledgements.
struct Update {
    base::Revision revision;
    NodeNumber self = 0;
    std::map<NodeNumber, Party> members;  // the receiver too
    std::vector<keymgr::HeldEpoch> epochs;
    std::map<base::Epoch, SecretBytes> secrets;
    base::Epoch active;
    keymgr::AckUpdate acks;
};

// A node: a kernel in memory, a run directory that a crash of the daemon spares and a reboot does not, and the daemon's
// own key code: agent::wanted_keys() over the manager's view, xfrm::Engine over the kernel.
class Agent {
  public:
    // What the world watches.
    struct Hooks {
        std::function<void()> kernel_changed;  // after every single change of the kernel's SAs
        std::function<void(const SaName&, const std::vector<std::uint8_t>& key, bool outbound)> added;
        // An outbound SA that was on record when the daemon was killed before the kernel had it.
        std::function<void(const SaName&)> never_came;
        std::function<void(base::Epoch)> sa_lost;  // the daemon asks for a rotation
    };
    struct Applied {
        std::optional<keymgr::PeerAck> ack;  // the revision to acknowledge, under the membership id it is for
        bool retry = false;
        bool killed = false;
    };
    struct Sent {
        SaName name;
        const xfrm::FakeKernel::State* state = nullptr;
    };

    Agent(NodeNumber number, std::filesystem::path run_dir, Hooks hooks);

    void take(const Update& update);
    void take(const keymgr::PeerAck& ack);
    void leave();           // is no member any more: everything goes
    void restart_daemon();  // loses the view, keeps kernel and run directory
    void reboot();          // loses all

    // One round of the daemon: what the kernel tells, then the kernel to the view.
    [[nodiscard]] Applied apply();

    // Faults of the next apply(): the daemon is killed after so many operations; the kernel refuses one, or does one
    // and its answer is lost.
    void kill_after(std::size_t operations);
    void refuse_after(std::size_t operations) { kernel_.refuse_after(operations, kRefusal); }
    void lose_answer_after(std::size_t operations) { kernel_.lose_answer_after(operations); }
    // Somebody deletes one of the node's SAs, or all.
    [[nodiscard]] std::vector<SaName> flush_one(std::uint64_t dice);
    [[nodiscard]] std::vector<SaName> flush_all();
    void lose_events() { kernel_.lose_events(); }

    [[nodiscard]] const std::optional<Update>& view() const { return told_; }
    // Every SA a packet may leave by.
    template <typename Visit>
    void each_outbound(Visit visit) const {
        for (const auto& [location, state] : kernel_.states()) {
            if (is_outbound(location)) {
                visit(names_.at(location), state);
            }
        }
    }
    [[nodiscard]] std::vector<Sent> outbound() const;
    [[nodiscard]] std::vector<SaName> outbound_to(NodeNumber peer) const;  // during a change, more than one
    [[nodiscard]] bool accepts(const xfrm::FakeKernel::State& sent) const { return kernel_.accepts(sent); }
    [[nodiscard]] std::vector<SaName> inbound() const;

  private:
    static constexpr int kRefusal = 12;  // ENOMEM

    NodeNumber number_;
    std::filesystem::path run_dir_;
    Hooks hooks_;
    xfrm::FakeKernel kernel_;
    std::unique_ptr<xfrm::Engine> engine_;
    std::optional<Update> told_;
    agent::NetworkView view_;
    std::optional<std::size_t> killed_from_;
    std::size_t seen_adds_ = 0;
    std::map<xfrm::SaLocation, SaName, xfrm::KernelOrder> asked_;  // of this apply()
    std::map<xfrm::SaLocation, SaName, xfrm::KernelOrder> names_;  // what was last added where

    void empty_run_dir();
    void start();
    void noticed();
    [[nodiscard]] bool is_outbound(const xfrm::SaLocation& location) const;
    [[nodiscard]] std::vector<SaName> names_of_all() const;
};

}  // namespace warren::sim
