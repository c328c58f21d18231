#include "manager/source_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::manager {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

const base::Time kNow{std::chrono::hours(500'000)};
const SourceLimits kLimits{.rate = {.burst = 4, .refill = 1s}, .sources = 8};

int admitted(SourceLimit& limit, const std::string& peer, base::Time now, int calls = 20) {
    int count = 0;
    for (int i = 0; i < calls; ++i) {
        count += limit.take(peer, now) ? 1 : 0;
    }
    return count;
}

TEST(SourceLimit, ReadsWhatGrpcCallsAPeer) {
    const auto text = [](std::string_view peer) {
        const auto address = address_of_peer(peer);
        return address ? address->text() : "";
    };
    EXPECT_EQ(text("ipv4:192.0.2.1:4711"), "192.0.2.1");
    EXPECT_EQ(text("ipv6:%5B2001:db8::1%5D:4711"), "2001:db8::1");
    EXPECT_EQ(text("ipv6:[2001:db8::1]:4711"), "2001:db8::1");
    EXPECT_EQ(text("ipv6:%5Bfe80::1%25eth0%5D:4711"), "fe80::1");
    EXPECT_EQ(text("ipv6:%5B::ffff:192.0.2.1%5D:4711"), "192.0.2.1");
    for (const auto* strange : {"", "ipv4:", "ipv6:", "ipv4:banana:1", "ipv6:%5B", "unix:/run/x", "unknown"}) {
        EXPECT_EQ(text(strange), "") << strange;
    }
}

TEST(SourceLimit, HoldsForEachAddressByItselfWhateverThePort) {
    SourceLimit limit(kLimits);
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.1:1000", kNow), 4);
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.1:2000", kNow), 0);
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.2:1000", kNow), 4) << "another one is not to suffer";
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.1:1000", kNow + 2s), 2);
    const auto refused = limit.take("ipv4:192.0.2.1:1000", kNow + 2s);
    EXPECT_EQ(refused.error().code(), base::Code::kExhausted);
    EXPECT_THAT(refused.error().message(), HasSubstr("from 192.0.2.1: try again in 1 s"));
}

TEST(SourceLimit, TakesAnIpv6NetworkForOneHost) {
    SourceLimit limit(kLimits);
    EXPECT_EQ(admitted(limit, "ipv6:%5B2001:db8:0:1::1%5D:1000", kNow), 4);
    EXPECT_EQ(admitted(limit, "ipv6:%5B2001:db8:0:1:ffff::2%5D:1000", kNow), 0);
    EXPECT_EQ(admitted(limit, "ipv6:%5B2001:db8:0:2::1%5D:1000", kNow), 4);
    EXPECT_EQ(admitted(limit, "ipv6:%5B::ffff:192.0.2.1%5D:1000", kNow), 4);
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.1:1000", kNow), 0) << "the same host";
}

TEST(SourceLimit, RemembersNoMoreThanItMay) {
    SourceLimit limit(kLimits);
    ASSERT_EQ(admitted(limit, "ipv4:192.0.2.1:1", kNow, 1), 1);
    int flood = 0;
    for (int i = 0; i < 250; ++i) {
        flood += admitted(limit, fmt::format("ipv4:10.0.0.{}:1", i), kNow, 1);
    }
    EXPECT_EQ(limit.remembered(), 8U);
    EXPECT_EQ(flood, 7 + 4) << "all strangers beyond that share one bucket";
    EXPECT_EQ(admitted(limit, "ipv4:192.0.2.1:1", kNow), 3) << "who is known keeps its own";
    EXPECT_EQ(admitted(limit, "ipv4:10.1.0.1:1", kNow + 1min, 1), 1);
    EXPECT_EQ(limit.remembered(), 1U) << "full buckets are as good as none";
}

}  // namespace
}  // namespace warren::manager
