#include "manager/key_record.h"

#include <algorithm>

#include "manager/records.h"

namespace warren::manager {

namespace {

template <typename Out, typename In>
std::vector<Out> numbers(const In& in) {
    std::vector<Out> out;
    for (const auto number : in) {
        out.push_back(Out{number});
    }
    return out;
}

std::vector<keymgr::Reason> reasons(const google::protobuf::RepeatedField<std::uint32_t>& stored) {
    std::vector<keymgr::Reason> out;
    for (const auto reason : stored) {
        out.push_back(static_cast<keymgr::Reason>(reason));
    }
    return out;
}

keymgr::EpochState read_epoch(const v1::StoredEpoch& stored) {
    return {.number = base::Epoch{stored.number()},
            .slot = base::EpochSlot{static_cast<std::uint8_t>(stored.slot())},
            .parameters = {.cipher = static_cast<keymgr::Cipher>(stored.cipher()),
                           .replay_window = stored.replay_window(),
                           .encap = base::UdpPort{static_cast<std::uint16_t>(stored.encap_port())}},
            .stage = static_cast<keymgr::Stage>(stored.stage()),
            .since = base::Revision{stored.since()},
            .activated = base::Revision{stored.activated()},
            .superseded = base::Revision{stored.superseded()},
            .retired = base::Revision{stored.retired()},
            .created = time_of(stored.created()),
            .entered = time_of(stored.entered()),
            .superseded_time = time_of(stored.superseded_time()),
            .moved = stored.has_moved() ? std::optional(time_of(stored.moved())) : std::nullopt,
            .kept_for = numbers<base::MembershipId>(stored.kept_for()),
            .reasons = reasons(stored.reasons())};
}

v1::StoredEpoch write_epoch(const keymgr::EpochState& epoch) {
    v1::StoredEpoch stored;
    stored.set_number(epoch.number.value);
    stored.set_slot(epoch.slot.value);
    stored.set_cipher(static_cast<std::uint32_t>(epoch.parameters.cipher));
    stored.set_replay_window(epoch.parameters.replay_window);
    stored.set_encap_port(epoch.parameters.encap.value);
    stored.set_stage(static_cast<std::uint32_t>(epoch.stage));
    stored.set_since(epoch.since.value);
    stored.set_activated(epoch.activated.value);
    stored.set_superseded(epoch.superseded.value);
    stored.set_retired(epoch.retired.value);
    stored.set_created(unix_ms(epoch.created));
    stored.set_entered(unix_ms(epoch.entered));
    stored.set_superseded_time(unix_ms(epoch.superseded_time));
    if (epoch.moved) {
        stored.set_moved(unix_ms(*epoch.moved));
    }
    for (const auto member : epoch.kept_for) {
        stored.add_kept_for(member.value);
    }
    for (const auto reason : epoch.reasons) {
        stored.add_reasons(static_cast<std::uint32_t>(reason));
    }
    return stored;
}

}  // namespace

keymgr::KeyState read_keys(const v1::KeyStateRecord& record) {
    keymgr::KeyState state;
    state.next_epoch = base::Epoch{record.next_epoch()};
    state.active = base::Epoch{record.active()};
    for (const auto& stored : record.epochs()) {
        state.epochs.push_back(read_epoch(stored));
    }
    state.floor = base::Revision{record.floor()};
    for (const auto& stored : record.laggards()) {
        state.laggards.push_back({.member = base::MembershipId{stored.member()},
                                  .acked = base::Revision{stored.acked()},
                                  .caught_up = base::Revision{stored.caught_up()}});
    }
    state.laggards_told = time_of(record.laggards_told());
    if (record.has_pending()) {
        state.pending = {.reasons = reasons(record.pending().reasons()),
                         .not_before = time_of(record.pending().not_before())};
    }
    if (record.has_due()) {
        state.due = time_of(record.due());
    }
    if (record.has_last_limited()) {
        state.last_limited = time_of(record.last_limited());
    }
    state.revoked_below = base::Epoch{record.revoked_below()};
    state.purged_through = base::Epoch{record.purged_through()};
    state.purged_at = base::Revision{record.purged_at()};
    return state;
}

v1::KeyStateRecord write_keys(const keymgr::KeyState& state, const v1::KeyStateRecord& before) {
    v1::KeyStateRecord record;
    record.set_next_epoch(state.next_epoch.value);
    record.set_active(state.active.value);
    for (const auto& epoch : state.epochs) {
        auto& stored = *record.add_epochs();
        stored = write_epoch(epoch);
        if (const auto* old = find_epoch(before, epoch.number)) {
            stored.set_sealed_secret(old->sealed_secret());
        }
    }
    record.set_floor(state.floor.value);
    for (const auto& laggard : state.laggards) {
        auto& stored = *record.add_laggards();
        stored.set_member(laggard.member.value);
        stored.set_acked(laggard.acked.value);
        stored.set_caught_up(laggard.caught_up.value);
    }
    record.set_laggards_told(unix_ms(state.laggards_told));
    if (state.pending) {
        for (const auto reason : state.pending->reasons) {
            record.mutable_pending()->add_reasons(static_cast<std::uint32_t>(reason));
        }
        record.mutable_pending()->set_not_before(unix_ms(state.pending->not_before));
    }
    if (state.due) {
        record.set_due(unix_ms(*state.due));
    }
    if (state.last_limited) {
        record.set_last_limited(unix_ms(*state.last_limited));
    }
    record.set_revoked_below(state.revoked_below.value);
    record.set_purged_through(state.purged_through.value);
    record.set_purged_at(state.purged_at.value);
    return record;
}

const v1::StoredEpoch* find_epoch(const v1::KeyStateRecord& record, base::Epoch epoch) {
    const auto& epochs = record.epochs();
    const auto found =
        std::find_if(epochs.begin(), epochs.end(), [&](const auto& e) { return e.number() == epoch.value; });
    return found == epochs.end() ? nullptr : &*found;
}

v1::StoredEpoch* find_epoch(v1::KeyStateRecord& record, base::Epoch epoch) {
    auto& epochs = *record.mutable_epochs();
    const auto found =
        std::find_if(epochs.begin(), epochs.end(), [&](const auto& e) { return e.number() == epoch.value; });
    return found == epochs.end() ? nullptr : &*found;
}

}  // namespace warren::manager
