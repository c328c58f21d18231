#include "manager/key_record.h"
#include "tests/unit/manager/core_fixture.h"

namespace warren::manager {
namespace {

using base::Code;
using testing::HasSubstr;

class CoreKeys : public CoreTest {
  protected:
    v1::KeyNetwork keys(const std::string& network = "net1") {
        v1::KeyStatusRequest request;
        request.set_network(network);
        return core_->key_status(request)->networks(0);
    }
    // All of them: "1 draining".
    std::vector<std::string> epochs() {
        std::vector<std::string> all;
        const auto list = core_->key_list({}).value();
        for (const auto& epoch : list.epochs()) {
            all.push_back(fmt::format("{} {}", epoch.epoch(), epoch.state()));
        }
        return all;
    }
    // The node says hello again, as after an update of its kernel.
    void hello_with_fast_aes(const Joined& joined, bool fast) {
        auto message = hello_of("192.0.2.1");
        message.mutable_hello()->set_fast_aes(fast);
        core_->session_message(joined.session, message);
    }
    void say_fast_aes(const Joined& joined, bool fast) {
        hello_with_fast_aes(joined, fast);
        (void)core_->run();
    }
    v1::Rotation last_rotation() {
        v1::KeyHistoryRequest request;
        request.set_network("net1");
        const auto history = core_->key_history(request);
        return history->rotations(history->rotations_size() - 1);
    }
    // The store has the epoch's secret, sealed.
    bool has_secret(std::uint32_t epoch) {
        const auto id = base::parse_id<base::NetworkId>("id", inspect("net1").id()).value();
        v1::KeyStateRecord record;
        EXPECT_TRUE(record.ParseFromString(cluster_.store->get(key::keys(id)).value()->value));
        const auto* stored = find_epoch(record, base::Epoch{epoch});
        return stored != nullptr && !stored->sealed_secret().empty();
    }
    void rotate(std::vector<v1::RotationProgress>& reports) {
        v1::KeyRotateRequest request;
        request.set_network("net1");
        ASSERT_TRUE(core_->key_rotate(request, [&](const auto& progress) { reports.push_back(progress); }));
        (void)core_->run();
    }
    struct Pair {
        Joined m1;
        Joined w1;
    };
    // The manager's node and a worker, both members of the encrypted network net1, which know it as it is.
    Pair two_members(const std::vector<std::string>& options = {"encrypted"}) {
        Pair pair{.m1 = own_session(), .w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2")};
        EXPECT_TRUE(create("net1", options));
        EXPECT_EQ(connect(pair.m1, "net1", "a").error(), "");
        EXPECT_EQ(connect(pair.w1, "net1", "b").error(), "");
        acknowledge(pair.m1);
        acknowledge(pair.w1);
        return pair;
    }
    // A member's say on an SA of this epoch.
    void limit_reached(const Joined& from, std::uint32_t epoch) {
        v1::FromAgent message;
        auto& request = *message.mutable_rotation_request();
        request.set_network_id(raw(*core_network()));
        request.set_epoch(epoch);
        request.set_limit(true);
        core_->session_message(from.session, message);
        (void)core_->run();
    }
    base::Result<base::NetworkId> core_network() { return base::parse_id<base::NetworkId>("id", inspect().id()); }
};

TEST_F(CoreKeys, RotationWaitsForEveryReachableMember) {
    const auto [m1, w1] = two_members();
    v1::KeyRotateRequest request;
    request.set_network("net1");
    std::vector<v1::RotationProgress> reports;
    ASSERT_TRUE(core_->key_rotate(request, [&](const auto& progress) { reports.push_back(progress); }));
    (void)core_->run();
    acknowledge(m1);
    EXPECT_EQ(create("x")->name(), "x");
    EXPECT_EQ(core_->key_status({})->networks(0).active_epoch(), 1U) << "w1 has not installed the new epoch";
    acknowledge(w1);
    EXPECT_EQ(core_->key_status({})->networks(0).active_epoch(), 2U);
    for (int step = 0; step < 10 && !reports.back().done(); ++step) {
        acknowledge(m1);
        acknowledge(w1);
        now_ += 1s;
        v1::FromAgent beat;
        beat.mutable_heartbeat();
        core_->session_message(m1.session, beat);
        core_->session_message(w1.session, beat);
        (void)core_->run();
    }
    EXPECT_TRUE(reports.back().done());
    EXPECT_EQ(reports.back().retired(), 2U);
    EXPECT_EQ(core_->key_list({})->epochs_size(), 1) << "the old epoch is gone";
}

// Whoever waits for the rotation hears that it was taken back, and the old keys stay.
TEST_F(CoreKeys, AbortTakesTheRotationBackAndTellsWhoWatches) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    v1::KeyAbortRequest abort;
    abort.set_network("net1");
    const auto nothing = core_->key_abort(abort);
    ASSERT_FALSE(nothing);
    EXPECT_EQ(
        nothing.error().message(),
        "network 'net1': no rotation to abort: no epoch is being installed, and an active one can't be taken back");

    std::vector<v1::RotationProgress> reports;
    v1::KeyRotateRequest request;
    request.set_network("net1");
    const auto watch = [&] {
        ASSERT_TRUE(core_->key_rotate(request, [&](const auto& progress) { reports.push_back(progress); }));
        (void)core_->run();
    };
    watch();
    const auto aborted = core_->key_abort(abort);
    ASSERT_TRUE(aborted) << aborted.error().message();
    EXPECT_EQ(aborted->epoch(), 2U);
    EXPECT_EQ(aborted->still_due_size(), 0);
    ASSERT_FALSE(reports.empty());
    EXPECT_TRUE(reports.back().done());
    EXPECT_EQ(reports.back().phase(), "aborted");
    EXPECT_EQ(reports.back().epoch(), 2U);
    (void)core_->run();
    EXPECT_EQ(core_->key_status({})->networks(0).active_epoch(), 1U);

    const auto told = reports.size();
    acknowledge(m1);
    EXPECT_EQ(reports.size(), told) << "the watch has ended";
    watch();
    EXPECT_EQ(reports.back().epoch(), 3U) << "numbers are never given again";
}

// What a former member made necessary comes all the same, a minute later.
TEST_F(CoreKeys, AbortSaysWhatIsStillDue) {
    const auto [m1, w1] = two_members();
    ASSERT_EQ(disconnect(w1, "net1", "b").error(), "");
    (void)core_->run();
    v1::KeyAbortRequest abort;
    abort.set_network("net1");
    const auto aborted = core_->key_abort(abort);
    ASSERT_TRUE(aborted) << aborted.error().message();
    ASSERT_EQ(aborted->still_due_size(), 1);
    EXPECT_EQ(aborted->still_due(0), "member-left");
    EXPECT_EQ(aborted->due_unix_ms(), unix_ms(now_ + 60s));
    acknowledge(m1);
    EXPECT_EQ(core_->key_status({})->networks(0).phase(), "idle");
    now_ += 60s;
    (void)core_->run();
    EXPECT_EQ(core_->key_status({})->networks(0).phase(), "installing");
}

TEST_F(CoreKeys, TheScheduleIsTheNetworksOwnAndSurvivesTheManager) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted", "key-rotation=2h"}));
    ASSERT_TRUE(create("net2", {"encrypted", "key-rotation=0"}));
    ASSERT_TRUE(create("net3", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    const auto due = keys().next_rotation_unix_ms();
    EXPECT_GE(due, unix_ms(kStart + 2h - 12min));
    EXPECT_LE(due, unix_ms(kStart + 2h));
    EXPECT_EQ(keys("net2").next_rotation_unix_ms(), 0);
    EXPECT_GE(keys("net3").next_rotation_unix_ms(), unix_ms(kStart + 12h - 72min));

    now_ += 1h;
    open();
    (void)core_->run();
    EXPECT_EQ(keys().next_rotation_unix_ms(), due) << "a restart neither delays nor repeats it";
    const auto again = begin_session(m1.node, "192.0.2.1");
    now_ = time_of(due);
    (void)core_->run();
    EXPECT_EQ(keys().phase(), "installing");
    EXPECT_EQ(last_rotation().epoch(), 2U);
    EXPECT_EQ(last_rotation().causes(0).reason(), "schedule");
    EXPECT_GT(keys().next_rotation_unix_ms(), due + std::chrono::milliseconds(1h).count());
}

// What a decision costs grows with the members, and so does the number of acknowledgements.
TEST_F(CoreKeys, ALargeNetworkGathersAcknowledgementsAndForgetsNone) {
    constexpr int kWorkers = 60;
    std::vector<Joined> members{own_session()};
    ASSERT_TRUE(create("net1", {"encrypted"}));
    for (int i = 0; i < kWorkers; ++i) {
        const auto address = fmt::format("192.0.2.{}", i + 2);
        members.push_back(begin_session(join(fmt::format("w{}", i), address), address));
    }
    for (const auto& member : members) {
        ASSERT_EQ(connect(member, "net1", fmt::format("c{}", member.session)).error(), "");
    }
    std::vector<v1::RotationProgress> reports;
    rotate(reports);
    now_ += 1s;
    (void)core_->run();
    for (const auto& member : members) {
        acknowledge(member);
    }
    EXPECT_EQ(keys().active_epoch(), 1U);
    EXPECT_LT(reports.size(), 5U) << "one for each acknowledgement";
    const auto next = core_->run();
    EXPECT_LE(next, 2ms);
    now_ += next;
    (void)core_->run();
    EXPECT_EQ(keys().active_epoch(), 2U);
}

// Neither may cost packets that are on their way in the old epoch.
TEST_F(CoreKeys, NeitherAClockThatIsSetNorAManagerThatBeginsEndsAGraceEarly) {
    auto pair = two_members();
    std::vector<v1::RotationProgress> reports;
    rotate(reports);
    const auto pass = [&](base::Duration time) {
        now_ += time;
        acknowledge(pair.m1);
        acknowledge(pair.w1);
        (void)core_->run();
    };
    for (int i = 0; i < 3; ++i) {
        pass(1s);
    }
    ASSERT_EQ(epochs(), (std::vector<std::string>{"1 draining", "2 active"}));
    set_clock(1h);
    pass(0s);
    EXPECT_EQ(epochs(), (std::vector<std::string>{"1 draining", "2 active"}));
    now_ += 1h;  // the manager was off for so long, or its clock was set meanwhile
    open();
    pair = {.m1 = own_session(), .w1 = begin_session(pair.w1.node, "192.0.2.2")};
    pass(0s);
    EXPECT_EQ(epochs(), (std::vector<std::string>{"1 draining", "2 active"}));
    pass(4900ms);
    EXPECT_EQ(epochs(), (std::vector<std::string>{"1 draining", "2 active"}));
    pass(200ms);
    pass(0s);
    EXPECT_EQ(epochs(), std::vector<std::string>{"2 active"});
}

TEST_F(CoreKeys, AnUpdateAnswersWithTheNetworkAsInspectShowsIt) {
    (void)two_members();
    const auto updated = update({"key-rotation=10h"});
    ASSERT_TRUE(updated) << updated.error().message();
    EXPECT_EQ(updated->member_nodes_size(), 2);
    EXPECT_EQ(updated->endpoints_size(), 2);
}

TEST_F(CoreKeys, InspectShowsHowFarEachMemberIs) {
    const auto pair = two_members();
    v1::NetworkInspectRequest request;
    request.set_network("net1");
    acknowledge(pair.w1);
    ASSERT_TRUE(update({"cipher=aes-256-gcm"}));
    acknowledge(pair.m1);
    auto shown = core_->network_inspect(request).value();
    ASSERT_EQ(shown.member_nodes_size(), 2);
    EXPECT_EQ(shown.member_nodes(0).underlay_mtu(), 1500U);
    EXPECT_EQ(shown.member_nodes(0).installed_epoch(), 2U);
    EXPECT_EQ(shown.member_nodes(0).sending_epoch(), 1U);
    EXPECT_EQ(shown.member_nodes(0).acked_revision(), shown.revision());
    EXPECT_EQ(shown.member_nodes(1).installed_epoch(), 1U) << "it has not acknowledged the new one";
    core_->session_closed(pair.w1.session);
    (void)core_->run();
    shown = core_->network_inspect(request).value();
    EXPECT_TRUE(shown.member_nodes(0).reachable());
    EXPECT_FALSE(shown.member_nodes(1).reachable());
    EXPECT_EQ(shown.member_nodes(1).data_address(), "192.0.2.2");
}

TEST_F(CoreKeys, AnotherIntervalDrawsAnotherDeadline) {
    (void)own_session();
    ASSERT_TRUE(create("net1", {"encrypted", "key-rotation=1h"}));
    (void)core_->run();
    const auto updated = update({"key-rotation=10h"});
    ASSERT_TRUE(updated) << updated.error().message();
    EXPECT_EQ(updated->key_rotation_ms(), std::chrono::milliseconds(10h).count());
    EXPECT_GE(keys().next_rotation_unix_ms(), unix_ms(now_ + 9h));
    EXPECT_EQ(keys().phase(), "idle") << "no reason for new keys";
    ASSERT_TRUE(update({"key-rotation=0"}));
    EXPECT_EQ(keys().next_rotation_unix_ms(), 0);
}

TEST_F(CoreKeys, AnotherCipherIsARotation) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    ASSERT_TRUE(update({"cipher=aes-256-gcm"}));
    EXPECT_EQ(keys().phase(), "installing");
    EXPECT_EQ(last_rotation().cipher(), "aes-256-gcm");
    EXPECT_EQ(last_rotation().causes(0).reason(), "parameters");
    EXPECT_EQ(last_rotation().causes(0).by(), "uid 0");
    const auto revision = core_->network_list({})->networks(0).revision();
    ASSERT_TRUE(update({"cipher=aes-256-gcm"}));
    EXPECT_EQ(core_->network_list({})->networks(0).revision(), revision) << "nothing changed";
}

TEST_F(CoreKeys, AnotherReplayWindowIsARotation) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    ASSERT_TRUE(update({"replay-window=4096"}));
    EXPECT_EQ(keys().phase(), "installing");
    EXPECT_EQ(last_rotation().causes(0).reason(), "parameters");
    const auto delta = m1.agent->last(v1::FromManager::kDelta)->delta();
    ASSERT_EQ(delta.epochs_size(), 1);
    EXPECT_EQ(delta.epochs(0).replay_window(), 4096U);
}

TEST_F(CoreKeys, EspInUdpIsARotationAndTakesOfTheMtu) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    const auto updated = update({"encap=udp"});
    ASSERT_TRUE(updated) << updated.error().message();
    EXPECT_EQ(updated->encap(), "udp:7443");
    EXPECT_EQ(updated->mtu(), 1408U);
    EXPECT_EQ(last_rotation().causes(0).reason(), "parameters");
    const auto delta = m1.agent->last(v1::FromManager::kDelta)->delta();
    ASSERT_EQ(delta.epochs_size(), 1);
    EXPECT_EQ(delta.epochs(0).encap_port(), 7443U);
    EXPECT_EQ(delta.mtu(), 1408U);
    acknowledge(m1);
    const auto back = update({"encap=none"});
    EXPECT_EQ(back->encap(), "none");
    EXPECT_EQ(back->mtu(), 1408U) << "it grows later";
}

TEST_F(CoreKeys, ANodeThatIsNoMemberDoesNotShrinkTheMtu) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted", "mtu=1400"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    auto narrow = hello_of("192.0.2.2");
    narrow.mutable_hello()->set_underlay_mtu(1000);
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    core_->session_message(w1.session, narrow);
    EXPECT_EQ(update({"encap=udp"})->mtu(), 1400U) << "fits as it is";
}

// It may be the parameters that hold it up, such as a port that is taken.
TEST_F(CoreKeys, AnEpochThatIsInstalledIsTakenBackWhenItsParametersChangeAgain) {
    const auto pair = two_members();
    ASSERT_TRUE(update({"encap=udp:4500"}));
    EXPECT_THAT(epochs(), testing::ElementsAre("1 active", "2 installing"));
    std::vector<v1::RotationProgress> reports;
    rotate(reports);  // somebody waits for what comes
    ASSERT_TRUE(update({"encap=udp"}));
    EXPECT_THAT(epochs(), testing::ElementsAre("1 active", "3 installing"));
    const auto delta = pair.w1.agent->last(v1::FromManager::kDelta)->delta();
    ASSERT_EQ(delta.epochs_size(), 1);
    EXPECT_EQ(delta.epochs(0).encap_port(), 7443U);
    EXPECT_EQ(last_rotation().causes(0).reason(), "parameters");
    EXPECT_FALSE(has_secret(2)) << "nobody will use it";
    EXPECT_TRUE(has_secret(3));
    acknowledge(pair.m1);
    acknowledge(pair.w1);
    EXPECT_EQ(inspect("net1").active_epoch(), 3U);
    // One that is the same in all that belongs to an epoch goes on.
    ASSERT_TRUE(update({"encap=none"}));
    ASSERT_TRUE(update({"key-rotation=1h"}));
    EXPECT_THAT(epochs(), testing::Contains("4 installing"));
}

TEST_F(CoreKeys, APortOfNetworksIsRefusedForEspInUdp) {
    (void)own_session();
    ASSERT_TRUE(create("net1", {"encrypted"}));
    const auto refused = update({"encap=udp:10001"});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(),
                HasSubstr("network 'net1': --opt encap=udp:10001: UDP ports 4789, and 10000 to 26383"));
    EXPECT_FALSE(create("net2", {"encrypted", "encap=udp:4789"}));
}

TEST_F(CoreKeys, AnAutomaticCipherFollowsTheWeakestNode) {
    const auto m1 = own_session();  // without AES instructions
    ASSERT_TRUE(create("net1", {"encrypted", "cipher=auto"}));
    EXPECT_EQ(inspect("net1").cipher(), "chacha20-poly1305");
    EXPECT_EQ(inspect("net1").cipher_choice(), "node 'm1' has no AES instructions");
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);

    say_fast_aes(m1, true);
    EXPECT_EQ(inspect("net1").cipher(), "aes-128-gcm");
    EXPECT_EQ(inspect("net1").cipher_choice(), "every node has AES instructions");
    EXPECT_EQ(last_rotation().cipher(), "aes-128-gcm");
    EXPECT_EQ(last_rotation().causes(0).reason(), "parameters");
    acknowledge(m1);

    // A node that joins counts before it is a member, so that its first endpoint changes nothing. A minute at least
    // lies between two changes: what nodes say of themselves must not keep networks rotating.
    const auto before_w1 = now_;
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    EXPECT_EQ(inspect("net1").cipher(), "aes-128-gcm");
    now_ = before_w1 + 61s;
    (void)core_->run();
    EXPECT_EQ(inspect("net1").cipher(), "chacha20-poly1305");
    EXPECT_EQ(inspect("net1").cipher_choice(), "node 'w1' has no AES instructions");
    const auto w2 = begin_session(join("w2", "192.0.2.3"), "192.0.2.3");
    EXPECT_THAT(inspect("net1").cipher_choice(), testing::StartsWith("2 nodes have no AES instructions, such as 'w"));
    // One that can't encrypt does not count; one that lacks ChaCha20-Poly1305 decides.
    (void)begin_session(join("w3", "192.0.2.4"), "192.0.2.4", 1, {});
    EXPECT_EQ(inspect("net1").cipher(), "chacha20-poly1305");
    now_ += 121s;  // twice as long where it goes on
    (void)begin_session(join("w4", "192.0.2.5"), "192.0.2.5", 1, {1, 2});
    EXPECT_EQ(inspect("net1").cipher(), "aes-128-gcm");
    EXPECT_EQ(inspect("net1").cipher_choice(), "node 'w4' lacks chacha20-poly1305");

    // Chosen by hand it stays.
    ASSERT_TRUE(update({"cipher=aes-256-gcm"}));
    say_fast_aes(m1, false);
    EXPECT_EQ(inspect("net1").cipher(), "aes-256-gcm");
    EXPECT_EQ(inspect("net1").cipher_choice(), "");
    ASSERT_TRUE(update({"cipher=auto"}));
    EXPECT_EQ(inspect("net1").cipher(), "aes-128-gcm");
}

TEST_F(CoreKeys, AnAutomaticCipherIsAdaptedByAManagerThatBegins) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {"encrypted", "cipher=auto"}));
    hello_with_fast_aes(m1, true);
    EXPECT_EQ(inspect("net1").cipher(), "chacha20-poly1305") << "it was not given the time";
    open();
    (void)core_->run();
    EXPECT_EQ(inspect("net1").cipher(), "aes-128-gcm");
}

TEST_F(CoreKeys, ACipherThatAMemberLacksIsRefusedAndChangesNothing) {
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2", 1, {1});
    ASSERT_TRUE(create("net1", {"encrypted"}));
    ASSERT_EQ(connect(w1, "net1", "b").error(), "");
    const auto refused = update({"key-rotation=1h", "cipher=aes-256-gcm"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kPrecondition);
    EXPECT_EQ(refused.error().message(),
              "network 'net1': node 'w1' can't encrypt with aes-256-gcm: its kernel lacks the cipher");
    EXPECT_EQ(keys().cipher(), "aes-128-gcm");
    EXPECT_EQ(keys().key_rotation_ms(), std::chrono::milliseconds(12h).count());
}

TEST_F(CoreKeys, LimitsReachTheMembersAndALimitThatIsReachedRotatesOnce) {
    const auto [m1, w1] = two_members({"encrypted", "rekey-after-packets=10000"});
    EXPECT_EQ(w1.agent->last(v1::FromManager::kSnapshot)->snapshot().content().rekey_after_packets(), 10000U);
    ASSERT_TRUE(update({"rekey-after-packets=2000", "rekey-after-bytes=5000000"}));
    const auto& delta = m1.agent->last(v1::FromManager::kDelta)->delta();
    EXPECT_EQ(delta.rekey_after_packets(), 2000U);
    EXPECT_EQ(delta.rekey_after_bytes(), 5'000'000U);
    EXPECT_EQ(keys().phase(), "idle");

    limit_reached(w1, 1);
    EXPECT_EQ(keys().phase(), "installing");
    EXPECT_EQ(last_rotation().causes(0).reason(), "limit");
    EXPECT_EQ(last_rotation().causes(0).by(), "w1");
    limit_reached(m1, 1);
    EXPECT_EQ(keys().waiting_size(), 0) << "the new epoch serves both";
}

TEST_F(CoreKeys, MulticastIsToldToTheMembersWithoutARotation) {
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2", 1, {1});
    for (const bool encrypted : {false, true}) {
        const std::string name = encrypted ? "secret" : "plain";
        ASSERT_TRUE(create(name, encrypted ? std::vector<std::string>{"encrypted"} : std::vector<std::string>{}));
        ASSERT_EQ(connect(w1, name, "a").error(), "");
        const auto before = inspect(name);
        EXPECT_FALSE(before.multicast());
        EXPECT_FALSE(w1.agent->last(v1::FromManager::kSnapshot)->snapshot().network().multicast());
        ASSERT_TRUE(update({"multicast"}, name)) << name;
        EXPECT_TRUE(inspect(name).multicast());
        EXPECT_GT(inspect(name).revision(), before.revision());
        const auto* delta = w1.agent->last(v1::FromManager::kDelta);
        ASSERT_NE(delta, nullptr);
        EXPECT_TRUE(delta->delta().multicast());
        EXPECT_EQ(delta->delta().revision(), inspect(name).revision());
        const auto after = inspect(name);
        ASSERT_TRUE(update({"multicast=true"}, name)) << "as it is already";
        EXPECT_EQ(inspect(name).revision(), after.revision());
    }
    ASSERT_TRUE(create("born", {"multicast"}));
    EXPECT_TRUE(inspect("born").multicast());
    ASSERT_EQ(connect(w1, "born", "b").error(), "");
    EXPECT_TRUE(w1.agent->last(v1::FromManager::kSnapshot)->snapshot().network().multicast());
    (void)core_->run();
    EXPECT_EQ(core_->key_status({}).value().networks(0).phase(), "idle");
}

TEST_F(CoreKeys, CountersShowHowMuchOfALimitIsUsedAndWhatAnEpochCarried) {
    const auto m1 = own_session();
    const auto w1 = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
    ASSERT_TRUE(create("net1", {"encrypted", "rekey-after-packets=10000", "rekey-after-bytes=1000000"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    acknowledge(m1);
    const auto tell = [&](const Joined& from, std::uint32_t epoch, std::uint64_t packets, std::uint64_t bytes) {
        v1::FromAgent message;
        auto& told = *message.mutable_key_counters()->add_epochs();
        told.set_network_id(raw(*core_network()));
        told.set_epoch(epoch);
        told.set_packets(packets);
        told.set_bytes(bytes);
        told.set_most_packets(packets / 2);
        told.set_most_bytes(bytes / 2);
        core_->session_message(from.session, message);
    };
    tell(m1, 1, 5000, 1'500'000);
    tell(w1, 1, 7, 7);      // no member
    tell(m1, 9, 700, 700);  // no such epoch
    EXPECT_DOUBLE_EQ(keys().members(0).limit_used_percent(), 75.0);
    EXPECT_EQ(keys().members(0).packets_sent(), 5000U);
    EXPECT_EQ(last_rotation().packets_sent(), 5000U);

    std::vector<v1::RotationProgress> reports;
    rotate(reports);
    open();
    EXPECT_EQ(keys().members(0).packets_sent(), 0U) << "agents tell it again";
    v1::KeyHistoryRequest request;
    request.set_network("net1");
    EXPECT_EQ(core_->key_history(request)->rotations(0).packets_sent(), 5000U) << "written with the next step";
    EXPECT_EQ(core_->key_history(request)->rotations(0).bytes_sent(), 1'500'000U);
}

TEST_F(CoreKeys, ProgressNamesWhoIsLateAndSinceWhen) {
    const auto [m1, w1] = two_members();
    core_->session_closed(w1.session);
    const auto lost = now_;
    now_ += 6s;
    std::vector<v1::RotationProgress> reports;
    rotate(reports);
    const auto late = [&](const std::string& node) {
        for (const auto& one : reports.back().late()) {
            if (one.node() == node) {
                return one;
            }
        }
        return v1::LateMember();
    };
    EXPECT_TRUE(late("m1").waited_for() && late("m1").reachable());
    EXPECT_FALSE(late("w1").waited_for() || late("w1").reachable());
    EXPECT_EQ(late("w1").since_unix_ms(), unix_ms(lost));
}

// The program exits with 1 for the one and 0 for the other, by this report.
TEST_F(CoreKeys, TheLastReportTellsWhoWasThereAndDidNotConfirmFromWhoWasAway) {
    const auto [m1, w1] = two_members();
    const auto rotate_without_w1 = [&, &m1 = m1, &w1 = w1](bool is_there) {
        std::vector<v1::RotationProgress> reports;
        rotate(reports);
        v1::FromAgent beat;
        beat.mutable_heartbeat();
        for (int second = 0; second < 300 && !reports.back().done(); ++second) {
            acknowledge(m1);
            if (is_there) {
                core_->session_message(w1.session, beat);
            }
            now_ += 1s;
            (void)core_->run();
        }
        return reports.back();
    };
    auto began = now_;
    const auto silent = rotate_without_w1(true);
    EXPECT_TRUE(silent.done());
    EXPECT_EQ(silent.epoch(), 2U);
    EXPECT_EQ(keys().active_epoch(), 2U) << "m1 has the new keys: nobody is waited for for ever";
    EXPECT_GE(now_ - began, 60s) << "who is there is waited for";
    ASSERT_EQ(silent.late_size(), 1) << silent.ShortDebugString();
    EXPECT_EQ(silent.late(0).node(), "w1");
    EXPECT_TRUE(silent.late(0).reachable());
    EXPECT_FALSE(silent.late(0).waited_for());

    core_->session_closed(w1.session);
    began = now_;
    const auto away = rotate_without_w1(false);
    EXPECT_TRUE(away.done());
    EXPECT_EQ(away.epoch(), 3U);
    EXPECT_LT(now_ - began, 60s);
    ASSERT_EQ(away.late_size(), 1) << away.ShortDebugString();
    EXPECT_EQ(away.late(0).node(), "w1");
    EXPECT_FALSE(away.late(0).reachable());
    EXPECT_FALSE(away.late(0).waited_for());
}

TEST_F(CoreKeys, KeysOfAPlainNetworkAreRefusedInWords) {
    (void)own_session();
    ASSERT_TRUE(create("net1"));
    v1::KeyHistoryRequest history;
    history.set_network("net1");
    EXPECT_THAT(core_->key_history(history).error().message(), HasSubstr("is not encrypted: it has no keys"));
    EXPECT_EQ(update({"cipher=aes-256-gcm"}).error().message(),
              "network 'net1': --opt cipher: only for encrypted networks");
}

}  // namespace
}  // namespace warren::manager
