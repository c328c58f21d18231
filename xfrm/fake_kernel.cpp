#include "xfrm/fake_kernel.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace warren::xfrm {
namespace {

Answer refused(int sys_errno) {
    return {.kind = Answer::Kind::kRefused, .error = base::Error::from_errno("fake kernel", sys_errno)};
}

Answer unknown() {
    return {.kind = Answer::Kind::kUnknown, .error = base::Error(base::Code::kAborted, "fake kernel: answer lost")};
}

SaGone gone(const Sa& sa) {
    return {.location = sa.location, .reqid = sa.reqid, .counters = sa.counters};
}

}  // namespace

base::Result<std::vector<Sa>> FakeKernel::dump_sas() {
    ++dumps_;
    if (fail_dumps_) {
        return base::fail(base::Code::kAborted, "fake kernel: dump interrupted");
    }
    std::vector<Sa> list;
    for (const auto& [location, state] : states_) {
        list.push_back(state.sa);
    }
    return list;
}

base::Result<std::vector<Policy>> FakeKernel::dump_policies() {
    ++dumps_;
    if (fail_dumps_) {
        return base::fail(base::Code::kAborted, "fake kernel: dump interrupted");
    }
    return policies_;
}

std::vector<Answer> FakeKernel::apply(std::span<const Operation> operations) {
    std::vector<Answer> answers;
    for (const Operation& operation : operations) {
        answers.push_back(apply_one(operation));
        if (on_step) {
            on_step();
        }
    }
    return answers;
}

Answer FakeKernel::apply_one(const Operation& operation) {
    const std::size_t number = applied_++;
    if (dead_from_ && number >= *dead_from_) {
        return unknown();
    }
    const auto fault = faults_.find(number);
    if (fault != faults_.end() && fault->second != 0) {
        return refused(fault->second);
    }
    Answer answer = std::visit([this](const auto& it) { return run(it); }, operation);
    return fault == faults_.end() ? answer : unknown();
}

Answer FakeKernel::run(const AddSa& operation) {
    const AeadName algorithm = aead(operation.cipher);
    const auto key = operation.key.reveal();
    if (operation.location.spi.value == 0 || key.size() * 8 != algorithm.key_bits || operation.replay_window == 0 ||
        operation.replay_window > 4096) {
        return refused(EINVAL);
    }
    State state{.sa = {.location = operation.location,
                       .reqid = operation.reqid,
                       .protocol = IPPROTO_ESP,
                       .mode = Mode::kTransport,
                       .aead = std::string(algorithm.kernel),
                       .icv_bits = algorithm.icv_bits,
                       .key_bits = algorithm.key_bits,
                       .esn = true,
                       .replay_window = operation.replay_window,
                       .encap = operation.encap,
                       .soft = operation.limits},
                .key = {key.begin(), key.end()},
                .order = applied_};
    if (!states_.try_emplace(operation.location, state).second) {
        return refused(EEXIST);
    }
    added_keys_.emplace_back(operation.location, std::move(state.key));
    return {};
}

Answer FakeKernel::run(const DeleteSa& operation) {
    const auto found = states_.find(operation.location);
    if (found == states_.end()) {
        return refused(ESRCH);
    }
    deleted_.push_back(gone(found->second.sa));
    states_.erase(found);
    return {};
}

Policy* FakeKernel::same_place(const Policy& policy) {
    const auto found = std::find_if(policies_.begin(), policies_.end(), [&](const Policy& other) {
        return other.direction == policy.direction && other.selector == policy.selector &&
               other.keyed_apart == policy.keyed_apart;
    });
    return found == policies_.end() ? nullptr : &*found;
}

std::uint32_t FakeKernel::next_index(Direction direction) {
    index_ += 8;
    return index_ | (direction == Direction::kOut ? 1U : 0U);
}

Answer FakeKernel::run(const AddPolicy& operation) {
    if (same_place(operation.policy) != nullptr) {
        return refused(EEXIST);
    }
    policies_.push_back(operation.policy);
    policies_.back().index = next_index(operation.policy.direction);
    return {};
}

Answer FakeKernel::run(const UpdatePolicy& operation) {
    Policy* there = same_place(operation.policy);
    if (there == nullptr) {
        return run(AddPolicy{operation.policy});
    }
    const std::uint32_t index = there->index;
    *there = operation.policy;
    there->index = index;
    return {};
}

Answer FakeKernel::run(const DeletePolicy& operation) {
    const auto removed = std::erase_if(policies_, [&](const Policy& policy) {
        return policy.index == operation.index && policy.direction == operation.direction;
    });
    return removed == 1 ? Answer{} : refused(ENOENT);
}

base::Result<EventBatch> FakeKernel::read_events() {
    return EventBatch{.events = std::exchange(events_, {}),
                      .deleted = std::exchange(deleted_, {}),
                      .lost = std::exchange(events_lost_, false)};
}

void FakeKernel::put_sa(const Sa& sa) {
    states_.insert_or_assign(sa.location, State{.sa = sa, .key = {}, .order = applied_});
    tell(SaChanged{sa});
}

void FakeKernel::delete_sa(const SaLocation& location) {
    if (const auto found = states_.find(location); found != states_.end()) {
        tell(gone(found->second.sa));
        states_.erase(found);
    }
}

void FakeKernel::expire(const SaLocation& location, bool hard) {
    if (const auto found = states_.find(location); found != states_.end()) {
        tell(SaExpired{.location = location, .reqid = found->second.sa.reqid, .hard = hard});
        if (hard) {
            states_.erase(found);
        }
    }
}

void FakeKernel::flush_sas() {
    states_.clear();
    tell(SasFlushed{.protocol = 0});
}

void FakeKernel::put_policy(Policy policy) {
    if (policy.index == 0) {
        policy.index = next_index(policy.direction);
    }
    std::erase_if(policies_, [&](const Policy& other) { return other.index == policy.index; });
    policies_.push_back(std::move(policy));
    tell(PoliciesChanged{});
}

void FakeKernel::delete_policy(std::uint32_t index) {
    std::erase_if(policies_, [&](const Policy& policy) { return policy.index == index; });
    tell(PoliciesChanged{});
}

void FakeKernel::flush_policies() {
    policies_.clear();
    tell(PoliciesChanged{});
}

void FakeKernel::count(const SaLocation& location, const SaCounters& counters) {
    if (const auto found = states_.find(location); found != states_.end()) {
        found->second.sa.counters = counters;
    }
}

// The kernel takes the youngest SA that fits; of two of the same second it may take either, so the older one is no
// worse a guess (net/xfrm/xfrm_state.c, xfrm_state_look_at).
const FakeKernel::State* FakeKernel::outbound(const base::IpAddress& source, const base::IpAddress& destination,
                                              Reqid reqid) const {
    const State* best = nullptr;
    for (const auto& [location, state] : states_) {
        if (state.sa.location.source == source && location.destination == destination && state.sa.reqid == reqid &&
            (best == nullptr || state.order < best->order)) {
            best = &state;
        }
    }
    return best;
}

bool FakeKernel::accepts(const State& sent) const {
    const auto found = states_.find(sent.sa.location);
    return found != states_.end() && found->second.key == sent.key && found->second.sa.reqid == sent.sa.reqid;
}

}  // namespace warren::xfrm
