#include "overlay/barrier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace warren::overlay {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const ProtectedPorts kTwo{{.reqid = 0x57000001, .port = base::UdpPort(10001)},
                          {.reqid = 0x57000002, .port = base::UdpPort(10002)}};

TEST(BarrierRuleset, ReplacesTheTableInOneText) {
    const std::string text = barrier_ruleset(kTwo, {.sent_clear = 7});
    EXPECT_THAT(text, StartsWith("add table inet warren\ndelete table inet warren\ntable inet warren {"));
    EXPECT_THAT(text, HasSubstr("elements = { 10001, 10002 }"));
    EXPECT_THAT(text, HasSubstr("elements = { 1459617793 . 10001, 1459617794 . 10002 }"));
    EXPECT_THAT(text, HasSubstr("counter sent_clear { packets 7 bytes 0 }"));
    EXPECT_THAT(text, HasSubstr("counter received_clear { packets 0 bytes 0 }"));
}

TEST(BarrierRuleset, NamesNoOtherTable) {
    for (const std::string& text : {barrier_ruleset(kTwo, {}), barrier_elements(kTwo), barrier_removal()}) {
        EXPECT_THAT(text, Not(HasSubstr("flush ruleset")));
        for (auto at = text.find("table "); at != std::string::npos; at = text.find("table ", at + 1)) {
            EXPECT_EQ(text.compare(at, 17, "table inet warren"), 0) << text.substr(at, 40);
        }
    }
}

TEST(BarrierElements, ChangesOnlyTheSets) {
    EXPECT_EQ(barrier_elements(kTwo),
              "flush set inet warren pairs\n"
              "flush set inet warren encrypted_ports\nadd element inet warren encrypted_ports { 10001, 10002 }\n"
              "flush set inet warren quoted_ports_ip\nadd element inet warren quoted_ports_ip { 10001, 10002 }\n"
              "flush set inet warren quoted_ports_ip6\nadd element inet warren quoted_ports_ip6 { 10001, 10002 }\n"
              "add element inet warren pairs { 1459617793 . 10001, 1459617794 . 10002 }\n");
}

TEST(ParseDropCounters, ReadsWhatNftPrints) {
    // Printed by nft 1.0.6.
    constexpr std::string_view kListing = R"(table inet warren {
	counter sent_clear {
		packets 3 bytes 252
	}
	counter received_clear {
		packets 18446744073709551615 bytes 1
	}
	counter forwarded {
		packets 0 bytes 0
	}
}
)";
    EXPECT_EQ(parse_drop_counters(kListing),
              (DropCounters{.sent_clear = 3, .received_clear = UINT64_MAX, .forwarded = 0}));
    EXPECT_EQ(parse_drop_counters(""), std::nullopt);
    EXPECT_EQ(parse_drop_counters(kListing.substr(0, 120)), std::nullopt);
    EXPECT_EQ(parse_drop_counters("counter sent_clear { } counter received_clear { packets x }"), std::nullopt);
}

}  // namespace
}  // namespace warren::overlay
