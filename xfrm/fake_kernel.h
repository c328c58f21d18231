#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "xfrm/kernel_port.h"

namespace warren::xfrm {

// The IPsec of one host in memory, for unit tests and the simulation: the kernel's rules as far as the engine can
// notice them. Several ports may share one (a daemon that is killed and started again). It keeps the keys, so that a
// test can ask whether one was used twice and whether a packet would get through.
//
// Owner: the test. One thread.
class FakeKernel final : public KernelPort {
  public:
    struct State {
        Sa sa;
        std::vector<std::uint8_t> key;
        std::uint64_t order = 0;  // of installation
    };

    // ---- As a port ----
    [[nodiscard]] base::Result<std::vector<Sa>> dump_sas() override;
    [[nodiscard]] base::Result<std::vector<Policy>> dump_policies() override;
    [[nodiscard]] std::vector<Answer> apply(std::span<const Operation> operations) override;
    [[nodiscard]] int event_fd() const override { return -1; }
    [[nodiscard]] base::Result<EventBatch> read_events() override;

    // ---- As somebody else on the host: each raises the events that the kernel would ----
    void put_sa(const Sa& sa);  // adds or replaces, with a key of zeros
    void delete_sa(const SaLocation& location);
    void expire(const SaLocation& location, bool hard);
    void flush_sas();
    void put_policy(Policy policy);  // numbered by the kernel unless it has a number already
    void delete_policy(std::uint32_t index);
    void flush_policies();
    // From now on the others are the process with this netlink port.
    void act_as(std::uint32_t port) { other_ = port; }
    void lose_events() { events_lost_ = true; }
    void count(const SaLocation& location, const SaCounters& counters);

    // ---- Faults ----
    // The operation that comes after `operations` more is refused with `sys_errno`.
    void refuse_after(std::size_t operations, int sys_errno) { faults_[applied_ + operations] = sys_errno; }
    void refuse_no_more() { faults_.clear(); }
    // It is done, but its answer is lost.
    void lose_answer_after(std::size_t operations) { faults_[applied_ + operations] = 0; }
    // The process is killed in the midst of apply(): nothing after so many operations takes place; answers are lost.
    void die_after(std::size_t operations) { dead_from_ = applied_ + operations; }
    void revive() { dead_from_.reset(); }
    void fail_dumps(bool fail) { fail_dumps_ = fail; }

    // ---- To look at ----
    using States = std::map<SaLocation, State, KernelOrder>;
    [[nodiscard]] const States& states() const { return states_; }
    [[nodiscard]] const std::vector<Policy>& policies() const { return policies_; }
    [[nodiscard]] std::size_t applied() const { return applied_; }  // operations, ever
    [[nodiscard]] std::size_t dumps() const { return dumps_; }
    // Every key that was ever added, once for each time: a key+salt may be outbound at most once.
    [[nodiscard]] const std::vector<std::pair<SaLocation, std::vector<std::uint8_t>>>& added_keys() const {
        return added_keys_;
    }
    // The SA that a packet from `source` to `destination` under `reqid` would leave by; null: it is dropped.
    [[nodiscard]] const State* outbound(const base::IpAddress& source, const base::IpAddress& destination,
                                        Reqid reqid) const;
    // Would what the peer sent by `sent` be decrypted here, and count as its network's?
    [[nodiscard]] bool accepts(const State& sent) const;

    // Called after every operation of apply(): for invariants that must hold at each step.
    std::function<void()> on_step;

  private:
    Answer apply_one(const Operation& operation);
    Answer run(const AddSa& operation);
    Answer run(const DeleteSa& operation);
    Answer run(const AddPolicy& operation);
    Answer run(const UpdatePolicy& operation);
    Answer run(const DeletePolicy& operation);
    Policy* same_place(const Policy& policy);
    std::uint32_t next_index(Direction direction);
    void tell(Event event) { events_.push_back({.event = std::move(event), .by = other_}); }

    States states_;
    std::vector<Policy> policies_;
    std::vector<Told> events_;
    std::vector<SaGone> deleted_;
    std::vector<std::pair<SaLocation, std::vector<std::uint8_t>>> added_keys_;
    std::map<std::size_t, int> faults_;  // by number of operation
    std::optional<std::size_t> dead_from_;
    std::size_t applied_ = 0;
    std::size_t dumps_ = 0;
    std::uint32_t index_ = 8;
    std::uint32_t other_ = 0;
    bool events_lost_ = false;
    bool fail_dumps_ = false;
};

}  // namespace warren::xfrm
