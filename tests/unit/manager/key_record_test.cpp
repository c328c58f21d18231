#include "manager/key_record.h"

#include <gtest/gtest.h>

namespace warren::manager {
namespace {

// Every field away from its default, so that one that is forgotten shows.
keymgr::KeyState full_state() {
    const auto time = [](int seconds) { return base::Time(std::chrono::seconds(seconds)); };
    keymgr::KeyState state;
    state.next_epoch = base::Epoch{8};
    state.active = base::Epoch{7};
    state.epochs = {
        {.number = base::Epoch{7},
         .slot = base::EpochSlot{3},
         .parameters = {.cipher = keymgr::Cipher::kChaCha20Poly1305, .replay_window = 64, .encap = base::UdpPort{4501}},
         .stage = keymgr::Stage::kKept,
         .since = base::Revision{11},
         .activated = base::Revision{12},
         .superseded = base::Revision{13},
         .retired = base::Revision{14},
         .created = time(1),
         .entered = time(2),
         .superseded_time = time(3),
         .moved = time(4),
         .kept_for = {base::MembershipId{21}, base::MembershipId{22}},
         .reasons = {keymgr::Reason::kLimit, keymgr::Reason::kCommand}}};
    state.floor = base::Revision{15};
    state.laggards = {{.member = base::MembershipId{23}, .acked = base::Revision{16}, .caught_up = base::Revision{17}}};
    state.laggards_told = time(5);
    state.pending = {.reasons = {keymgr::Reason::kSaLost}, .not_before = time(6)};
    state.due = time(7);
    state.last_limited = time(8);
    state.revoked_below = base::Epoch{5};
    state.purged_through = base::Epoch{6};
    state.purged_at = base::Revision{18};
    return state;
}

TEST(KeyRecord, IsTheStateAgain) {
    EXPECT_EQ(read_keys(write_keys(full_state(), {})), full_state());
    EXPECT_EQ(read_keys(write_keys({}, {})), keymgr::KeyState());
}

TEST(KeyRecord, SealedSecretsStayWithTheirEpochAndGoWithIt) {
    auto record = write_keys(full_state(), {});
    find_epoch(record, base::Epoch{7})->set_sealed_secret("sealed");
    EXPECT_EQ(find_epoch(write_keys(full_state(), record), base::Epoch{7})->sealed_secret(), "sealed");
    keymgr::KeyState later;
    later.epochs = {{.number = base::Epoch{8}}};
    const auto next = write_keys(later, record);
    EXPECT_EQ(find_epoch(next, base::Epoch{7}), nullptr);
    EXPECT_EQ(find_epoch(next, base::Epoch{8})->sealed_secret(), "");
}

}  // namespace
}  // namespace warren::manager
