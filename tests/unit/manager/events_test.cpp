#include "manager/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/files.h"
#include "manager/cluster.h"
#include "manager/event_feed.h"
#include "store/transaction.h"

namespace warren::manager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

const base::Time kStart{std::chrono::hours(500'000)};

// A cache whose transactions always succeed.
class EventsTest : public testing::Test {
  protected:
    void write(const std::vector<Event>& events) {
        store::Transaction change;
        for (const auto& event : events) {
            tell(cluster_, change, event, now_);
        }
        ASSERT_TRUE(store::check_transaction(change)) << store::check_transaction(change).error().message();
        for (const auto& gone : change.deletes) {
            cluster_.erase(gone);
        }
        for (const auto& put : change.puts) {
            ASSERT_TRUE(cluster_.put(put.key, put.value, store::StoreRevision{1}));
        }
    }
    void write(EventKind kind, const std::string& text) { write({{.kind = kind, .text = text}}); }

    std::vector<std::string> texts() const {
        std::vector<std::string> all;
        for (const auto& [sequence, record] : cluster_.events().records()) {
            all.push_back(record.text());
        }
        return all;
    }

    base::Result<EventWatchId> open(const v1::EventsRequest& request) {
        return feed_.open(
            request, [this](const auto& reply) { replies_.push_back(reply); }, now_);
    }
    static std::vector<std::string> texts(const v1::EventsReply& reply) {
        std::vector<std::string> all;
        for (const auto& event : reply.events()) {
            all.push_back(event.text());
        }
        return all;
    }

    Cluster cluster_;
    EventFeed feed_{cluster_};
    base::Time now_ = kStart;
    std::vector<v1::EventsReply> replies_;
};

TEST_F(EventsTest, EveryKindIsInTheDocuments) {
    const auto docs = base::read_file(WARREN_SOURCE_DIR "/docs/cli.md").value();
    for (const auto& [kind, name] : kEventKinds) {
        EXPECT_NE(docs.find(fmt::format("| `{}` |", name)), std::string::npos) << name;
    }
}

TEST_F(EventsTest, TheOldestGoesWhenThereIsNoRoom) {
    for (std::size_t i = 0; i < kEventsKept + 3; ++i) {
        write(EventKind::kNodeJoined, fmt::format("{}", i));
    }
    EXPECT_EQ(texts().size(), kEventsKept);
    EXPECT_EQ(texts().front(), "3");
    EXPECT_EQ(cluster_.events().last(), kEventsKept + 3);
}

TEST_F(EventsTest, SeveralInOneTransactionKeepTheBound) {
    for (std::size_t i = 0; i < kEventsKept; ++i) {
        write(EventKind::kNodeJoined, "old");
    }
    write({{.kind = EventKind::kEpochActive, .text = "a"},
           {.kind = EventKind::kStraggler, .text = "b"},
           {.kind = EventKind::kCutOff, .text = "c"}});
    EXPECT_EQ(texts().size(), kEventsKept);
    EXPECT_EQ(texts().back(), "c");
    EXPECT_EQ(cluster_.events().last(), kEventsKept + 3);
}

// Whoever can knock at the door must not be able to erase what the log says.
TEST_F(EventsTest, RefusalsPushNothingElseOut) {
    write(EventKind::kCutOff, "what happened");
    for (std::size_t i = 0; i < 3 * kEventsKept; ++i) {
        write(EventKind::kRefused, "knock");
    }
    EXPECT_EQ(texts().size(), 1 + kRefusalsKept);
    EXPECT_EQ(texts().front(), "what happened");
}

// The store takes nothing that is not UTF-8, and a line is a line.
TEST_F(EventsTest, TextFromOutsideIsMadeALine) {
    write(EventKind::kRefused, "a\nb\xff" + std::string(1000, 'x'));
    EXPECT_EQ(texts().front().substr(0, 6), "a?b?xx");
    EXPECT_LT(texts().front().size(), 500U);
}

TEST(RefusalLimit, FewAreWrittenAndAllAreCounted) {
    RefusalLimit limit;
    std::vector<std::string> told;
    for (int i = 0; i < 1000; ++i) {
        if (const auto event = limit.refused("198.51.100.7", "no certificate", kStart + i * 10ms)) {
            told.push_back(event->text);
        }
    }
    EXPECT_LE(told.size(), 6U);
    const auto rest = limit.due(kStart + 1min);
    ASSERT_TRUE(rest);
    EXPECT_THAT(rest->text, HasSubstr(fmt::format("{} more requests", 1000 - told.size())));
    EXPECT_FALSE(limit.due(kStart + 2min)) << "told once";
}

// A clock that goes back must not silence the log until it has caught up.
TEST(RefusalLimit, SurvivesAClockThatGoesBack) {
    RefusalLimit limit;
    for (int i = 0; i < 20; ++i) {
        (void)limit.refused("x", "y", kStart);
    }
    (void)limit.refused("x", "y", kStart - 24h);
    EXPECT_TRUE(limit.refused("x", "y", kStart - 24h + 10s));
}

TEST_F(EventsTest, WithoutFollowAllIsToldOnce) {
    write(EventKind::kNodeJoined, "a");
    write(EventKind::kNodeJoined, "b");
    ASSERT_TRUE(open({}));
    ASSERT_EQ(replies_.size(), 1U);
    EXPECT_THAT(texts(replies_[0]), ElementsAre("a", "b"));
    EXPECT_EQ(replies_[0].events(1).sequence(), 2U);
    write(EventKind::kNodeJoined, "c");
    feed_.run();
    EXPECT_EQ(replies_.size(), 1U);
}

TEST_F(EventsTest, FollowTellsWhatComesAndTheTimeChoosesThePast) {
    write(EventKind::kNodeJoined, "old");
    now_ += 1h;
    write(EventKind::kNodeJoined, "recent");
    v1::EventsRequest request;
    request.set_follow(true);
    const auto only_new = open(request).value();
    EXPECT_EQ(replies_.at(0).events_size(), 0);
    request.set_since("10m");
    ASSERT_TRUE(open(request));
    EXPECT_THAT(texts(replies_.at(1)), ElementsAre("recent"));
    feed_.close(only_new);
    write(EventKind::kNodeJoined, "new");
    feed_.run();
    feed_.run();
    ASSERT_EQ(replies_.size(), 3U) << "one follower is left, and hears it once";
    EXPECT_THAT(texts(replies_[2]), ElementsAre("new"));
    request.set_since("soon");
    EXPECT_THAT(open(request).error().message(), HasSubstr("--since 'soon'"));
}

TEST_F(EventsTest, AFollowerGoesOnWhereItWas) {
    for (const auto* text : {"1", "2", "3"}) {
        write(EventKind::kNodeJoined, text);
    }
    v1::EventsRequest request;
    request.set_follow(true);
    request.set_after(2);
    ASSERT_TRUE(open(request));
    EXPECT_THAT(texts(replies_.at(0)), ElementsAre("3"));
    EXPECT_EQ(replies_[0].dropped(), 0U);
    EXPECT_EQ(replies_[0].last(), 3U);
    request.set_after(0);
    ASSERT_TRUE(open(request));
    EXPECT_THAT(texts(replies_.at(1)), ElementsAre("1", "2", "3"));
    request.set_after(4);
    EXPECT_THAT(open(request).error().message(), HasSubstr("the log ends with 3"));
}

TEST_F(EventsTest, WhatWasDroppedMeanwhileIsCounted) {
    for (std::size_t i = 0; i < kEventsKept + 7; ++i) {
        write(EventKind::kNodeJoined, "x");
    }
    v1::EventsRequest request;
    request.set_follow(true);
    request.set_after(2);
    ASSERT_TRUE(open(request));
    EXPECT_EQ(replies_.at(0).dropped(), 5U);
    EXPECT_EQ(static_cast<std::size_t>(replies_[0].events_size()), kEventsKept);
}

}  // namespace
}  // namespace warren::manager
