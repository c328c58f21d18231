#include "netlink/message.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>

#include <string>

#include "netlink/attributes.h"
#include "scratch.h"

namespace warren::netlink {
namespace {

TEST(Message, IsLaidOutAsTheKernelReadsIt) {
    Message message(0x12, NLM_F_CREATE);
    message.header(std::uint32_t{0x04030201}).put(5, std::uint8_t{7}).put_string(6, "ab").put_be16(7, 0x1234);
    {
        const auto nest = message.nest(8);
        message.put_flag(9);
    }
    EXPECT_EQ(base::to_hex({reinterpret_cast<const std::uint8_t*>(message.bytes().data()), message.bytes().size()}),
              "34000000"
              "1200"
              "0104"
              "0000000000000000"
              "01020304"
              "0500050007000000"
              "0700060061620000"
              "0600070012340000"
              "08000880"
              "04000900");
}

TEST(Message, GrowsPastItsFirstBufferWithNestsOpen) {
    Message message(1);
    {
        const auto outer = message.nest(1);
        for (std::uint32_t i = 0; i < 1000; ++i) {
            const auto inner = message.nest(2);
            message.put(3, i);
        }
    }
    const auto attributes = must(Attributes::parse(message.bytes().subspan(sizeof(nlmsghdr))));
    std::uint32_t expected = 0;
    must(attributes.nested(1)).for_each([&](unsigned type, Bytes value) {
        EXPECT_EQ(type, 2U);
        std::uint32_t read = 0;
        EXPECT_TRUE(ok(must(Attributes::parse(value)).read(3, read)));
        EXPECT_EQ(read, expected++);
    });
    EXPECT_EQ(expected, 1000U);
    EXPECT_TRUE(ok(message.status()));
}

TEST(Message, RefusesAnAttributeThatItsLengthFieldCannotTell) {
    Message message(1);
    message.put_bytes(1, Datagram(65'536 - 4));
    EXPECT_FALSE(ok(message.status()));

    Message nested(1);
    {
        const auto nest = nested.nest(1);
        nested.put_bytes(2, Datagram(40'000)).put_bytes(3, Datagram(40'000));
    }
    EXPECT_FALSE(ok(nested.status()));
}

TEST(Message, AnInvalidOneIsNotSentAndItsNeighboursAre) {
    Scratch scratch;
    std::vector<Message> messages;
    messages.push_back(set_link("lo", {.mtu = base::Mtu(1400)}));
    messages.push_back(set_link("lo", {.alias = std::string(70'000, 'x')}));
    messages.push_back(set_link("lo", {.alias = "here"}));
    const auto results = scratch.route.transact(messages);
    EXPECT_TRUE(ok(results[0]));
    EXPECT_EQ(results[1].error().code(), base::Code::kInvalid);
    EXPECT_TRUE(ok(results[2]));
    EXPECT_EQ(scratch.link("lo").mtu, base::Mtu(1400));
    EXPECT_EQ(scratch.link("lo").alias, "here");
}

}  // namespace
}  // namespace warren::netlink
