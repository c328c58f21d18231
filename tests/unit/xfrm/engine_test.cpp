#include "xfrm/engine.h"

#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <set>

#include "tests/unit/xfrm/world.h"

namespace warren::xfrm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr base::NetworkIndex kSeven{7};

SaLocation location_of(Direction direction, std::uint16_t peer, std::uint32_t epoch) {
    const Member self = test_member(1);
    const Member other = test_member(peer);
    const Member& sender = direction == Direction::kOut ? self : other;
    const Member& receiver = direction == Direction::kOut ? other : self;
    return {.destination = receiver.vtep,
            .spi = make_spi({.slot = test_epoch(epoch).slot, .sender = sender.index, .network = kSeven}),
            .source = sender.vtep};
}

Network peer_came_back(Network network) {
    network.peers[0].member.membership = base::MembershipId{0xbeef};
    return network;
}

TEST(EngineStates, AppliesOnceAndThenTouchesNothing) {
    Host host;
    const Network network = test_network_of_three();
    const Outcome first = host.engine->apply_states(network);
    EXPECT_TRUE(complete(first));
    EXPECT_EQ(first.added, 4U);
    EXPECT_EQ(host.kernel.states().size(), 4U);
    const std::size_t applied = host.kernel.applied();
    const Outcome second = host.engine->apply_states(network);
    EXPECT_TRUE(complete(second));
    EXPECT_EQ(second.kept, 4U);
    EXPECT_FALSE(second.changed());
    EXPECT_EQ(host.kernel.applied(), applied);
}

TEST(EngineStates, WhatOneSendsTheOthersAccept) {
    std::map<std::uint16_t, Host> hosts;
    for (const std::uint16_t self : std::initializer_list<std::uint16_t>{1, 2, 3}) {
        ASSERT_TRUE(complete(hosts[self].engine->apply_states(test_network_of_three({4}, 7, self))));
    }
    for (auto& [from, sender] : hosts) {
        for (auto& [to, receiver] : hosts) {
            if (from != to) {
                const auto* sa =
                    sender.kernel.outbound(test_member(from).vtep, test_member(to).vtep, make_reqid(kSeven));
                ASSERT_NE(sa, nullptr);
                EXPECT_TRUE(receiver.kernel.accepts(*sa));
            }
        }
    }
}

TEST(EngineStates, ARestartAdoptsAllAndTouchesNothing) {
    Host host;
    const Network network = test_network_of_three({4, 5});
    ASSERT_TRUE(complete(host.engine->apply_states(network)));
    const std::size_t applied = host.kernel.applied();
    host.restart();
    const Outcome outcome = host.engine->apply_states(network);
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.kept, 6U);
    EXPECT_EQ(host.kernel.applied(), applied);
}

TEST(EngineStates, AfterARestartWithoutSecretsWhatIsThereIsKept) {
    Host host;
    Network network = test_network_of_three();
    ASSERT_TRUE(complete(host.engine->apply_states(network)));
    host.restart();
    network.epochs[0].secret = nullptr;
    EXPECT_TRUE(complete(host.engine->apply_states(network)));
    network.peers.push_back(test_peer(test_member(4), 1, {1}));
    const Outcome outcome = host.engine->apply_states(network);
    EXPECT_EQ(outcome.failed.size(), 2U);
    EXPECT_THAT(outcome.failed[0].message(), HasSubstr("secret"));
}

TEST(EngineStates, AFlushedSaIsReportedAndNeverMadeAgainUntilAnotherEpoch) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    host.kernel.flush_sas();
    const Findings findings = must(host.engine->handle_events());
    EXPECT_THAT(findings.states, ElementsAre(kSeven));
    Outcome outcome = host.engine->apply_states(test_network_of_three({1}));
    EXPECT_EQ(outcome.lost.size(), 4U);
    EXPECT_THAT(outcome.failed, IsEmpty());
    EXPECT_TRUE(host.kernel.states().empty());
    host.restart();
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({1})).lost.size(), 4U);
    EXPECT_TRUE(host.kernel.states().empty());

    outcome = host.engine->apply_states(test_network_of_three({1, 2}));
    EXPECT_EQ(outcome.added, 4U);
    EXPECT_EQ(outcome.lost.size(), 2U);  // inbound of epoch 1
    EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({2}))));
}

TEST(EngineStates, APeerThatCameBackGetsItsSasReplaced) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    const auto before = host.kernel.states().at(location_of(Direction::kOut, 2, 1)).key;
    const Outcome outcome = host.engine->apply_states(peer_came_back(test_network_of_three()));
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.updated, 2U);
    EXPECT_EQ(outcome.kept, 2U);
    EXPECT_NE(host.kernel.states().at(location_of(Direction::kOut, 2, 1)).key, before);
    EXPECT_EQ(host.engine->apply_states(test_network_of_three()).lost.size(), 2U)
        << "a stale view must not bring old keys back";
}

TEST(EngineStates, ASwitchNeverLeavesAPeerWithoutAnOutboundSa) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    host.kernel.on_step = [&] {
        for (const std::uint16_t peer : std::initializer_list<std::uint16_t>{2, 3}) {
            EXPECT_NE(host.kernel.outbound(test_member(1).vtep, test_member(peer).vtep, make_reqid(kSeven)), nullptr);
        }
    };
    for (std::uint32_t epoch = 2; epoch < 12; ++epoch) {
        Network installing = test_network_of_three({epoch - 1, epoch});
        for (Peer& peer : installing.peers) {
            peer.send = base::Epoch{epoch - 1};
        }
        EXPECT_TRUE(complete(host.engine->apply_states(installing)));
        EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({epoch - 1, epoch}))));
        EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({epoch}))));
        EXPECT_EQ(host.kernel.states().size(), 4U);
    }
}

TEST(EngineStates, ASwitchWhoseNewSaIsRefusedKeepsTheOldOneAndCanBeRepeated) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    Network next = test_network_of_three({1, 2});
    host.kernel.refuse_after(2, ENOMEM);  // after the inbound ones of epoch 2
    Outcome outcome = host.engine->apply_states(next);
    EXPECT_EQ(outcome.failed.size(), 1U);
    EXPECT_TRUE(host.kernel.states().contains(location_of(Direction::kOut, 2, 1)));
    EXPECT_FALSE(host.kernel.states().contains(location_of(Direction::kOut, 3, 1)));
    outcome = host.engine->apply_states(next);
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.added, 1U);
    EXPECT_FALSE(host.kernel.states().contains(location_of(Direction::kOut, 2, 1)));
}

TEST(EngineStates, ALostAnswerIsLookedUpInTheKernel) {
    Host host;
    const Network network = test_network_of_three();
    host.kernel.lose_answer_after(0);
    EXPECT_EQ(host.engine->apply_states(network).failed.size(), 1U);
    const Outcome outcome = host.engine->apply_states(network);
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.kept, 4U);
}

TEST(EngineStates, AForeignSaUnderOurSpiIsLeftAloneAndNamed) {
    Host host;
    const SaLocation place = location_of(Direction::kIn, 2, 1);
    const Sa foreign{.location = place, .reqid = Reqid{42}, .protocol = IPPROTO_ESP};
    host.kernel.put_sa(foreign);
    Outcome outcome = host.engine->apply_states(test_network_of_three());
    ASSERT_EQ(outcome.failed.size(), 1U);
    EXPECT_THAT(outcome.failed[0].message(), HasSubstr("10.0.0.2 -> 10.0.0.1"));
    EXPECT_EQ(host.kernel.states().at(place).sa, foreign);
    host.kernel.delete_sa(place);
    EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
}

TEST(EngineStates, AKillAtAnyStepUsesNoKeyTwiceAndAdoptsNoWrongOne) {
    // From epoch 1 to: epoch 2, and a peer that has come back meanwhile.
    const Network before = test_network_of_three({1});
    const Network after = peer_came_back(test_network_of_three({1, 2}));
    for (std::size_t steps = 0; steps < 12; ++steps) {
        Host host;
        ASSERT_TRUE(complete(host.engine->apply_states(before)));
        host.kernel.die_after(steps);
        static_cast<void>(host.engine->apply_states(after));
        host.kernel.revive();
        host.restart();
        static_cast<void>(host.engine->apply_states(after));
        // What is in the kernel under a wanted location has the wanted key, or is not there.
        Host twin;
        ASSERT_TRUE(complete(twin.engine->apply_states(after)));
        for (const auto& [location, state] : host.kernel.states()) {
            const auto wanted = twin.kernel.states().find(location);
            if (wanted != twin.kernel.states().end()) {
                EXPECT_EQ(wanted->second.key, state.key) << text(location) << " killed after " << steps;
            }
        }
        std::set<std::vector<std::uint8_t>> keys;
        for (const auto& [location, key] : host.kernel.added_keys()) {
            EXPECT_TRUE(keys.insert(key).second) << text(location) << " killed after " << steps;
        }
        // Another rotation heals whatever was lost.
        EXPECT_TRUE(complete(host.engine->apply_states(peer_came_back(test_network_of_three({3})))));
        EXPECT_EQ(host.kernel.states().size(), 4U);
    }
}

// Killed between noting them and having them. Who was to send has not heard that they are there.
TEST(EngineStates, InboundSasThatNeverCameAreMadeByTheNextDaemon) {
    Host host;
    const Network network = test_network_of_three({1});
    host.kernel.die_after(0);
    static_cast<void>(host.engine->apply_states(network));
    host.kernel.revive();
    host.restart();
    const Outcome outcome = host.engine->apply_states(network);
    EXPECT_THAT(outcome.failed, IsEmpty());
    EXPECT_EQ(outcome.added, 2U);
    ASSERT_EQ(outcome.lost.size(), 2U);
    for (const LostSa& lost : outcome.lost) {
        EXPECT_EQ(lost.direction, Direction::kOut);
    }
    EXPECT_TRUE(host.kernel.states().contains(location_of(Direction::kIn, 2, 1)));
}

// After that one they may have been used, and their replay windows went with them.
TEST(EngineStates, InboundSasThatWereAcknowledgedAreNotMadeAgain) {
    Host host;
    const Network network = test_network_of_three({1});
    ASSERT_TRUE(complete(host.engine->apply_states(network)));
    host.kernel.flush_sas();
    host.restart();
    EXPECT_EQ(host.engine->apply_states(network).lost.size(), 4U);
    EXPECT_THAT(host.kernel.states(), IsEmpty());
}

// What failed is not acknowledged, and neither is what came before it in the same call.
TEST(EngineStates, InboundSasOfAnApplyThatFailedAreMadeAgain) {
    Host host;
    const Network network = test_network_of_three({1});
    host.kernel.refuse_after(1, ENOMEM);
    EXPECT_EQ(host.engine->apply_states(network).failed.size(), 1U);
    host.kernel.delete_sa(location_of(Direction::kIn, 2, 1));
    host.kernel.delete_sa(location_of(Direction::kIn, 3, 1));
    host.restart();
    static_cast<void>(host.engine->apply_states(network));
    EXPECT_TRUE(host.kernel.states().contains(location_of(Direction::kIn, 2, 1)));
    EXPECT_TRUE(host.kernel.states().contains(location_of(Direction::kIn, 3, 1)));
}

TEST(EngineStates, LeavingANetworkRemovesItAndOnlyIt) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, 7))));
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, 8))));
    const Sa foreign{.location = {.destination = test_member(1).vtep, .spi = Spi{0xc0000001}}, .reqid = Reqid{42}};
    host.kernel.put_sa(foreign);
    const Outcome outcome = host.engine->remove_states(kSeven);
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.deleted, 4U);
    EXPECT_EQ(host.kernel.states().size(), 5U);
    EXPECT_THAT(host.engine->present(), ElementsAre(base::NetworkIndex{8}));
    // Back under the same membership: those keys were used.
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({1}, 7)).lost.size(), 4U);
    Network again = test_network_of_three({1}, 7);
    again.self.membership = base::MembershipId{0xbeef};
    EXPECT_TRUE(complete(host.engine->apply_states(again)));
}

TEST(EngineStates, ANetworkOfAnotherLifeIsRemovedOnlyWhenAskedFor) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_policies(test_network(7))));
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, 7))));
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, 8))));
    host.restart();
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, 8))));
    EXPECT_EQ(host.kernel.states().size(), 8U);
    const Outcome outcome = host.engine->remove_unknown({base::NetworkIndex{8}});
    EXPECT_EQ(outcome.deleted, 8U);
    EXPECT_EQ(host.kernel.states().size(), 4U);
    EXPECT_THAT(host.kernel.policies(), IsEmpty());
}

TEST(EngineStates, OneNetworksRotationReadsAndTouchesNoOther) {
    Host host;
    for (std::uint16_t index = 1; index <= 20; ++index) {
        ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}, index))));
    }
    const std::size_t applied = host.kernel.applied();
    const std::size_t dumps = host.kernel.dumps();
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({2}, 7))));
    EXPECT_EQ(host.kernel.applied() - applied, 8U);
    EXPECT_EQ(host.kernel.dumps(), dumps);
}

// Lets no file of this process grow beyond `size`, as a full disk would.
class FullDisk {
  public:
    explicit FullDisk(std::uintmax_t size) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit full{.rlim_cur = size, .rlim_max = before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &full);
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;
    ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

  private:
    rlimit before_{};
};

TEST(EngineStates, WhatCannotBeRecordedIsNotInstalled) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    const std::filesystem::path record = host.directory.path() / "sa-record";
    const std::uintmax_t size = std::filesystem::file_size(record);
    for (const std::uintmax_t room : std::initializer_list<std::uintmax_t>{0, 100, 300}) {
        const FullDisk full(size + room);
        const Outcome outcome = host.engine->apply_states(test_network_of_three({1, 2}));
        ASSERT_EQ(outcome.failed.size(), 1U);
        EXPECT_THAT(outcome.failed[0].message(), HasSubstr("install record"));
        EXPECT_EQ(host.kernel.states().size(), 4U);
        EXPECT_TRUE(host.kernel.states().contains(location_of(Direction::kOut, 2, 1)));
        EXPECT_EQ(std::filesystem::file_size(record), size) << "half a line stayed";
    }
    EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({1, 2}))));
    host.restart();
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({1, 2})).kept, 6U);
}

TEST(EngineStates, ADirectoryThatIsNotThereIsAnError) {
    FakeKernel kernel;
    EXPECT_FALSE(Engine::open({.run_dir = "/nonexistent/run"}, kernel).has_value());
}

TEST(EngineStates, AKernelThatCannotBeReadChangesNothing) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    host.kernel.lose_answer_after(0);
    static_cast<void>(host.engine->apply_states(test_network_of_three({1, 2})));
    host.kernel.fail_dumps(true);
    const std::size_t applied = host.kernel.applied();
    EXPECT_EQ(host.engine->apply_states(test_network_of_three({2})).failed.size(), 1U);
    EXPECT_EQ(host.engine->remove_states(kSeven).failed.size(), 1U);
    EXPECT_EQ(host.engine->apply_policies(test_network()).failed.size(), 1U);
    EXPECT_EQ(host.kernel.applied(), applied);
    host.kernel.fail_dumps(false);
    EXPECT_TRUE(complete(host.engine->apply_states(test_network_of_three({2}))));
}

// ---- Policies ----

TEST(EnginePolicies, AppliesOnceAndThenTouchesNothing) {
    Host host;
    EXPECT_EQ(host.engine->apply_policies(test_network()).added, 4U);
    const std::size_t applied = host.kernel.applied();
    host.restart();
    const Outcome outcome = host.engine->apply_policies(test_network());
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.kept, 4U);
    EXPECT_EQ(host.kernel.applied(), applied);
}

TEST(EnginePolicies, AFlushIsFoundAndRepaired) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_policies(test_network(7))));
    ASSERT_TRUE(complete(host.engine->apply_policies(test_network(8))));
    host.kernel.flush_policies();
    EXPECT_THAT(must(host.engine->handle_events()).policies, ElementsAre(kSeven, base::NetworkIndex{8}));
    EXPECT_EQ(host.engine->apply_policies(test_network(7)).added, 4U);
}

TEST(EnginePolicies, AForeignOneInOurPlaceIsNamedAndLeftAlone) {
    Host host;
    Policy foreign = desired_policies(test_network())[0];
    foreign.templates.clear();
    foreign.action = Action::kAllow;
    host.kernel.put_policy(foreign);
    const Outcome outcome = host.engine->apply_policies(test_network());
    ASSERT_EQ(outcome.failed.size(), 1U);
    EXPECT_THAT(outcome.failed[0].message(), HasSubstr("another program"));
    EXPECT_EQ(outcome.failed[0].code(), base::Code::kConflict);
    EXPECT_TRUE(same_policy(host.kernel.policies()[0], foreign));
    EXPECT_EQ(host.engine->remove_policies(kSeven).deleted, 3U);
    EXPECT_EQ(host.kernel.policies().size(), 1U);
}

// ---- Watching ----

TEST(EngineWatch, OwnChangesAndForeignOnesOfOthersAreNoFindings) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    ASSERT_TRUE(complete(host.engine->apply_policies(test_network())));
    host.kernel.put_sa({.location = {.destination = test_member(1).vtep, .spi = Spi{0xc0000001}}, .reqid = Reqid{42}});
    host.kernel.put_sa({.location = {.destination = test_member(2).vtep, .spi = Spi{0}}, .reqid = make_reqid(kSeven)});
    host.kernel.put_policy({.priority = 1});
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    EXPECT_TRUE(must(host.engine->resync()).empty());
}

TEST(EngineWatch, ASoftLimitIsReportedByTheEventAndByEverySweep) {
    Host host;
    Network network = test_network_of_three();
    network.limits = {.packets = 1000, .bytes = kNoLimit};
    ASSERT_TRUE(complete(host.engine->apply_states(network)));
    const SaLocation place = location_of(Direction::kOut, 2, 1);
    host.kernel.expire(place, false);
    const LimitReached hit{.network = kSeven, .location = place, .epoch = base::Epoch{1}};
    EXPECT_THAT(must(host.engine->handle_events()).limits, ElementsAre(hit));
    EXPECT_THAT(must(host.engine->resync()).limits, IsEmpty());
    host.kernel.count(place, {.packets = 1000});
    EXPECT_THAT(must(host.engine->resync()).limits, ElementsAre(hit));
    host.restart();  // the event is long gone
    EXPECT_THAT(must(host.engine->handle_events()).limits, ElementsAre(hit));
}

// A limit that was lowered counts for SAs that are there already.
TEST(EngineWatch, ASweepComparesWithTheLimitsOfNow) {
    Host host;
    Network network = test_network_of_three();
    ASSERT_TRUE(complete(host.engine->apply_states(network)));
    const SaLocation place = location_of(Direction::kOut, 2, 1);
    host.kernel.count(place, {.packets = 10, .bytes = 5000});
    EXPECT_THAT(must(host.engine->resync()).limits, IsEmpty());
    network.limits.bytes = 5000;
    EXPECT_FALSE(host.engine->apply_states(network).changed());
    EXPECT_EQ(must(host.engine->resync()).limits.size(), 1U);
}

// What was sent in an epoch is known although its SAs go with the switch to the next.
TEST(EngineWatch, AClosedSaLeavesItsCounters) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1}))));
    host.kernel.count(location_of(Direction::kOut, 2, 1), {.packets = 7, .bytes = 700});
    host.kernel.count(location_of(Direction::kIn, 2, 1), {.packets = 3, .bytes = 300});
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three({1, 2}))));
    const auto closed = must(host.engine->handle_events()).closed;
    EXPECT_THAT(closed, testing::UnorderedElementsAre(
                            SentUnder{.network = kSeven, .epoch = base::Epoch{1}, .packets = 7, .bytes = 700},
                            SentUnder{.network = kSeven, .epoch = base::Epoch{1}, .packets = 0, .bytes = 0}));
    EXPECT_THAT(must(host.engine->handle_events()).closed, IsEmpty());
    host.kernel.count(location_of(Direction::kOut, 2, 2), {.packets = 9, .bytes = 900});
    static_cast<void>(must(host.engine->resync()));
    EXPECT_THAT(host.engine->sent(),
                testing::Contains(SentUnder{.network = kSeven, .epoch = base::Epoch{2}, .packets = 9, .bytes = 900}));
}

TEST(EngineWatch, AHardExpiryIsALoss) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    host.kernel.expire(location_of(Direction::kOut, 2, 1), true);
    const Findings findings = must(host.engine->handle_events());
    EXPECT_THAT(findings.states, ElementsAre(kSeven));
    ASSERT_EQ(findings.notes.size(), 1U);
    EXPECT_THAT(findings.notes[0], HasSubstr("1 SAs gone"));
    const Outcome outcome = host.engine->apply_states(test_network_of_three());
    ASSERT_EQ(outcome.lost.size(), 1U);
    EXPECT_EQ(outcome.lost[0].identity.receiver, test_member(2).node);
}

TEST(EngineWatch, WhoDidItIsToldWhenThereIsOneOnly) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    host.kernel.act_as(4711);
    host.kernel.delete_sa(location_of(Direction::kIn, 3, 1));
    host.kernel.delete_sa(location_of(Direction::kIn, 2, 1));
    EXPECT_EQ(must(host.engine->handle_events()).by, 4711U);
    host.kernel.delete_sa(location_of(Direction::kOut, 2, 1));
    host.kernel.act_as(4712);
    host.kernel.put_sa({.location = {.destination = test_member(9).vtep, .spi = Spi{0x12345}}});
    EXPECT_EQ(must(host.engine->handle_events()).by, 4711U) << "the other one did something of his own";
    host.kernel.flush_policies();
    host.kernel.act_as(4713);
    host.kernel.flush_policies();
    EXPECT_EQ(must(host.engine->handle_events()).by, 0U) << "one of two";
}

TEST(EngineWatch, WhatSomebodysPolicyLedAsideIsLedBack) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_policies(test_network_of_three())));
    const auto before = host.kernel.policies();
    const auto operations = host.kernel.applied();
    host.kernel.put_policy({.direction = Direction::kOut, .action = Action::kAllow, .priority = 1});
    host.kernel.delete_policy(host.kernel.policies().back().index);
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    // A policy that is put in is what makes the kernel look for routes again; nothing else of it is changed.
    EXPECT_EQ(host.kernel.applied(), operations + 1);
    EXPECT_EQ(host.kernel.policies(), before);
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    EXPECT_EQ(host.kernel.applied(), operations + 1) << "its own doing is no reason to do it again";
}

TEST(EngineWatch, LostEventsMeanReadingTheKernel) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    host.kernel.delete_sa(location_of(Direction::kIn, 3, 1));
    static_cast<void>(must(host.kernel.read_events()));
    host.kernel.lose_events();
    EXPECT_THAT(must(host.engine->handle_events()).states, ElementsAre(kSeven));
}

TEST(EngineWatch, AnEventThatIsOlderThanOurOwnChangeIsNoLoss) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    host.kernel.delete_sa(location_of(Direction::kIn, 2, 1));  // not read yet
    ASSERT_TRUE(complete(host.engine->apply_states(peer_came_back(test_network_of_three()))));
    EXPECT_TRUE(must(host.engine->handle_events()).empty());
    EXPECT_TRUE(complete(host.engine->apply_states(peer_came_back(test_network_of_three()))));
}

TEST(EngineWatch, ExtraSasOfOursAreFoundAndRemoved) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    host.kernel.put_sa(
        {.location = {.destination = test_member(9).vtep, .spi = Spi{0x12345}}, .reqid = make_reqid(kSeven)});
    EXPECT_THAT(must(host.engine->handle_events()).states, ElementsAre(kSeven));
    EXPECT_EQ(host.engine->apply_states(test_network_of_three()).deleted, 1U);
    EXPECT_EQ(host.kernel.states().size(), 4U);
}

TEST(EngineWatch, StatusShowsTheKernelsCountersAndWhoseSaItIs) {
    Host host;
    ASSERT_TRUE(complete(host.engine->apply_states(test_network_of_three())));
    const SaLocation place = location_of(Direction::kOut, 2, 1);
    host.kernel.count(place, {.packets = 5, .sequence_out = 5});
    const std::vector<SaStatus> list = must(host.engine->status(kSeven));
    ASSERT_EQ(list.size(), 4U);
    const auto found =
        std::find_if(list.begin(), list.end(), [&](const SaStatus& it) { return it.sa.location == place; });
    ASSERT_NE(found, list.end());
    EXPECT_EQ(found->sa.counters.packets, 5U);
    EXPECT_EQ(found->direction, Direction::kOut);
    EXPECT_EQ(found->identity->receiver, test_member(2).node);
    EXPECT_THAT(must(host.engine->status(base::NetworkIndex{8})), IsEmpty());
}

}  // namespace
}  // namespace warren::xfrm
