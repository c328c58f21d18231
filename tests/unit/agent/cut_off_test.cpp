#include "agent/cut_off.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::agent {
namespace {

using base::Epoch;
using base::MembershipId;
using base::Revision;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

base::NodeId node(std::uint8_t number) {
    base::NodeId id;
    id.bytes.back() = number;
    return id;
}

MemberView member(std::uint8_t number, std::uint64_t since) {
    return {.index = base::NodeIndex{number},
            .vtep = base::IpAddress::v4(0x0a000000U + number),
            .membership = MembershipId{number},
            .since = Revision{since}};
}

void add_epoch(NetworkView& view, std::uint32_t number, std::uint64_t since, std::uint64_t superseded = 0) {
    view.epochs.emplace(Epoch{number},
                        EpochView{.held = {.number = Epoch{number},
                                           .slot = base::EpochSlot{static_cast<std::uint8_t>(number % 4)},
                                           .since = Revision{since},
                                           .superseded = Revision{superseded}},
                                  .secret = {}});
}

// Nodes 1, 2 and 3 joined at 1 to 3; epoch 2 came at 10 and was activated at 11, when node 3 had acknowledged 5 only.
NetworkView rotated() {
    NetworkView view;
    view.encrypted = true;
    view.revision = Revision{12};
    for (const std::uint8_t number : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
        view.members[node(number)] = member(number, number);
    }
    add_epoch(view, 2, 10);
    view.active = Epoch{2};
    view.acks.apply({.floor = Revision{10}, .acks = {{.member = MembershipId{3}, .acked = Revision{5}}}});
    return view;
}

TEST(CutOffPeers, NamesWhoMissedTheRotationOnceItsEpochIsRetired) {
    EXPECT_THAT(cut_off_peers(rotated(), node(1)), ElementsAre(HasSubstr("at 10.0.0.3 is cut off")));
}

TEST(CutOffPeers, NamesNobodyWhileTheOldEpochIsKept) {
    auto view = rotated();
    add_epoch(view, 1, 1, 11);
    EXPECT_THAT(cut_off_peers(view, node(1)), IsEmpty());
}

TEST(CutOffPeers, NamesNoNewcomerAndNobodyWhoHasCaughtUp) {
    auto view = rotated();
    view.members[node(4)] = member(4, 12);
    view.acks.apply({.floor = {}, .acks = {{.member = MembershipId{3}, .acked = Revision{12}}}});
    EXPECT_THAT(cut_off_peers(view, node(1)), IsEmpty());
}

TEST(CutOffPeers, NamesNobodyInAPlainNetwork) {
    EXPECT_THAT(cut_off_peers(NetworkView{}, node(1)), IsEmpty());
}

}  // namespace
}  // namespace warren::agent
