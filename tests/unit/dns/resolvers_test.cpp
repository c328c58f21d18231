#include "dns/resolvers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace warren::dns {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Bytes = std::vector<std::uint8_t>;

constexpr auto kQuery = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03Web\x03org\x00\x00\x01\x00\x01"sv;
constexpr auto kReply =
    "\x56\x78\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03web\x03ORG\x00\x00\x01\x00\x01"
    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xcb\x00\x71\x07"sv;

Bytes bytes(std::string_view text) {
    return {text.begin(), text.end()};
}
std::vector<std::string> servers(std::string_view text) {
    std::vector<std::string> list;
    for (const auto& ip : parse_resolv_conf(text)) {
        list.push_back(ip.text());
    }
    return list;
}

TEST(ResolvConf, HasThreeServersAtMost) {
    EXPECT_THAT(servers("# comment\nsearch example.org\nnameserver 192.0.2.1\nnameserver\t2001:db8::1  \n"
                        "options ndots:0\nnameserver 127.0.0.53\r\nnameserver 192.0.2.4\n"),
                ElementsAre("192.0.2.1", "2001:db8::1", "127.0.0.53"));
    EXPECT_THAT(servers(""), IsEmpty());
    EXPECT_THAT(servers("nameserver\nnameserver \nnameserver192.0.2.1\n nameserver 192.0.2.1\nnameserver fe80::1%eth0\n"
                        "nameserver dns.example.org\nNAMESERVER 192.0.2.1\n"),
                IsEmpty());
}

TEST(Forwarding, TakesWhatAResolverIsAsked) {
    EXPECT_TRUE(is_to_be_forwarded(*parse_query(bytes(kQuery))));
    const auto with = [](std::size_t at, std::uint8_t value) {
        auto message = bytes(kQuery);
        message[at] = value;
        return is_to_be_forwarded(*parse_query(message));
    };
    EXPECT_FALSE(with(2, 0x00)) << "asks for this server's own words";
    EXPECT_FALSE(with(2, 0x29)) << "a notification";
    EXPECT_FALSE(with(kQuery.size() - 1, 3)) << "of class CH";
    EXPECT_FALSE(with(kQuery.size() - 3, 252)) << "a transfer";
    EXPECT_FALSE(with(kQuery.size() - 3, 251)) << "a transfer";
    EXPECT_FALSE(with(5, 2)) << "malformed";
}

TEST(Forwarding, AReplyIsToTheQuestionUnderItsNumber) {
    const auto query = *parse_query(bytes(kQuery));
    EXPECT_TRUE(is_reply(bytes(kReply), query, 0x5678));
    EXPECT_FALSE(is_reply(bytes(kReply), query, 0x5679));
    for (std::size_t at : {2U, 5U, 13U, 17U, 22U, 24U}) {
        auto other = bytes(kReply);
        other[at] = 0;
        EXPECT_FALSE(is_reply(other, query, 0x5678)) << at;
    }
    for (std::size_t size = 0; size < kQuery.size(); ++size) {
        EXPECT_FALSE(is_reply(bytes(kReply.substr(0, size)), query, 0x5678)) << size;
    }
    EXPECT_EQ(with_id(bytes(kReply), 0x1234), bytes("\x12\x34"s + std::string(kReply.substr(2))));
}

}  // namespace
}  // namespace warren::dns
