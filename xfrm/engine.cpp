#include "xfrm/engine.h"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace warren::xfrm {
namespace {

constexpr std::string_view kRecordName = "sa-record";
constexpr std::string_view kTaken =
    " (another SA has this destination and SPI: if it is not Warren's, see ip xfrm state and remove it)";

// The kernel does not have it: as good as deleted.
bool gone_already(const Answer& answer) {
    return answer.kind == Answer::Kind::kRefused && answer.error &&
           (answer.error->sys_errno() == ESRCH || answer.error->sys_errno() == ENOENT);
}

bool deleted(const Answer& answer) {
    return answer.done() || gone_already(answer);
}

Operation operation_of(const PolicyStep& step) {
    return std::visit([](const auto& it) { return Operation(it); }, step);
}

std::string describe(const PolicyStep& step) {
    if (const auto* add = std::get_if<AddPolicy>(&step)) {
        return "install policy " + text(add->policy);
    }
    if (const auto* update = std::get_if<UpdatePolicy>(&step)) {
        return "repair policy " + text(update->policy);
    }
    const auto& removal = std::get<DeletePolicy>(step);
    return fmt::format("delete {} policy {:#x}", name(removal.direction), removal.index);
}

// What the kernel will show of an SA that was just added.
Sa fresh_sa(const WantedSa& wanted, const SoftLimits& limits) {
    const AeadName algorithm = aead(wanted.cipher);
    return {.location = wanted.location,
            .reqid = wanted.reqid,
            .protocol = IPPROTO_ESP,
            .mode = Mode::kTransport,
            .aead = std::string(algorithm.kernel),
            .icv_bits = algorithm.icv_bits,
            .key_bits = algorithm.key_bits,
            .esn = true,
            .replay_window = wanted.replay_window,
            .encap = wanted.encap,
            .soft = limits};
}

Installed installed_of(const WantedSa& sa) {
    return {.direction = sa.direction, .identity = sa.identity, .location = sa.location};
}

base::Result<AddSa> add_of(const Network& network, const WantedSa& sa) {
    const auto epoch = std::find_if(network.epochs.begin(), network.epochs.end(),
                                    [&](const EpochView& it) { return it.number == sa.identity.epoch; });
    if (epoch == network.epochs.end() || epoch->secret == nullptr) {
        return base::fail(base::Code::kPrecondition, "epoch {} of network {}: its secret is not here",
                          sa.identity.epoch, network.id);
    }
    WARREN_TRY_ASSIGN(auto key, keymgr::derive_sa_key(*epoch->secret, network.cluster, sa.cipher, sa.identity));
    return AddSa{.location = sa.location,
                 .reqid = sa.reqid,
                 .cipher = sa.cipher,
                 .replay_window = sa.replay_window,
                 .encap = sa.encap,
                 .limits = network.limits,
                 .key = std::move(key)};
}

}  // namespace

Engine::Engine(EngineOptions options, KernelPort& kernel, InstallRecord record)
    : options_(std::move(options)), kernel_(&kernel), record_(std::move(record)) {}

base::Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, KernelPort& kernel) {
    WARREN_TRY_ASSIGN(auto record, InstallRecord::open(options.run_dir / kRecordName));
    std::unique_ptr<Engine> engine(new Engine(std::move(options), kernel, std::move(record)));
    Findings all_new;
    WARREN_TRY(engine->reload(all_new));
    engine->pending_.limits = std::move(all_new.limits);
    return engine;
}

// ---- Policies ----

Outcome Engine::apply_policies(const Network& network) {
    Outcome outcome;
    if (auto fresh = refresh(); !fresh) {
        outcome.failed.push_back(std::move(fresh).error());
        return outcome;
    }
    const PolicyPlan plan = diff_policies(network, policies_);
    outcome.kept = plan.kept;
    run_policy_steps(plan, outcome);
    if (outcome.failed.empty() && !plan.steps.empty() && !diff_policies(network, policies_).steps.empty()) {
        outcome.failed.emplace_back(base::Code::kAborted,
                                    fmt::format("the policies of network {} are not there although the kernel accepted "
                                                "them: another program changes them",
                                                network.id));
    }
    return outcome;
}

Outcome Engine::remove_policies(base::NetworkIndex network) {
    Outcome outcome;
    if (auto fresh = refresh(); !fresh) {
        outcome.failed.push_back(std::move(fresh).error());
        return outcome;
    }
    PolicyPlan plan;
    for (const Policy& policy : policies_) {
        if (owner(policy) == network) {
            plan.steps.emplace_back(
                DeletePolicy{.direction = policy.direction, .index = policy.index, .family = policy.selector.family});
        }
    }
    run_policy_steps(plan, outcome);
    return outcome;
}

void Engine::run_policy_steps(const PolicyPlan& plan, Outcome& outcome) {
    if (plan.steps.empty()) {
        return;
    }
    std::vector<Operation> operations;
    for (const PolicyStep& step : plan.steps) {
        operations.push_back(operation_of(step));
    }
    const std::vector<Answer> answers = kernel_->apply(operations);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const PolicyStep& step = plan.steps[i];
        if (const auto* add = std::get_if<AddPolicy>(&step);
            add != nullptr && answers[i].error && answers[i].error->sys_errno() == EEXIST) {
            outcome.failed.emplace_back(base::Code::kConflict,
                                        fmt::format("policy {}: another program has one with this direction and "
                                                    "selector (ip xfrm policy); remove it",
                                                    text(add->policy)),
                                        EEXIST);
            continue;
        }
        const bool gone = std::holds_alternative<DeletePolicy>(step) && deleted(answers[i]);
        if (gone || settle(answers[i], describe(step), outcome)) {
            outcome.added += std::holds_alternative<AddPolicy>(step) ? 1U : 0U;
            outcome.updated += std::holds_alternative<UpdatePolicy>(step) ? 1U : 0U;
            outcome.deleted += std::holds_alternative<DeletePolicy>(step) ? 1U : 0U;
        }
    }
    // The kernel chose the numbers by which they will be deleted.
    auto dumped = kernel_->dump_policies();
    if (!dumped) {
        stale_ = true;
        outcome.failed.push_back(std::move(dumped).error());
        return;
    }
    policies_ = *std::move(dumped);
}

// ---- States ----

Outcome Engine::apply_states(const Network& network) {
    Outcome outcome;
    if (auto fresh = refresh(); !fresh) {
        outcome.failed.push_back(std::move(fresh).error());
        return outcome;
    }
    for (const Peer& peer : network.peers) {
        if (peer.member.vtep.family != network.self.vtep.family) {
            outcome.failed.emplace_back(base::Code::kInvalid,
                                        fmt::format("peer {}: VTEP {} is of another address family than this node's {}",
                                                    peer.member.node, peer.member.vtep, network.self.vtep));
        }
    }
    limits_.insert_or_assign(network.index, network.limits);
    const std::vector<WantedSa> wanted = desired_states(network);
    StatePlan plan = diff_states(network, wanted, states_[network.index], record_.history());
    outcome.kept = plan.kept;
    outcome.lost = plan.lost;
    std::vector<bool> done(plan.installs.size(), false);
    run_installs(network, plan, outcome, done);
    std::erase_if(plan.removals, [&](const Removal& removal) { return removal.after && !done[*removal.after]; });
    run_removals(network.index, plan.removals, outcome);
    if (outcome.failed.empty()) {
        if (auto noted = record_.acknowledge(network.id, network.self.membership); !noted) {
            outcome.failed.push_back(std::move(noted).error());
        }
    }
    prune(network, outcome);
    return outcome;
}

// What is under the SPI of an install has to go before the new key is recorded under it: whoever reads record and
// kernel after a crash in between must not take the one for the other.
void Engine::clear_places(const StatePlan& plan, Outcome& outcome, std::vector<bool>& cleared) {
    std::vector<Operation> operations;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < plan.installs.size(); ++i) {
        if (plan.installs[i].replaces) {
            operations.emplace_back(DeleteSa{plan.installs[i].sa.location});
            of.push_back(i);
        }
    }
    if (operations.empty()) {
        return;
    }
    const std::vector<Answer> answers = kernel_->apply(operations);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const WantedSa& sa = plan.installs[of[i]].sa;
        cleared[of[i]] = deleted(answers[i]) || settle(answers[i], "delete SA " + text(sa.location), outcome);
        if (cleared[of[i]]) {
            states_[*network_of(sa.reqid)].erase(sa.location);
        }
    }
}

void Engine::run_installs(const Network& network, const StatePlan& plan, Outcome& outcome, std::vector<bool>& done) {
    std::vector<bool> cleared(plan.installs.size(), true);
    clear_places(plan, outcome, cleared);
    std::vector<Operation> operations;
    std::vector<std::size_t> of;  // operation -> install
    std::vector<Installed> records = plan.spend;
    for (std::size_t i = 0; i < plan.installs.size(); ++i) {
        const WantedSa& sa = plan.installs[i].sa;
        if (!cleared[i]) {
            continue;
        }
        auto add = add_of(network, sa);
        if (!add) {
            outcome.failed.push_back(std::move(add).error());
            continue;
        }
        operations.emplace_back(*std::move(add));
        of.push_back(i);
        records.push_back(installed_of(sa));
    }
    if (auto recorded = record_.add(records); !recorded) {
        outcome.failed.push_back(std::move(recorded).error());
        return;
    }
    if (!operations.empty()) {
        settle_installs(kernel_->apply(operations), of, plan, outcome, done);
    }
}

void Engine::settle_installs(std::span<const Answer> answers, std::span<const std::size_t> of, const StatePlan& plan,
                             Outcome& outcome, std::vector<bool>& done) {
    std::vector<Installed> refused;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        const Install& install = plan.installs[of[i]];
        const WantedSa& sa = install.sa;
        const Answer& answer = answers[i];
        const bool taken = answer.error && answer.error->sys_errno() == EEXIST;
        if (settle(answer, fmt::format("add SA {}{}", text(sa.location), taken ? kTaken : ""), outcome)) {
            states_[*network_of(sa.reqid)].insert_or_assign(sa.location, fresh_sa(sa, limits_[*network_of(sa.reqid)]));
            done[of[i]] = true;
            ++(install.replaces ? outcome.updated : outcome.added);
        } else if (answer.kind == Answer::Kind::kRefused) {
            refused.push_back(installed_of(sa));
            stale_ = stale_ || taken;  // by something that the mirror does not know
        }
    }
    if (auto revoked = record_.revoke(refused); !revoked) {
        outcome.failed.push_back(std::move(revoked).error());
    }
}

void Engine::run_removals(base::NetworkIndex network, std::span<const Removal> removals, Outcome& outcome) {
    if (removals.empty()) {
        return;
    }
    std::vector<Operation> operations;
    for (const Removal& removal : removals) {
        operations.emplace_back(DeleteSa{removal.location});
    }
    const std::vector<Answer> answers = kernel_->apply(operations);
    SaTable& table = states_[network];
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (deleted(answers[i]) || settle(answers[i], "delete SA " + text(removals[i].location), outcome)) {
            table.erase(removals[i].location);
            ++outcome.deleted;
        }
    }
}

Outcome Engine::remove_states(base::NetworkIndex network) {
    Outcome outcome;
    if (auto fresh = refresh(); !fresh) {
        outcome.failed.push_back(std::move(fresh).error());
        return outcome;
    }
    std::vector<Removal> removals;
    for (const auto& [location, sa] : states_[network]) {
        const auto installed = record_.history().at(location);
        removals.push_back({.location = location, .direction = installed ? installed->direction : Direction::kIn});
    }
    // Outbound first: what is still on its way can be received.
    std::stable_partition(removals.begin(), removals.end(),
                          [](const Removal& removal) { return removal.direction == Direction::kOut; });
    run_removals(network, removals, outcome);
    if (outcome.failed.empty()) {
        states_.erase(network);
        limits_.erase(network);
        if (auto raised = record_.raise(record_.history().leaving(network)); !raised) {
            outcome.failed.push_back(std::move(raised).error());
        }
    }
    return outcome;
}

Outcome Engine::remove_unknown(const std::set<base::NetworkIndex>& known) {
    Outcome outcome;
    for (const base::NetworkIndex network : present()) {
        if (known.contains(network)) {
            continue;
        }
        for (Outcome part : {remove_states(network), remove_policies(network)}) {
            outcome.deleted += part.deleted;
            outcome.failed.insert(outcome.failed.end(), part.failed.begin(), part.failed.end());
        }
    }
    return outcome;
}

// What the record holds singly grows with every epoch: drops what cannot be wanted again, once the kernel has none of
// it.
void Engine::prune(const Network& network, Outcome& outcome) {
    if (!outcome.failed.empty() || network.epochs.empty()) {
        return;
    }
    const auto oldest = std::min_element(network.epochs.begin(), network.epochs.end(),
                                         [](const EpochView& a, const EpochView& b) { return a.number < b.number; });
    const auto floor = record_.history().prunable(network.id, network.self.membership, oldest->number);
    if (!floor) {
        return;
    }
    if (auto raised = record_.raise(std::span(&*floor, 1)); !raised) {
        outcome.failed.push_back(std::move(raised).error());
    }
}

// Takes an answer into the outcome; true: done.
bool Engine::settle(const Answer& answer, const std::string& what, Outcome& outcome) {
    if (answer.done()) {
        return true;
    }
    stale_ = stale_ || answer.kind == Answer::Kind::kUnknown;
    outcome.failed.push_back(base::Error(*answer.error).in(what));
    return false;
}

}  // namespace warren::xfrm
