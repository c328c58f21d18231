#include "agent/key_counters.h"

#include <gtest/gtest.h>

#include <vector>

#include "proto/wire.h"

namespace warren::agent {
namespace {

using Sent = std::vector<xfrm::SentUnder>;

constexpr base::NetworkIndex kSeven{7};

base::NetworkId id_seven() {
    base::NetworkId id;
    id.bytes[0] = 7;
    return id;
}

xfrm::SentUnder sent(std::uint32_t epoch, std::uint64_t packets, base::NetworkIndex network = kSeven) {
    return {.network = network, .epoch = base::Epoch{epoch}, .packets = packets, .bytes = packets * 100};
}

std::string told(KeyCounters& counters) {
    std::string text;
    const auto message = counters.tell({{kSeven, id_seven()}});
    for (const auto& epoch : message.epochs()) {
        EXPECT_EQ(epoch.network_id(), proto::raw(id_seven()));
        EXPECT_EQ(epoch.bytes(), epoch.packets() * 100);
        EXPECT_EQ(epoch.most_bytes(), epoch.most_packets() * 100);
        text += fmt::format("{}: {}, most {}; ", epoch.epoch(), epoch.packets(), epoch.most_packets());
    }
    return text;
}

TEST(KeyCounters, AddUpTheSasOfAnEpoch) {
    KeyCounters counters;
    EXPECT_FALSE(counters.news());
    counters.see(Sent{sent(1, 5), sent(1, 9), sent(2, 1)});
    EXPECT_TRUE(counters.news());
    EXPECT_EQ(told(counters), "1: 14, most 9; 2: 1, most 1; ");
    EXPECT_FALSE(counters.news());
}

TEST(KeyCounters, KeepWhatClosedSasHadCountedAndCountItOnce) {
    KeyCounters counters;
    counters.see(Sent{sent(1, 5), sent(1, 9)});
    counters.add_closed(Sent{sent(1, 6), sent(1, 10)});
    EXPECT_TRUE(counters.news());
    EXPECT_EQ(told(counters), "1: 16, most 10; ");
    counters.see(Sent{sent(2, 3)});
    EXPECT_EQ(told(counters), "1: 16, most 10; 2: 3, most 3; ");
}

TEST(KeyCounters, ForgetOldEpochsAndFormerNetworks) {
    KeyCounters counters;
    counters.add_closed(Sent{sent(1, 5), sent(9, 5), sent(3, 5, base::NetworkIndex{8})});
    EXPECT_EQ(told(counters), "1: 5, most 5; 9: 5, most 5; ");
    counters.see(Sent{sent(10, 1)});
    EXPECT_EQ(told(counters), "9: 5, most 5; 10: 1, most 1; ");
    EXPECT_EQ(counters.tell({{base::NetworkIndex{8}, id_seven()}}).epochs_size(), 0);
}

}  // namespace
}  // namespace warren::agent
