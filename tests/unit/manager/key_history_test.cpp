#include "manager/key_history.h"

#include <gtest/gtest.h>

#include "tests/unit/keymgr/bench.h"

namespace warren::manager {
namespace {

using keymgr::Reason;
using std::chrono::seconds;

// A network's rotations, and their history as a manager writes it: with each step.
struct Chronicle : keymgr::Bench {
    v1::KeyHistoryRecord record;

    Chronicle() { note(); }

    void note(const std::string& by = {}) {
        note_step(record, state,
                  {.members = members.size(),
                   .events = std::exchange(events, {}),
                   .name_of = [](base::MembershipId id) { return fmt::format("m{}", id); },
                   .by = by},
                  now);
    }
    void ask_by(Reason reason, const std::string& by, base::Epoch about = {}) {
        auto asked = keymgr::request(state, reason, settings, now, about);
        state = asked.state;
        note_request(record, asked.target, reason, by, now);
        step();
        note();
    }
    void everybody() {
        for (auto& one : members) {
            one.acked = one.connected ? revision : one.acked;
        }
        step();
        note();
    }
    [[nodiscard]] v1::Rotation last() const {
        const auto reply = present_history(record);
        return reply.rotations(reply.rotations_size() - 1);
    }
    [[nodiscard]] std::string causes() const {
        std::string text;
        const auto rotation = last();
        for (const auto& cause : rotation.causes()) {
            text += fmt::format("{} by '{}'; ", cause.reason(), cause.by());
        }
        return text;
    }
};

std::int64_t ms(base::Time time) {
    return time.time_since_epoch().count();
}

TEST(KeyHistory, TheFirstEpochIsDoneFromTheStart) {
    const Chronicle net;
    EXPECT_EQ(net.last().epoch(), 1U);
    EXPECT_EQ(net.last().outcome(), "done");
    EXPECT_EQ(net.causes(), "created by ''; ");
}

TEST(KeyHistory, TellsWhoAskedAndWhenEachStepWasDone) {
    Chronicle net;
    net.join();
    net.join();
    const auto start = net.now;
    net.ask_by(Reason::kCommand, "uid 0");
    EXPECT_EQ(net.causes(), "command by 'uid 0'; ");
    EXPECT_EQ(net.last().outcome(), "installing");
    net.now += seconds(1);
    net.everybody();
    EXPECT_EQ(net.last().outcome(), "activating");
    EXPECT_EQ(net.last().members(), 2U);
    net.now += seconds(2);
    net.everybody();
    EXPECT_EQ(net.last().outcome(), "retiring");
    net.now += net.settings.grace;
    net.everybody();
    const auto rotation = net.last();
    EXPECT_EQ(rotation.outcome(), "done");
    EXPECT_EQ(rotation.asked_unix_ms(), ms(start));
    EXPECT_EQ(rotation.made_unix_ms(), ms(start));
    EXPECT_EQ(rotation.activated_unix_ms(), ms(start + seconds(1)));
    EXPECT_EQ(rotation.moved_unix_ms(), ms(start + seconds(3)));
    EXPECT_EQ(rotation.retired_unix_ms(), ms(start + seconds(3) + net.settings.grace));
}

TEST(KeyHistory, ARequestThatWaitsBelongsToTheNextEpoch) {
    Chronicle net;
    net.join();
    net.ask_by(Reason::kCommand, "uid 0");
    net.ask_by(Reason::kMemberLeft, "h2");
    net.ask_by(Reason::kCommand, "uid 7");
    EXPECT_EQ(net.causes(), "command by 'uid 0'; ");
    net.now += seconds(4);
    net.everybody();
    ASSERT_EQ(net.last().epoch(), 3U);
    EXPECT_EQ(net.causes(), "member-left by 'h2'; command by 'uid 7'; ");
    EXPECT_EQ(net.last().made_unix_ms() - net.last().asked_unix_ms(), 4000);
}

TEST(KeyHistory, AComplaintThatTheComingEpochServesIsACauseOfIt) {
    Chronicle net;
    net.join();
    net.ask_by(Reason::kCommand, "uid 0");
    net.ask_by(Reason::kSaLost, "h2", base::Epoch(1));
    EXPECT_EQ(net.last().epoch(), 2U);
    EXPECT_EQ(net.causes(), "command by 'uid 0'; sa-lost by 'h2'; ");
}

TEST(KeyHistory, AnAbortIsAnOutcomeAndWhatIsOwedBelongsToTheNext) {
    Chronicle net;
    net.join();
    net.ask_by(Reason::kMemberLeft, "h2");
    const auto aborted = keymgr::abort(net.state, net.settings, net.now, base::Revision(net.revision.value + 1));
    ASSERT_TRUE(aborted && net.take(*aborted));
    net.note("uid 0");
    EXPECT_EQ(net.last().outcome(), "aborted");
    EXPECT_EQ(net.last().aborted_by(), "uid 0");
    net.everybody();
    net.now += net.settings.rate_limit;
    net.everybody();
    ASSERT_EQ(net.last().epoch(), 3U);
    EXPECT_EQ(net.causes(), "member-left by 'h2'; ");
}

TEST(KeyHistory, NamesWhoWasLeftBehindAndWhoWasCutOff) {
    Chronicle net;
    net.join();
    const auto away = net.join();
    net.lose(away);
    net.ask_by(Reason::kSchedule, "");
    net.everybody();
    EXPECT_EQ(net.causes(), "schedule by ''; ");
    ASSERT_EQ(net.last().stragglers_size(), 1);
    EXPECT_EQ(net.last().stragglers(0), fmt::format("m{}", away));
    net.now += net.settings.straggler_limit;
    net.everybody();
    net.now += net.settings.grace;
    net.everybody();
    net.now += net.settings.straggler_limit;
    net.everybody();
    const auto reply = present_history(net.record);
    ASSERT_EQ(reply.rotations(0).cut_off_size(), 1);
    EXPECT_EQ(reply.rotations(0).cut_off(0), fmt::format("m{}", away));
}

TEST(KeyHistory, TrafficOnlyGrowsAndIsNotedPerEpoch) {
    Chronicle net;
    const auto sent = [](std::uint64_t packets) {
        return [packets](base::Epoch epoch) {
            return epoch == base::Epoch(1) ? std::optional(SentInEpoch{.packets = packets, .bytes = packets * 9})
                                           : std::nullopt;
        };
    };
    note_traffic(net.record, sent(70));
    note_traffic(net.record, sent(60));  // a member's daemon began anew
    EXPECT_EQ(net.last().packets_sent(), 70U);
    EXPECT_EQ(net.last().bytes_sent(), 630U);
}

TEST(KeyHistory, IsBounded) {
    Chronicle net;
    net.settings.rate_limit = {};
    for (int i = 0; i < 100; ++i) {
        for (int asker = 0; asker < 20; ++asker) {
            note_request(net.record, net.state.next_epoch, Reason::kCommand,
                         std::string(500, static_cast<char>('a' + asker)), net.now);
        }
        net.ask_by(Reason::kCommand, "last");
        net.settle();
        net.note();
    }
    EXPECT_EQ(net.record.rotations_size(), kRemembered);
    EXPECT_EQ(net.last().epoch(), 101U);
    EXPECT_LT(net.record.ByteSizeLong(), 64U * 1024U);
}

}  // namespace
}  // namespace warren::manager
