#include "tests/sim/agent.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace warren::sim {

using base::Epoch;

namespace {

const base::NetworkId kNetwork{{0x4e}};
constexpr base::NetworkIndex kNetworkIndex{7};

base::NodeIndex index_of(NodeNumber number) {
    return base::NodeIndex{static_cast<std::uint16_t>(number + 1)};
}

NodeNumber number_of(const base::NodeId& node) {
    return node.bytes.back() - 1;
}

SaName name_of(const keymgr::SaIdentity& sa) {
    return {.epoch = sa.epoch,
            .sender = number_of(sa.sender),
            .sender_id = sa.sender_membership,
            .receiver = number_of(sa.receiver),
            .receiver_id = sa.receiver_membership};
}

}  // namespace

std::string text(const SaName& sa) {
    return fmt::format("epoch {} from {} ({}) to {} ({})", sa.epoch, sa.sender, sa.sender_id, sa.receiver,
                       sa.receiver_id);
}

base::NodeId node_id(NodeNumber number) {
    base::NodeId id;
    id.bytes.back() = static_cast<std::uint8_t>(number + 1);
    return id;
}

base::IpAddress vtep(NodeNumber number, int address) {
    return base::IpAddress::v4(0x0a000000U | static_cast<std::uint32_t>(number + 1) << 16U |
                               static_cast<std::uint32_t>(address));
}

Agent::Agent(NodeNumber number, std::filesystem::path run_dir, Hooks hooks)
    : number_(number), run_dir_(std::move(run_dir)), hooks_(std::move(hooks)) {
    empty_run_dir();
    kernel_.on_step = [this] { noticed(); };
    start();
}

void Agent::empty_run_dir() {
    std::filesystem::remove_all(run_dir_);
    std::filesystem::create_directories(run_dir_);
}

void Agent::start() {
    auto opened = xfrm::Engine::open({.run_dir = run_dir_}, kernel_);
    if (!opened) {
        throw std::runtime_error(opened.error().message());
    }
    engine_ = *std::move(opened);
}

void Agent::take(const Update& update) {
    auto acks = std::exchange(view_.acks, {});
    const auto& self = update.members.at(number_);
    if (!told_ || told_->members.at(number_).end != self.end) {
        acks = {};
    }
    told_ = update;
    view_ = {.id = kNetwork, .encrypted = true, .index = kNetworkIndex, .revision = update.revision};
    view_.active = update.active;
    view_.acks = std::move(acks);
    view_.acks.apply(update.acks);
    for (const auto& [number, party] : update.members) {
        view_.members[node_id(number)] = {.index = index_of(number),
                                          .vtep = vtep(number, party.address),
                                          .membership = party.end.id,
                                          .since = party.end.since};
    }
    for (const keymgr::HeldEpoch& held : update.epochs) {
        view_.epochs.emplace(held.number,
                             agent::EpochView{.held = held,
                                              .secret = keymgr::EpochSecret(
                                                  std::span<const std::uint8_t, 32>(update.secrets.at(held.number)))});
    }
}

void Agent::take(const keymgr::PeerAck& ack) {
    view_.acks.apply({.acks = {ack}});
}

void Agent::leave() {
    told_.reset();
    view_ = {};
    (void)engine_->remove_states(kNetworkIndex);
}

void Agent::restart_daemon() {
    told_.reset();
    view_ = {};
    engine_.reset();
    killed_from_.reset();
    kernel_.revive();
    start();
}

void Agent::reboot() {
    engine_.reset();
    kernel_.flush_sas();
    (void)kernel_.read_events();
    empty_run_dir();
    hooks_.kernel_changed();
    restart_daemon();
}

void Agent::kill_after(std::size_t operations) {
    killed_from_ = kernel_.applied() + operations;
    kernel_.die_after(operations);
}

// An operation was done: was it an addition?
void Agent::noticed() {
    if (kernel_.added_keys().size() > seen_adds_) {
        seen_adds_ = kernel_.added_keys().size();
        const auto& [location, key] = kernel_.added_keys().back();
        const SaName name = asked_.at(location);
        names_[location] = name;
        hooks_.added(name, key, is_outbound(location));
    }
    hooks_.kernel_changed();
}

Agent::Applied Agent::apply() {
    if (auto found = engine_->handle_events(); !found) {
        return {.retry = true};
    }
    if (!told_) {
        return {};
    }
    const auto self = told_->members.at(number_);
    const auto wanted = agent::wanted_keys(view_, {.node = node_id(number_), .vtep = vtep(number_, self.address)},
                                           engine_->sent_epochs(kNetwork, self.end.id));
    asked_.clear();
    for (const xfrm::WantedSa& sa : xfrm::desired_states(*wanted)) {
        asked_[sa.location] = name_of(sa.identity);
    }
    const auto outcome = engine_->apply_states(*wanted);
    if (killed_from_ && kernel_.applied() > *killed_from_) {
        for (const auto& [location, name] : asked_) {
            const auto there = names_.find(location);
            if (name.sender == number_ && (there == names_.end() || there->second != name)) {
                hooks_.never_came(name);
            }
        }
        restart_daemon();
        return {.killed = true};
    }
    for (const xfrm::LostSa& lost : outcome.lost) {
        hooks_.sa_lost(lost.identity.epoch);
    }
    if (!outcome.failed.empty()) {
        return {.retry = true};
    }
    return {.ack = keymgr::PeerAck{.member = self.end.id, .acked = told_->revision}};
}

std::vector<SaName> Agent::names_of_all() const {
    std::vector<SaName> names;
    for (const auto& [location, state] : kernel_.states()) {
        names.push_back(names_.at(location));
    }
    return names;
}

std::vector<SaName> Agent::flush_one(std::uint64_t dice) {
    const auto all = names_of_all();
    if (all.empty()) {
        return {};
    }
    const auto victim = std::next(kernel_.states().begin(), static_cast<std::ptrdiff_t>(dice % all.size()));
    kernel_.delete_sa(xfrm::SaLocation(victim->first));
    return {all[dice % all.size()]};
}

std::vector<SaName> Agent::flush_all() {
    auto all = names_of_all();
    kernel_.flush_sas();
    return all;
}

bool Agent::is_outbound(const xfrm::SaLocation& location) const {
    return xfrm::split_spi(location.spi)->sender == index_of(number_);
}

std::vector<Agent::Sent> Agent::outbound() const {
    std::vector<Sent> all;
    each_outbound([&](const SaName& name, const xfrm::FakeKernel::State& state) {
        all.push_back({.name = name, .state = &state});
    });
    return all;
}

std::vector<SaName> Agent::outbound_to(NodeNumber peer) const {
    std::vector<SaName> names;
    each_outbound([&](const SaName& name, const xfrm::FakeKernel::State& /*state*/) {
        if (name.receiver == peer) {
            names.push_back(name);
        }
    });
    return names;
}

std::vector<SaName> Agent::inbound() const {
    std::vector<SaName> names;
    for (const auto& [location, state] : kernel_.states()) {
        if (!is_outbound(location)) {
            names.push_back(names_.at(location));
        }
    }
    return names;
}

}  // namespace warren::sim
