#include "probe/path_probe.h"

#include <gtest/gtest.h>

#include <functional>

namespace warren::probe {
namespace {

using namespace std::chrono_literals;

constexpr base::NodeIndex kSelf{1};
constexpr base::NodeIndex kPeer{2};
constexpr base::Mtu kLargest{1416};

// The way there and back as a test wants it: which packets get through.
struct Way {
    std::function<bool(base::Mtu size, bool whole)> there = [](base::Mtu, bool) { return true; };
    std::function<bool(base::Mtu size, bool whole)> back = [](base::Mtu, bool) { return true; };
    ProbeSpan takes = 3ms;
};

PathFound probe(const Way& way) {
    ProbeTime now{1h};
    PathProbe probe(77, kSelf, kPeer, kLargest, now);
    std::vector<std::pair<ProbeTime, ReceivedProbe>> coming;
    for (int i = 0; i < 10'000 && !probe.over(); ++i) {
        for (const auto& question : probe.due(now)) {
            EXPECT_EQ(question.probe.from, kSelf);
            EXPECT_EQ(question.probe.to, kPeer);
            EXPECT_GE(question.size, kSmallestProbe);
            EXPECT_LE(question.size, kLargest);
            auto answer = question.probe;
            if (way.there(question.size, answer.whole) && way.back(answer.answer_size, answer.whole)) {
                answer.answer = true;
                answer.from = kPeer;
                answer.to = kSelf;
                coming.push_back({now + way.takes, {.probe = answer, .size = answer.answer_size}});
            }
        }
        now += 1ms;
        std::erase_if(coming, [&](const auto& entry) {
            if (entry.first > now) {
                return false;
            }
            probe.take(entry.second, now);
            return true;
        });
    }
    EXPECT_TRUE(probe.over());
    return probe.found();
}

auto up_to(std::uint32_t most) {
    return [most](base::Mtu size, bool /*whole*/) { return size.value <= most; };
}
auto uncut_up_to(std::uint32_t most) {
    return [most](base::Mtu size, bool whole) { return !whole || size.value <= most; };
}

TEST(PathProbe, AFineWayIsFoundFine) {
    const auto found = probe({});
    EXPECT_EQ(found.asked, 5U);
    EXPECT_EQ(found.answered, 5U);
    EXPECT_EQ(found.round_trip, ProbeSpan(3ms));
    EXPECT_TRUE(found.large_there);
    EXPECT_TRUE(found.large_back);
    EXPECT_EQ(found.uncut_there, kLargest);
    EXPECT_EQ(found.uncut_back, kLargest);
}

TEST(PathProbe, AClosedWayIsFoundClosedAndNothingElseIsTried) {
    const PathFound closed{.asked = 5};
    EXPECT_EQ(probe({.there = up_to(0)}), closed);
    EXPECT_EQ(probe({.back = up_to(0)}), closed);
}

TEST(PathProbe, TheLargestThatGetsThroughIsFoundForEachDirection) {
    auto found = probe({.there = up_to(1300)});
    EXPECT_FALSE(found.large_there);
    EXPECT_EQ(found.uncut_there, base::Mtu{1300});
    EXPECT_TRUE(found.large_back);
    EXPECT_EQ(found.uncut_back, kLargest);
    found = probe({.back = up_to(1415)});
    EXPECT_TRUE(found.large_there);
    EXPECT_FALSE(found.large_back);
    EXPECT_EQ(found.uncut_back, base::Mtu{1415});
}

TEST(PathProbe, WhatIsCutOnTheWayIsFoundToo) {
    const auto found = probe({.there = uncut_up_to(700), .back = uncut_up_to(64)});
    EXPECT_TRUE(found.large_there);
    EXPECT_TRUE(found.large_back);
    EXPECT_EQ(found.uncut_there, base::Mtu{700});
    EXPECT_EQ(found.uncut_back, base::Mtu{64});
}

TEST(PathProbe, LossOfSomeIsToldAndMisleadsNobody) {
    unsigned sent = 0;
    const auto found = probe({.there = [&](base::Mtu, bool) { return ++sent % 3 != 1; }});
    EXPECT_EQ(found.answered, 3U);
    EXPECT_TRUE(found.large_there);
    EXPECT_EQ(found.uncut_there, kLargest);
}

TEST(PathProbe, AnAnswerThatComesTooLateOpensNoWay) {
    const auto found = probe({.takes = 5s});
    EXPECT_EQ(found, PathFound{.asked = 5}) << "else the way would be called open, and too narrow for anything";
}

TEST(PathProbe, AnswersOfOthersAreNone) {
    ProbeTime now{1h};
    PathProbe probe(77, kSelf, kPeer, kLargest, now);
    const auto question = probe.due(now).at(0).probe;
    for (const auto& change : std::vector<std::function<void(Probe&)>>{
             [](Probe& p) { p.run = 78; }, [](Probe& p) { p.from = base::NodeIndex{3}; },
             [](Probe& p) { p.number = 999; }, [](Probe& p) { p.answer = false; }}) {
        auto answer = question;
        answer.answer = true;
        answer.from = kPeer;
        change(answer);
        probe.take({.probe = answer, .size = kSmallestProbe}, now);
    }
    EXPECT_EQ(probe.found().answered, 0U);
}

}  // namespace
}  // namespace warren::probe
