#include "agent/wanted.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::agent {
namespace {

using base::UdpPort;
using testing::ElementsAre;
using testing::IsEmpty;

NetworkView with(const std::map<std::uint32_t, std::uint16_t>& encaps, std::uint32_t active) {
    NetworkView view;
    view.encrypted = true;
    view.active = base::Epoch{active};
    for (const auto& [number, encap] : encaps) {
        auto& epoch = view.epochs[base::Epoch{number}];
        epoch.held.number = base::Epoch{number};
        epoch.held.parameters.encap = UdpPort{encap};
    }
    return view;
}

TEST(Wanted, APortOfAnEpochThatIsOverHoldsNothingUp) {
    EXPECT_THAT(needed_encap_ports(with({{1, 0}, {2, 4500}}, 1)), ElementsAre(UdpPort{4500})) << "being installed";
    EXPECT_THAT(needed_encap_ports(with({{1, 0}, {2, 4500}}, 2)), ElementsAre(UdpPort{4500}));
    const auto over = with({{1, 0}, {2, 4500}, {3, 7443}}, 3);
    EXPECT_THAT(needed_encap_ports(over), ElementsAre(UdpPort{7443}));
    EXPECT_THAT(encap_ports(over), ElementsAre(UdpPort{4500}, UdpPort{7443})) << "as long as it can be had";
    EXPECT_THAT(needed_encap_ports(with({{2, 4500}, {3, 0}}, 3)), IsEmpty());
}

TEST(Wanted, WhatPacketsAreWrappedInIsTheActiveEpochs) {
    EXPECT_EQ(protection(with({{1, 0}, {2, 4500}}, 1)), overlay::Protection::kEsp);
    EXPECT_EQ(protection(with({{1, 0}, {2, 4500}}, 2)), overlay::Protection::kEspInUdp);
    EXPECT_EQ(protection(NetworkView()), overlay::Protection::kPlain);
}

}  // namespace
}  // namespace warren::agent
