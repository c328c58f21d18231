#include <netinet/in.h>
#include <rapidcheck.h>

#include <set>

#include "tests/unit/xfrm/world.h"

// The laws of the diffs, in random worlds: a network that goes through epochs, members that come and go, somebody who
// deletes and adds, a kernel that refuses, a daemon that is killed.
namespace warren::xfrm {
namespace {

constexpr std::uint16_t kMembers = 5;

// A manager's view of one network, kept as it would keep it: epochs and memberships never come back.
class Cluster {
  public:
    explicit Cluster(std::uint16_t index) : index_(index) { rotate(); }

    void rotate() {
        if (epochs_.size() == 3) {  // so that the slot of the next one is free
            epochs_.erase(epochs_.begin());
        }
        epochs_.push_back(next_epoch_++);
    }
    void retire() {
        if (epochs_.size() > 1) {
            epochs_.erase(epochs_.begin());
        }
    }
    void toggle(std::uint16_t member) {
        if (members_.erase(member) == 0) {
            members_[member] = next_membership_++;
        }
    }
    void rejoin_self() { self_membership_ = next_membership_++; }

    // `choice` picks, peer by peer, the epoch to send in.
    [[nodiscard]] Network view(std::uint32_t choice) const {
        Network network = test_network(index_);
        network.self.membership = base::MembershipId{self_membership_};
        for (const std::uint32_t epoch : epochs_) {
            network.epochs.push_back(test_epoch(epoch));
        }
        for (const auto& [member, membership] : members_) {
            const std::size_t pick = (choice >> (2U * member)) % (epochs_.size() + 1);
            const std::uint32_t send = pick == epochs_.size() ? 0 : epochs_[pick];
            network.peers.push_back(test_peer(test_member(member, membership), send, epochs_));
        }
        return network;
    }

  private:
    std::uint16_t index_;
    std::uint32_t next_epoch_ = 1;
    std::uint64_t next_membership_ = 100;
    std::uint64_t self_membership_ = 99;
    std::vector<std::uint32_t> epochs_;
    std::map<std::uint16_t, std::uint64_t> members_;
};

std::vector<Sa> foreign_sas() {
    return {{.location = {.destination = test_member(1).vtep, .spi = Spi{0xc0000001}, .source = test_member(2).vtep},
             .reqid = Reqid{1},
             .protocol = IPPROTO_ESP},
            {.location = {.destination = test_member(2).vtep, .spi = Spi{0}, .source = test_member(1).vtep},
             .reqid = make_reqid(base::NetworkIndex{7}),
             .protocol = IPPROTO_ESP},
            {.location = {.destination = test_member(2).vtep, .spi = Spi{77}, .source = test_member(1).vtep},
             .reqid = make_reqid(base::NetworkIndex{7}),
             .protocol = IPPROTO_ESP,
             .keyed_apart = true}};
}

Policy foreign_policy() {
    return {.direction = Direction::kOut, .selector = {.protocol = IPPROTO_TCP}, .templates = {{.reqid = Reqid{1}}}};
}

// Once for each time that it was made: a key may go outbound once.
void expect_no_key_twice(const FakeKernel& kernel) {
    std::set<std::vector<std::uint8_t>> keys;
    for (const auto& [location, key] : kernel.added_keys()) {
        RC_ASSERT(keys.insert(key).second);
    }
}

void expect_foreign_untouched(const FakeKernel& kernel) {
    for (const Sa& sa : foreign_sas()) {
        RC_ASSERT(kernel.states().contains(sa.location));
        RC_ASSERT(kernel.states().at(sa.location).sa == sa);
    }
    RC_ASSERT(same_policy(kernel.policies().front(), foreign_policy()));
}

// After a complete apply: what is there is what is wanted but for what is lost, and under the right keys.
void expect_converged(Host& host, const Network& network, const Outcome& outcome) {
    const auto wanted = desired_states(network);
    std::set<SaLocation, KernelOrder> lost;
    for (const LostSa& it : outcome.lost) {
        lost.insert(it.location);
    }
    for (const WantedSa& sa : wanted) {
        const auto found = host.kernel.states().find(sa.location);
        RC_ASSERT((found != host.kernel.states().end()) == !lost.contains(sa.location));
        if (found != host.kernel.states().end()) {
            const auto key = must(
                keymgr::derive_sa_key(test_secret(sa.identity.epoch.value), network.cluster, sa.cipher, sa.identity));
            RC_ASSERT(std::equal(key.reveal().begin(), key.reveal().end(), found->second.key.begin(),
                                 found->second.key.end()));
        }
    }
    const std::size_t applied = host.kernel.applied();
    const Outcome again = host.engine->apply_states(network);
    RC_ASSERT(host.kernel.applied() == applied);
    RC_ASSERT(again.lost == outcome.lost);
    RC_ASSERT(again.failed.empty());
    const Outcome policies = host.engine->apply_policies(network);
    RC_ASSERT(policies.complete());
    RC_ASSERT(!host.engine->apply_policies(network).changed());
}

// Picks one of our SAs.
const SaLocation* pick(const FakeKernel& kernel, std::uint32_t choice) {
    std::vector<const SaLocation*> ours;
    for (const auto& [location, state] : kernel.states()) {
        if (owner(state.sa)) {
            ours.push_back(&location);
        }
    }
    return ours.empty() ? nullptr : ours[choice % ours.size()];
}

void disturb(Host& host, Cluster& cluster, std::uint32_t kind, std::uint32_t choice) {
    const SaLocation* location = pick(host.kernel, choice);
    switch (kind % 10) {
        case 0:
        case 1:
            cluster.rotate();
            break;
        case 2:
            cluster.retire();
            break;
        case 3:
        case 4:
            cluster.toggle(static_cast<std::uint16_t>(2 + choice % kMembers));
            break;
        case 5:
            cluster.rejoin_self();
            break;
        case 6:
            if (location != nullptr) {
                host.kernel.delete_sa(SaLocation(*location));
            }
            break;
        case 7:
            host.kernel.refuse_after(choice % 6, ENOMEM);
            break;
        case 8:
            host.kernel.die_after(choice % 6);
            break;
        default:
            host.kernel.flush_policies();
            host.kernel.put_policy(foreign_policy());
            break;
    }
}

TEST(DiffProperty, EveryWorldConvergesWithoutUsingAKeyTwiceOrTouchingWhatIsForeign) {
    EXPECT_TRUE(rc::check([](const std::vector<std::pair<std::uint32_t, std::uint32_t>>& steps) {
        Host host;
        host.kernel.put_policy(foreign_policy());
        for (const Sa& sa : foreign_sas()) {
            host.kernel.put_sa(sa);
        }
        Cluster cluster(7);
        for (const std::uint16_t member : std::initializer_list<std::uint16_t>{2, 3}) {
            cluster.toggle(member);
        }
        Outcome outcome;
        for (const auto& [kind, choice] : steps) {
            disturb(host, cluster, kind, choice);
            const Network network = cluster.view(choice);
            static_cast<void>(host.engine->handle_events());
            static_cast<void>(host.engine->apply_policies(network));
            outcome = host.engine->apply_states(network);
            if (kind % 10 == 8) {
                host.kernel.revive();
                host.restart();
            }
            for (int round = 0; round < 3; ++round) {
                if (round == 2) {
                    host.kernel.refuse_no_more();  // any number of refusals may have been waiting
                }
                static_cast<void>(host.engine->apply_policies(network));
                outcome = host.engine->apply_states(network);
            }
            RC_ASSERT(outcome.failed.empty());
            expect_converged(host, network, outcome);
            expect_no_key_twice(host.kernel);
            expect_foreign_untouched(host.kernel);
        }
    }));
}

// Without disturbances from outside: no outbound gap at any step of a rotation, whatever pairs move when.
TEST(DiffProperty, ARotationNeverLeavesAPeerWithoutAnOutboundSa) {
    EXPECT_TRUE(rc::check([](const std::vector<std::uint32_t>& choices) {
        Host host;
        Cluster cluster(7);
        for (std::uint16_t member = 2; member < 2 + kMembers; ++member) {
            cluster.toggle(member);
        }
        RC_ASSERT(host.engine->apply_states(cluster.view(0)).complete());
        std::map<base::NodeIndex, base::Epoch> sending_to;
        for (const std::uint32_t choice : choices) {
            cluster.rotate();
            Network next = cluster.view(choice);
            for (Peer& peer : next.peers) {
                base::Epoch& sending = sending_to[peer.member.index];  // never goes back
                sending = std::max({sending, peer.send, next.epochs.front().number});
                peer.send = sending;
            }
            host.kernel.on_step = [&] {
                for (const Peer& peer : next.peers) {
                    const bool open =
                        host.kernel.outbound(next.self.vtep, peer.member.vtep, make_reqid(next.index)) != nullptr;
                    RC_ASSERT(open);
                }
            };
            RC_ASSERT(host.engine->apply_states(next).complete());
            host.kernel.on_step = nullptr;
        }
    }));
}

}  // namespace
}  // namespace warren::xfrm
