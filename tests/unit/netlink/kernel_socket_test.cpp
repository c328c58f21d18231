#include "netlink/kernel_socket.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "netlink/address.h"
#include "netlink/neighbour.h"
#include "scratch.h"

namespace warren::netlink {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

base::IpAddress ip(std::uint32_t n) {
    return base::IpAddress::v4(0x0a000000U + n);
}

Neighbour neighbour(base::IfIndex link, std::uint32_t n) {
    return {.link = link,
            .ip = ip(n),
            .mac = {{2, 0, static_cast<std::uint8_t>(n >> 24U), static_cast<std::uint8_t>(n >> 16U),
                     static_cast<std::uint8_t>(n >> 8U), static_cast<std::uint8_t>(n)}}};
}

// How many neighbours that somebody set; the kernel adds multicast ones of its own.
std::size_t permanent(Socket& socket, base::IfIndex link) {
    const auto all = must(read_neighbours(socket, link));
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& n) { return n.permanent; }));
}

// A scratch namespace with a bridge that is up.
struct Bridged : Scratch {
    Bridged() {
        must(route.request(create_bridge({.name = "br0"}, {})));
        must(route.request(set_link("br0", {.up = true})));
    }
    base::IfIndex index() { return link("br0").index; }
};

TEST(Transact, GivesEachMessageItsOwnResult) {
    Bridged scratch;
    const auto bridge = scratch.index();
    std::vector<Message> messages;
    messages.push_back(put_neighbour(neighbour(bridge, 1)));
    messages.push_back(put_neighbour(neighbour(base::IfIndex(4'000'000), 2)));
    messages.push_back(delete_link("no-such-link"));
    messages.push_back(create_bridge({.name = "br0"}, {}));
    messages.push_back(put_neighbour(neighbour(bridge, 3)));
    messages.push_back(delete_neighbour(neighbour(bridge, 99)));
    const auto results = scratch.route.transact(messages);
    ASSERT_EQ(results.size(), 6U);
    EXPECT_TRUE(ok(results[0]));
    EXPECT_EQ(results[1].error().sys_errno(), ENODEV);
    EXPECT_EQ(results[2].error().sys_errno(), ENODEV);
    EXPECT_EQ(results[2].error().code(), base::Code::kNotFound);
    EXPECT_EQ(results[3].error().sys_errno(), EEXIST);
    EXPECT_EQ(results[3].error().code(), base::Code::kConflict);
    EXPECT_EQ(results[3].error().message(), "netlink: EEXIST: File exists");
    EXPECT_TRUE(ok(results[4]));
    EXPECT_EQ(results[5].error().sys_errno(), ENOENT);
    EXPECT_EQ(permanent(scratch.route, bridge), 2U);
}

TEST(Transact, CarriesTheKernelsOwnWords) {
    Scratch scratch;
    Vxlan options{.vni = base::Vni(1U << 24U)};  // one too large
    const auto status = scratch.route.request(create_vxlan({.name = "vx0"}, options));
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message(), StartsWith("netlink: ERANGE: "));
    EXPECT_THAT(status.error().message(), HasSubstr("must be lower than 16777216"));
    EXPECT_EQ(status.error().sys_errno(), ERANGE);
}

TEST(Transact, OfNothingIsNothing) {
    Scratch scratch;
    EXPECT_TRUE(scratch.route.transact({}).empty());
}

TEST(Transact, TakesThousandsAndKeepsTheirOrder) {
    Bridged scratch;
    const auto bridge = scratch.index();
    constexpr std::uint32_t kCount = 5000;
    std::vector<Message> messages;
    for (std::uint32_t i = 0; i < kCount; ++i) {
        // Every seventh fails: deletes what was never there.
        messages.push_back(i % 7 == 3 ? delete_neighbour(neighbour(bridge, 1'000'000 + i))
                                      : put_neighbour(neighbour(bridge, i)));
    }
    const auto results = scratch.route.transact(messages);
    ASSERT_EQ(results.size(), kCount);
    for (std::uint32_t i = 0; i < kCount; ++i) {
        if (i % 7 == 3) {
            ASSERT_FALSE(results[i]) << i;
            EXPECT_EQ(results[i].error().sys_errno(), ENOENT);
        } else {
            ASSERT_TRUE(ok(results[i])) << i;
        }
    }
    EXPECT_EQ(permanent(scratch.route, bridge), kCount - (kCount + 3) / 7);
}

TEST(Dump, EndsWithTheCallersErrorAndLeavesTheSocketUsable) {
    Bridged scratch;
    const auto bridge = scratch.index();
    std::vector<Message> messages;
    for (std::uint32_t i = 0; i < 2000; ++i) {  // more than one datagram
        messages.push_back(put_neighbour(neighbour(bridge, i)));
    }
    ASSERT_TRUE(all_ok(scratch.route.transact(messages)));
    int seen = 0;
    const auto status = scratch.route.dump(dump_neighbours(bridge), [&seen](const Received&) -> base::Status {
        return ++seen == 10 ? base::Status(base::fail(base::Code::kDenied, "enough")) : base::Status();
    });
    EXPECT_EQ(status.error().message(), "enough");
    EXPECT_EQ(seen, 10);
    EXPECT_EQ(permanent(scratch.route, bridge), 2000U);
}

TEST(Dump, ReportsTheKernelsRefusal) {
    Scratch scratch;
    Message nonsense = dump_addresses(base::IfIndex(4'000'000));
    const auto status = scratch.route.dump(std::move(nonsense), [](const Received&) { return base::Status(); });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().sys_errno(), ENODEV);
}

TEST(Dump, NoticesThatTheTableChangedUnderneath) {
    Scratch scratch;
    std::vector<Message> messages;
    messages.reserve(100);
    for (int i = 0; i < 100; ++i) {
        messages.push_back(create_bridge({.name = fmt::format("b{}", i)}, {}));
    }
    ASSERT_TRUE(all_ok(scratch.route.transact(messages)));
    auto other = must(Socket::open_in(scratch.ns, Protocol::kRoute));
    // The change happens between two datagrams of the dump, for certain: from inside it.
    int seen = 0;
    const auto status = scratch.route.dump(dump_links(), [&](const Received&) -> base::Status {
        return ++seen == 1 ? other.request(create_bridge({.name = "late"}, {})) : base::Status();
    });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), base::Code::kAborted);
    EXPECT_EQ(must(read_links(scratch.route)).size(), 102U);
}

TEST(Dump, ReadsAllWhileOthersChangeTheTable) {
    Scratch scratch;
    std::vector<Message> messages;
    messages.reserve(60);
    for (int i = 0; i < 60; ++i) {
        messages.push_back(create_bridge({.name = fmt::format("b{}", i)}, {}));
    }
    ASSERT_TRUE(all_ok(scratch.route.transact(messages)));
    std::atomic<bool> stop = false;
    std::thread disturber([&] {
        auto socket = must(Socket::open_in(scratch.ns, Protocol::kRoute));
        while (!stop) {
            must(socket.request(create_bridge({.name = "flicker"}, {})));
            must(socket.request(delete_link("flicker")));
        }
    });
    for (int i = 0; i < 20; ++i) {
        const auto links = read_links(scratch.route);
        if (links) {  // complete, or refused: never something in between
            EXPECT_GE(links->size(), 61U);
        } else {
            EXPECT_EQ(links.error().code(), base::Code::kAborted);
        }
    }
    stop = true;
    disturber.join();
}

constexpr std::array<unsigned, 2> kGroups{RTNLGRP_LINK, RTNLGRP_NEIGH};

bool readable(int fd) {
    pollfd item{.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&item, 1, 10'000) == 1;
}

TEST(Subscribed, TellsOurOwnChangesFromThoseOfOthers) {
    Bridged scratch;
    const auto bridge = scratch.index();
    auto other = must(Socket::open_in(scratch.ns, Protocol::kRoute));
    auto events = must(Subscription::open_in(scratch.ns, Protocol::kRoute, kGroups));
    EXPECT_NE(other.port(), scratch.route.port());

    std::vector<std::uint32_t> ports;
    const auto note = [&ports](const Received& received) -> base::Status {
        if (auto event = must(decode_neighbour(received)); event && event->permanent) {
            ports.push_back(received.port);
        }
        return {};
    };
    EXPECT_EQ(must(events.receive(note)), Subscription::Outcome::kDrained);
    EXPECT_TRUE(ports.empty());

    ASSERT_TRUE(ok(scratch.route.request(put_neighbour(neighbour(bridge, 1)))));
    ASSERT_TRUE(ok(other.request(put_neighbour(neighbour(bridge, 2)))));
    ASSERT_TRUE(readable(events.fd()));
    EXPECT_EQ(must(events.receive(note)), Subscription::Outcome::kDrained);
    EXPECT_EQ(ports, (std::vector<std::uint32_t>{scratch.route.port(), other.port()}));
}

// XFRM takes the originator from the request's own header, route from the socket: both must say the same.
TEST(Subscribed, TellsOurOwnXfrmChangesToo) {
    Scratch scratch;
    auto ours = must(Socket::open_in(scratch.ns, Protocol::kXfrm));
    constexpr std::array<unsigned, 1> kPolicies{XFRMNLGRP_POLICY};
    auto events = must(Subscription::open_in(scratch.ns, Protocol::kXfrm, kPolicies));
    Message block(XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL);
    block.header(xfrm_userpolicy_info{
        .sel = {.dport = htons(10007), .dport_mask = 0xffff, .family = AF_INET, .proto = IPPROTO_UDP},
        .lft = {.soft_byte_limit = XFRM_INF,
                .hard_byte_limit = XFRM_INF,
                .soft_packet_limit = XFRM_INF,
                .hard_packet_limit = XFRM_INF},
        .priority = 2000,
        .dir = XFRM_POLICY_IN,
        .action = XFRM_POLICY_BLOCK});
    ASSERT_TRUE(ok(ours.request(std::move(block))));
    ASSERT_TRUE(readable(events.fd()));
    std::vector<std::uint32_t> ports;
    must(events.receive([&ports](const Received& received) -> base::Status {
        ports.push_back(received.port);
        return {};
    }));
    EXPECT_EQ(ports, std::vector<std::uint32_t>{ours.port()});
}

TEST(Subscribed, SaysThatEventsWereLost) {
    Bridged scratch;
    const auto bridge = scratch.index();
    auto events = must(Subscription::open_in(scratch.ns, Protocol::kRoute, kGroups, 16U << 10U));
    std::vector<Message> messages;
    for (std::uint32_t i = 0; i < 1000; ++i) {
        messages.push_back(put_neighbour(neighbour(bridge, i)));
    }
    ASSERT_TRUE(all_ok(scratch.route.transact(messages)));
    int seen = 0;
    const auto count = [&seen](const Received&) -> base::Status {
        ++seen;
        return {};
    };
    EXPECT_EQ(must(events.receive(count)), Subscription::Outcome::kLost);
    EXPECT_GT(seen, 0);
    EXPECT_LT(seen, 1000);
    // And goes on afterwards.
    ASSERT_TRUE(ok(scratch.route.request(delete_neighbour(neighbour(bridge, 1)))));
    seen = 0;
    EXPECT_EQ(must(events.receive(count)), Subscription::Outcome::kDrained);
    EXPECT_GE(seen, 1);
}

TEST(Subscribed, HandsOverEverythingBeforeItReturnsAnError) {
    Bridged scratch;
    auto events = must(Subscription::open_in(scratch.ns, Protocol::kRoute, kGroups));
    const auto bridge = scratch.index();
    ASSERT_TRUE(ok(scratch.route.request(put_neighbour(neighbour(bridge, 1)))));
    ASSERT_TRUE(ok(scratch.route.request(put_neighbour(neighbour(bridge, 2)))));
    int seen = 0;
    const auto result = events.receive(
        [&seen](const Received&) -> base::Status { return base::fail(base::Code::kDenied, "{}", ++seen); });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message(), "1");
    EXPECT_GE(seen, 2);
}

TEST(Subscribed, RefusesAGroupThatDoesNotExist) {
    constexpr std::array<unsigned, 1> kNone{9999};
    EXPECT_FALSE(Subscription::open(Protocol::kRoute, kNone));
}

TEST(Sockets, OpenForEveryProtocolInTheNamespaceAskedFor) {
    Scratch scratch;
    for (const auto protocol : {Protocol::kRoute, Protocol::kXfrm, Protocol::kNetfilter}) {
        EXPECT_TRUE(Socket::open_in(scratch.ns, protocol));
        EXPECT_TRUE(Socket::open(protocol));
    }
    ASSERT_TRUE(ok(scratch.route.request(create_bridge({.name = "only-here"}, {}))));
    auto here = must(Socket::open(Protocol::kRoute));
    EXPECT_EQ(read_link(here, "only-here").error().sys_errno(), ENODEV);
    EXPECT_EQ(read_link(here, "only-here").error().code(), base::Code::kNotFound);
}

}  // namespace
}  // namespace warren::netlink
