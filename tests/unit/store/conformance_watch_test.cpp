#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <thread>

#include "tests/unit/store/conformance.h"

namespace warren::store {
namespace {

using base::Code;

TEST_P(Conformance, WatchGoesFromHistoryToLiveWithoutAGap) {
    const StoreRevision first = put(store(), "w/a", "1");
    put(store(), "other", "x");
    must(store().commit({.puts = {{"w/a", "2"}, {"w/b", "3"}}}));
    erase(store(), "w/a");
    Reader reader(store(), "w/", first);
    put(store(), "w/c", "4");
    put(store(), "other", "y");
    must(store().commit({.delete_prefixes = {"w/b"}}));
    put(store(), "w/end", "");
    EXPECT_EQ(shown(reader.until("w/end")), "+w/a=1 | +w/a=2 +w/b=3 | -w/a | +w/c=4 | -w/b | +w/end=");
    EXPECT_EQ(shown(must(reader.watch().drain())), "");
}

TEST_P(Conformance, WatchBeginsAtTheRevisionAskedFor) {
    put(store(), "k", "1");
    const StoreRevision second = put(store(), "k", "2");
    put(store(), "k", "3");
    Reader from_second(store(), "", second);
    Reader from_now(store(), "", {});
    Reader from_later(store(), "", StoreRevision(must(store().revision()).value + 2));
    EXPECT_EQ(shown(must(from_later.watch().drain())), "");
    put(store(), "k", "4");
    EXPECT_EQ(shown(must(from_later.watch().drain())), "");
    put(store(), "end", "");
    EXPECT_EQ(shown(from_second.until("end")), "+k=2 | +k=3 | +k=4 | +end=");
    EXPECT_EQ(shown(from_now.until("end")), "+k=4 | +end=");
    EXPECT_EQ(shown(from_later.until("end")), "+end=");
}

TEST_P(Conformance, EventsCarryTheWholeItem) {
    const LeaseId lease = must(store().grant(std::chrono::hours(1)));
    const StoreRevision made = put(store(), "k", "1");
    put(store(), "k", "2", lease);
    const KeyValue item = must(store().get("k")).value();
    const StoreRevision gone = erase(store(), "k");
    put(store(), "end", "");
    const std::vector<Event> events = Reader(store(), "", made).until("end");
    ASSERT_EQ(events.size(), 4U);
    EXPECT_EQ(events[1], (Event{.kind = EventKind::kPut, .item = item}));
    EXPECT_EQ(events[2], (Event{.kind = EventKind::kDelete, .item = {.key = "k", .mod_revision = gone}}));
}

TEST_P(Conformance, HistoryOutlivesARestart) {
    const StoreRevision first = put(store(), "k", "1");
    erase(store(), "k");
    backend().restart();
    put(store(), "end", "");
    EXPECT_EQ(shown(Reader(store(), "", first).until("end")), "+k=1 | -k | +end=");
}

TEST_P(Conformance, RangeThenWatchMissesNothing) {
    put(store(), "k", "1");
    const RangeResult snapshot = must(store().range(""));
    put(store(), "k", "2");
    put(store(), "end", "");
    EXPECT_EQ(shown(Reader(store(), "", StoreRevision(snapshot.revision.value + 1)).until("end")), "+k=2 | +end=");
}

TEST_P(Conformance, CompactedRevisionIsAnErrorOfItsOwn) {
    const StoreRevision first = put(store(), "k", "1");
    put(store(), "k", "2");
    const StoreRevision third = put(store(), "k", "3");
    auto slow = must(store().watch("", first));
    must(store().compact(third));

    EXPECT_EQ(store().watch("", first).error().code(), kCompacted);
    EXPECT_EQ(slow->drain().error().code(), kCompacted);
    put(store(), "end", "");
    EXPECT_EQ(slow->drain().error().code(), kCompacted) << "a watch with a gap must not go on";
    EXPECT_EQ(shown(Reader(store(), "", third).until("end")), "+k=3 | +end=");
    EXPECT_EQ(must(store().get("k"))->value, "3");
    slow.reset();
    backend().restart();
    EXPECT_EQ(store().watch("", first).error().code(), kCompacted);
}

TEST_P(Conformance, CompactionDoesNotDisturbAWatchThatKeepsUp) {
    Reader reader(store(), "", {});
    put(store(), "k", "1");
    const StoreRevision last = put(store(), "mark", "");
    reader.until("mark");
    must(store().compact(last));
    must(store().compact(last)) /* again is no error */;
    put(store(), "end", "");
    EXPECT_EQ(shown(reader.until("end")), "+end=");
}

TEST_P(Conformance, CompactionIntoTheFutureIsRefused) {
    const StoreRevision first = put(store(), "k", "1");
    const StoreRevision future(must(store().revision()).value + 1);
    EXPECT_EQ(store().compact(future).error().code(), Code::kInvalid);
    EXPECT_TRUE(store().watch("", first));
}

TEST_P(Conformance, WatchWakesAgainAfterEachDrain) {
    Reader reader(store(), "w/", {});
    for (int round = 0; round < 3; ++round) {
        const std::string key = "w/" + std::to_string(round);
        put(store(), key, "");
        EXPECT_EQ(reader.until(key).size(), 1U);
    }
}

TEST_P(Conformance, WatchThatIsGoneIsNotWoken) {
    std::atomic<int> wakes = 0;
    {
        const auto watch = must(store().watch("", {}));
        watch->on_ready([&] { ++wakes; });
        EXPECT_GE(wakes, 1) << "what came before the registration must not wait for the next change";
        must(watch->drain());
    }
    const int before = wakes;
    Reader other(store(), "", {});
    put(store(), "end", "");
    other.until("end");
    EXPECT_EQ(wakes, before);
}

TEST_P(Conformance, WatchReplaysWhatManyWritersDid) {
    Reader reader(store(), "", {});
    std::vector<std::thread> writers;
    writers.reserve(4);
    for (int writer = 0; writer < 4; ++writer) {
        writers.emplace_back([this, writer] {
            for (int i = 0; i < 25; ++i) {
                const std::string key = "k" + std::to_string((writer + i) % 5);
                i % 3 == 2 ? erase(store(), key) : put(store(), key, std::to_string(writer) + "." + std::to_string(i));
            }
        });
    }
    for (std::thread& writer : writers) {
        writer.join();
    }
    put(store(), "end", "");
    std::map<std::string, KeyValue> replayed;
    StoreRevision last;
    for (const Event& event : reader.until("end")) {
        EXPECT_GT(event.revision(), last);
        last = event.revision();
        if (event.kind == EventKind::kPut) {
            replayed[event.item.key] = event.item;
        } else {
            EXPECT_EQ(replayed.erase(event.item.key), 1U);
        }
    }
    std::vector<KeyValue> items;
    items.reserve(replayed.size());
    for (const auto& [key, item] : replayed) {
        items.push_back(item);
    }
    EXPECT_EQ(items, must(store().range("")).items);
    EXPECT_EQ(last, must(store().revision()));
}

}  // namespace
}  // namespace warren::store
