#include "manager/network_mtu.h"

#include "tests/unit/manager/core_fixture.h"

namespace warren::manager {
namespace {

using base::Mtu;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Mtu kWide{1450};
constexpr Mtu kNarrow{1350};

TEST(MtuPace, ShrinksAtOnceAndGrowsWhenThatHasLasted) {
    MtuPace pace;
    EXPECT_FALSE(pace.step(kWide, kWide, kStart).again);
    EXPECT_TRUE(pace.step(kWide, kNarrow, kStart).now);
    const auto step = pace.step(kNarrow, kWide, kStart + 10s);
    EXPECT_FALSE(step.now);
    EXPECT_EQ(step.again, kStart + 70s);
    EXPECT_FALSE(pace.step(kNarrow, kWide, kStart + 69s).now);
    // A moment without room, and the time begins anew.
    EXPECT_FALSE(pace.step(kNarrow, kNarrow, kStart + 69s).now);
    EXPECT_EQ(pace.step(kNarrow, kWide, kStart + 71s).again, kStart + 131s);
    EXPECT_TRUE(pace.step(kNarrow, kWide, kStart + 131s).now);
}

TEST(MtuPace, GrowsMoreAndMoreSeldomWhereItGoesUpAndDown) {
    MtuPace pace;
    auto now = kStart;
    base::Duration last{};
    for (int i = 0; i < 12; ++i) {
        now += 1s;
        ASSERT_TRUE(pace.step(kWide, kNarrow, now).now);
        const auto grows = pace.step(kNarrow, kWide, now).again;
        ASSERT_TRUE(grows);
        EXPECT_GE(*grows - now, last);
        last = *grows - now;
        now = *grows;
        ASSERT_TRUE(pace.step(kNarrow, kWide, now).now);
    }
    EXPECT_EQ(last, 4h);
    // What held for long is trusted again.
    now += 9h;
    ASSERT_TRUE(pace.step(kWide, kNarrow, now).now);
    EXPECT_EQ(pace.step(kNarrow, kWide, now).again, now + 1min);
}

TEST(MtuPace, ANodeThatSaysLessEachTimeIsHeardNowAndThen) {
    MtuPace pace;
    int shrunk = 0;
    for (std::uint32_t mtu = 1450; mtu > 1400; --mtu) {
        shrunk += pace.step(Mtu{mtu}, Mtu{mtu - 1}, kStart).now ? 1 : 0;
    }
    EXPECT_EQ(shrunk, 5);
    EXPECT_EQ(pace.step(Mtu{1400}, Mtu{1300}, kStart).again, kStart + 10s);
    EXPECT_TRUE(pace.step(Mtu{1400}, Mtu{1300}, kStart + 10s).now);
}

TEST(MtuPace, AClockThatIsSetChangesNothing) {
    MtuPace pace;
    ASSERT_TRUE(pace.step(kWide, kNarrow, kStart).now);
    ASSERT_FALSE(pace.step(kNarrow, kWide, kStart).now);
    pace.clock_set(24h);
    EXPECT_FALSE(pace.step(kNarrow, kWide, kStart + 24h + 59s).now);
    EXPECT_TRUE(pace.step(kNarrow, kWide, kStart + 24h + 60s).now);
}

class NetworkMtu : public CoreTest {
  protected:
    struct Route {
        std::string to;
        std::uint32_t mtu = 0;
    };
    void say_underlay(const Joined& from, std::uint32_t mtu, const std::vector<Route>& routes = {}) {
        v1::FromAgent message;
        message.mutable_underlay_mtu()->set_mtu(mtu);
        for (const auto& route : routes) {
            auto& narrow = *message.mutable_underlay_mtu()->add_narrow_routes();
            narrow.set_to(raw(ip(route.to)));
            narrow.set_mtu(route.mtu);
        }
        core_->session_message(from.session, message);
        (void)core_->run();
    }
    // Who says nothing for long has no session any more.
    void pass(base::Duration time) {
        for (const auto end = now_ + time; now_ < end;) {
            now_ = std::min(now_ + 5s, end);
            for (const auto session : sessions_) {
                v1::FromAgent beat;
                beat.mutable_heartbeat();
                core_->session_message(session, beat);
            }
            (void)core_->run();
        }
    }
    Joined enter(const std::string& name, const std::string& address) {
        auto joined = name == "m1" ? own_session() : begin_session(join(name, address), address);
        sessions_.push_back(joined.session);
        return joined;
    }
    std::uint32_t mtu(const std::string& network = "net1") { return inspect(network).mtu(); }
    static v1::NetworkDelta told(const Joined& to) { return to.agent->last(v1::FromManager::kDelta)->delta(); }
    std::vector<std::string> texts(const std::string& kind) {
        std::vector<std::string> all;
        const auto log = events();
        for (const auto& event : log.events()) {
            if (event.kind() == kind) {
                all.push_back(event.text());
            }
        }
        return all;
    }
    // Three nodes with an endpoint each in a network.
    struct Three {
        Joined m1;
        Joined w1;
        Joined w2;
    };
    Three three(const std::vector<std::string>& options) {
        Three all{.m1 = enter("m1", "192.0.2.1"), .w1 = enter("w1", "192.0.2.2"), .w2 = enter("w2", "192.0.2.3")};
        EXPECT_TRUE(create("net1", options));
        EXPECT_EQ(connect(all.m1, "net1", "a").error(), "");
        EXPECT_EQ(connect(all.w1, "net1", "b").error(), "");
        EXPECT_EQ(connect(all.w2, "net1", "c").error(), "");
        return all;
    }

    std::vector<SessionId> sessions_;
};

TEST_F(NetworkMtu, FollowsTheSmallestUnderlayOfItsMembersAndBack) {
    const auto all = three({"encrypted"});
    EXPECT_EQ(mtu(), 1416U);
    EXPECT_EQ(inspect().narrowest_node(), "");
    EXPECT_EQ(inspect().mtu_choice(), "what its members carry");
    say_underlay(all.w1, 1400);
    EXPECT_EQ(mtu(), 1316U) << "at once";
    for (const auto& member : {all.m1, all.w1, all.w2}) {
        EXPECT_EQ(told(member).mtu(), 1316U);
        EXPECT_EQ(told(member).narrowest().node(), "w1");
        EXPECT_EQ(told(member).narrowest().underlay_mtu(), 1400U);
    }
    EXPECT_EQ(inspect().narrowest_node(), "w1");
    EXPECT_THAT(texts("mtu-changed"),
                ElementsAre("MTU 1316 instead of 1416: the underlay of node 'w1' carries packets of 1400"));

    say_underlay(all.w1, 1500);
    pass(59s);
    EXPECT_EQ(mtu(), 1316U);
    EXPECT_EQ(inspect().mtu_choice(), "its members carry 1416 again; it grows when that has lasted");
    pass(2s);
    EXPECT_EQ(mtu(), 1416U);
    EXPECT_EQ(told(all.m1).mtu(), 1416U);
    EXPECT_FALSE(told(all.m1).has_narrowest());
    EXPECT_EQ(texts("mtu-changed").back(), "MTU 1416 instead of 1316: its members carry more again");
}

TEST_F(NetworkMtu, IsWhatIsNarrowNowAfterARestartOfTheManager) {
    const auto all = three({});
    say_underlay(all.w1, 1400);
    ASSERT_EQ(mtu(), 1350U);
    sessions_.clear();
    open();
    (void)core_->run();
    EXPECT_EQ(mtu(), 1350U);
    pass(2min);
    EXPECT_EQ(mtu(), 1350U);
}

TEST_F(NetworkMtu, ARouteCountsWhereItsPeerIsAMember) {
    const auto all = three({});
    ASSERT_TRUE(create("net2"));
    ASSERT_EQ(connect(all.m1, "net2", "d").error(), "");
    ASSERT_EQ(connect(all.w1, "net2", "e").error(), "");
    say_underlay(all.w1, 1500, {{"192.0.2.3", 1300}, {"203.0.113.1", 600}});
    EXPECT_EQ(mtu("net1"), 1250U);
    EXPECT_EQ(mtu("net2"), 1450U) << "w2 is in net1 only, and nobody has 203.0.113.1";
    EXPECT_EQ(inspect().mtu_choice(), "the underlay of node 'w1' carries packets of 1300 to 192.0.2.3");
    EXPECT_EQ(told(all.w2).narrowest().peer(), raw(ip("192.0.2.3")));
    // Who made it so narrow leaves.
    EXPECT_EQ(disconnect(all.w2, "net1", "c").error(), "");
    pass(61s);
    EXPECT_EQ(mtu("net1"), 1450U);
}

TEST_F(NetworkMtu, WhatWasAskedForIsTheMost) {
    const auto all = three({"mtu=1400"});
    EXPECT_EQ(inspect().mtu_choice(), "--opt mtu=");
    say_underlay(all.w1, 1440);
    EXPECT_EQ(mtu(), 1390U) << "never a black hole, whatever was asked for";
    EXPECT_EQ(inspect().narrowest_node(), "w1");
    say_underlay(all.w1, 9000);
    pass(61s);
    EXPECT_EQ(mtu(), 1400U);
}

TEST_F(NetworkMtu, GrowsBeyondItsBeginningOnlyWhenEveryNodeCarriesMore) {
    const auto m1 = enter("m1", "192.0.2.1");
    const auto w1 = enter("w1", "192.0.2.2");
    say_underlay(w1, 1400);
    ASSERT_EQ(create("net1")->mtu(), 1350U) << "what all nodes carry";
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    pass(2min);
    EXPECT_EQ(mtu(), 1350U) << "w1 may join any moment";
    EXPECT_EQ(inspect().mtu_choice(), "what every node carries");
    say_underlay(w1, 1500);
    pass(1s);
    pass(60s);
    EXPECT_EQ(mtu(), 1450U);
}

TEST_F(NetworkMtu, StaysAsItIsForANodeThatCarriesNothing) {
    const auto all = three({"encrypted"});
    say_underlay(all.w1, 600);
    EXPECT_EQ(mtu(), 1416U);
    EXPECT_THAT(texts("underlay-too-small"),
                ElementsAre(HasSubstr("the underlay of node 'w1' carries packets of 600, too little")));
    EXPECT_THAT(texts("mtu-changed"), IsEmpty());
    say_underlay(all.w1, 601);
    EXPECT_THAT(texts("underlay-too-small"), testing::SizeIs(1)) << "said once";
    EXPECT_THAT(connect(all.w1, "net1", "d").error(), AllOf(HasSubstr("node 'w1'"), HasSubstr("too small")));
}

TEST_F(NetworkMtu, AJoinerTakesItDownUnlessItWasAskedFor) {
    const auto m1 = enter("m1", "192.0.2.1");
    ASSERT_TRUE(create("net1"));
    ASSERT_TRUE(create("net2", {"mtu=1400"}));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    ASSERT_EQ(connect(m1, "net2", "a2").error(), "");
    const auto w1 = enter("w1", "192.0.2.2");
    say_underlay(w1, 1400);
    EXPECT_EQ(mtu(), 1450U) << "no member yet";
    EXPECT_EQ(connect(w1, "net1", "b").error(), "");
    EXPECT_EQ(mtu(), 1350U);
    EXPECT_EQ(w1.agent->last(v1::FromManager::kSnapshot)->snapshot().content().mtu(), 1350U);
    EXPECT_EQ(told(m1).mtu(), 1350U);
    EXPECT_THAT(texts("mtu-changed"), ElementsAre(HasSubstr("1350 instead of 1450: the underlay of node 'w1'")));
    EXPECT_THAT(connect(w1, "net2", "c").error(), AllOf(HasSubstr("network 'net2' was given MTU 1400"),
                                                        HasSubstr("node 'w1' (MTU 1400) carries at most "
                                                                  "1350"),
                                                        HasSubstr("warren network update net2 --opt mtu=1350")));
    ASSERT_TRUE(update({"mtu=1350"}, "net2"));
    EXPECT_EQ(connect(w1, "net2", "c").error(), "");
}

TEST_F(NetworkMtu, IsUpdatedLive) {
    const auto all = three({});
    const auto updated = update({"mtu=1300"});
    ASSERT_TRUE(updated) << updated.error().message();
    EXPECT_EQ(updated->mtu(), 1300U);
    EXPECT_EQ(told(all.w2).mtu(), 1300U);
    const auto log = events();
    EXPECT_EQ(log.events().rbegin()->kind(), "mtu-changed");
    EXPECT_EQ(log.events().rbegin()->by(), "uid 0");
    const auto revision = inspect().revision();
    EXPECT_EQ(update({"mtu=1460"}).error().message(),
              "network 'net1': --opt mtu=1460: the underlay of node 'm1' carries at most 1450");
    EXPECT_THAT(update({"mtu=100"}).error().message(), HasSubstr("must be a number from 576 to 65535, or auto"));
    EXPECT_FALSE(update({"mtu="}));
    EXPECT_EQ(inspect().revision(), revision) << "nothing was changed";
    EXPECT_EQ(update({"mtu=1420"})->mtu(), 1420U) << "what is asked for is there at once";
    EXPECT_EQ(update({"mtu=auto"})->mtu(), 1450U);
    EXPECT_EQ(inspect().mtu_choice(), "what its members carry");
}

TEST_F(NetworkMtu, IsUpdatedBesideOptionsOfEncryption) {
    (void)three({"encrypted"});
    EXPECT_EQ(update({"mtu=1300", "key-rotation=1h"})->mtu(), 1300U);
    EXPECT_EQ(inspect().key_rotation_ms(), 3'600'000);
    EXPECT_EQ(update({"mtu=auto", "encap=udp"})->mtu(), 1408U);
    EXPECT_FALSE(update({"mtu=1416"})) << "with ESP in UDP";
}

TEST_F(NetworkMtu, GrowsBackAfterEspInUdpOnceNoEpochHasIt) {
    const auto all = three({"encrypted"});
    for (const auto* option : {"encap=udp", "encap=none"}) {
        ASSERT_TRUE(update({option}));
        EXPECT_EQ(mtu(), 1408U);
        pass(61s);
        EXPECT_EQ(mtu(), 1408U) << "the epoch before is there still";
        for (int i = 0; i < 10; ++i) {
            for (const auto& member : {all.m1, all.w1, all.w2}) {
                acknowledge(member);
            }
            pass(2s);
        }
    }
    pass(1s);
    pass(61s);
    EXPECT_EQ(mtu(), 1416U);
}

// A node's word counts for no more than the networks that it is in, and is no way to break sessions.
TEST_F(NetworkMtu, NonsenseOfANodeIsTakenForNothingMore) {
    const auto all = three({});
    for (const std::uint32_t mtu : {0U, 1U, UINT32_MAX}) {
        v1::FromAgent message;
        message.mutable_underlay_mtu()->set_mtu(mtu);
        message.mutable_underlay_mtu()->add_narrow_routes()->set_to("?");
        core_->session_message(all.w1.session, message);
        (void)core_->run();
        EXPECT_EQ(inspect().mtu(), 1450U) << mtu;
    }
    ASSERT_EQ(disconnect(all.m1, "net1", "a").error(), "");
    ASSERT_EQ(disconnect(all.w2, "net1", "c").error(), "");
    pass(2min);
    EXPECT_LE(inspect().mtu(), 65535U);
}

}  // namespace
}  // namespace warren::manager
