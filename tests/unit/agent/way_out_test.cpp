#include "agent/way_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/sockaddr.h"
#include "tests/own_network.h"

namespace warren::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <typename IdType>
IdType id_of(std::uint8_t number) {
    IdType id;
    id.bytes[0] = number;
    return id;
}

overlay::Publication published(const char* text) {
    return overlay::parse_publication("", text).value();
}

const auto kSelf = id_of<base::NodeId>(1);

struct Attached {
    std::uint8_t endpoint = 0;
    std::string netns;
    std::vector<overlay::Publication> published{};
};
NetworkView network(std::uint8_t number, bool internal, const std::vector<Attached>& attached) {
    NetworkView view;
    view.id = id_of<base::NetworkId>(number);
    view.name = fmt::format("net{}", number);
    view.subnets = {{.prefix = base::parse_prefix("", fmt::format("10.{}.0.0/16", number)).value(),
                     .gateway = {},
                     .vni = base::Vni(0x570000)}};
    view.internal = internal;
    for (const auto& it : attached) {
        const auto id = id_of<base::EndpointId>(it.endpoint);
        view.endpoints[id] = {.name = fmt::format("e{}", it.endpoint), .ips = {}, .mac = {}, .node = kSelf};
        view.attachments[id] = {.netns = it.netns, .ifname = {}, .published = it.published};
    }
    return view;
}

std::string same_behind_alias(const std::string& netns) {
    return netns == "/alias/a" ? "/run/a" : netns;
}

TEST(WayOutNeeds, AContainerInSeveralNetworksNeedsOne) {
    const auto net1 = network(
        1, false,
        {{.endpoint = 1, .netns = "/run/a", .published = {published("80:80")}}, {.endpoint = 2, .netns = "/run/b"}});
    const auto net2 = network(2, false, {{.endpoint = 3, .netns = "/alias/a", .published = {published("81:81")}}});
    const auto needs = way_out_needs({&net1, &net2}, kSelf, same_behind_alias);
    EXPECT_THAT(needs.containers,
                ElementsAre(
                    overlay::WantedContainer{
                        .netns = "/run/a", .name = "e1", .published = {published("80:80"), published("81:81")}},
                    overlay::WantedContainer{.netns = "/run/b", .name = "e2", .published = {}}));
    EXPECT_EQ(needs.of_endpoint.at(id_of<base::EndpointId>(3)), "/run/a");
}

TEST(WayOutNeeds, AnInternalNetworkGivesNone) {
    const auto internal = network(1, true, {{.endpoint = 1, .netns = "/run/a"}, {.endpoint = 2, .netns = "/run/b"}});
    EXPECT_THAT(way_out_needs({&internal}, kSelf, same_behind_alias).containers, IsEmpty());
    const auto open = network(2, false, {{.endpoint = 3, .netns = "/run/b"}});
    const auto needs = way_out_needs({&internal, &open}, kSelf, same_behind_alias);
    ASSERT_EQ(needs.containers.size(), 1U);
    EXPECT_EQ(needs.containers[0].netns, "/run/b");
    EXPECT_EQ(needs.networks.size(), 2U) << "its subnet is in the container's way all the same";
}

TEST(WayOutNeeds, WhoIsInThePlaceOfAContainerThatIsGoneHasNone) {
    auto view = network(1, false, {{.endpoint = 1, .netns = "/proc/7/ns/net"}, {.endpoint = 2, .netns = "/run/b"}});
    view.attachments.begin()->second.replaced = true;
    const auto needs = way_out_needs({&view}, kSelf, same_behind_alias);
    ASSERT_EQ(needs.containers.size(), 1U);
    EXPECT_EQ(needs.containers[0].netns, "/run/b");
}

TEST(WayOutNeeds, OtherNodesContainersAreTheirs) {
    auto view = network(1, false, {{.endpoint = 1, .netns = "/run/a"}});
    view.endpoints.begin()->second.node = id_of<base::NodeId>(2);
    EXPECT_THAT(way_out_needs({&view}, kSelf, same_behind_alias).containers, IsEmpty());
}

class PublishedPortsTest : public testing::Test {
  protected:
    void SetUp() override { enter_own_network(); }

    static base::UniqueFd listener(int type, std::uint16_t port) {
        base::UniqueFd fd(::socket(AF_INET, type, 0));
        const base::Sockaddr address({.ip = base::IpAddress::v4(0), .port = port});
        if (::bind(fd.get(), address.get(), address.size()) != 0 ||
            (type == SOCK_STREAM && ::listen(fd.get(), 1) != 0)) {
            return {};
        }
        return fd;
    }

    base::Moment now_ = base::steady_now();
    PublishedPorts ports_;
};

TEST_F(PublishedPortsTest, NobodyElseGetsAPortThatIsHeld) {
    ASSERT_TRUE(ports_.hold(published("8080:80"), now_));
    ASSERT_TRUE(ports_.hold(published("8080:80/udp"), now_));
    EXPECT_FALSE(listener(SOCK_STREAM, 8080));
    EXPECT_FALSE(listener(SOCK_DGRAM, 8080));
    EXPECT_TRUE(listener(SOCK_STREAM, 8081));
    EXPECT_THAT(ports_.keep_only({published("8080:80/udp")}, now_), IsEmpty());
    EXPECT_TRUE(listener(SOCK_STREAM, 8080)) << "let go";
    EXPECT_FALSE(listener(SOCK_DGRAM, 8080));
}

TEST_F(PublishedPortsTest, WhoHasAPortIsNamed) {
    const auto tcp = listener(SOCK_STREAM, 8080);
    const auto udp = listener(SOCK_DGRAM, 5353);
    const auto refused = ports_.hold(published("8080:80"), now_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kConflict);
    EXPECT_THAT(refused.error().message(),
                HasSubstr(fmt::format("--publish 8080:80/tcp: TCP port 8080 of this host is taken by process {} (",
                                      ::getpid())));
    const auto failed = ports_.keep_only({published("5353:53/udp"), published("81:81")}, now_);
    ASSERT_EQ(failed.size(), 1U);
    EXPECT_THAT(failed.begin()->second.message(), HasSubstr("UDP port 5353"));
    const auto elsewhere = ports_.hold(published("192.0.2.9:80:80"), now_);
    ASSERT_FALSE(elsewhere);
    EXPECT_THAT(elsewhere.error().message(), HasSubstr("this host has no address 192.0.2.9"));
}

TEST_F(PublishedPortsTest, WhatCollidesWithOneThatIsHeldIsTheManagersToRefuse) {
    ASSERT_TRUE(ports_.hold(published("8080:80"), now_));
    EXPECT_TRUE(ports_.hold(published("127.0.0.1:8080:81"), now_));
    EXPECT_THAT(ports_.keep_only({published("8080:80")}, now_), IsEmpty());
    EXPECT_THAT(ports_.keep_only({}, now_), IsEmpty());
    EXPECT_TRUE(listener(SOCK_STREAM, 8080));
}

TEST_F(PublishedPortsTest, WhatIsAskedForIsKeptForAWhile) {
    ASSERT_TRUE(ports_.hold(published("8080:80"), now_ + std::chrono::seconds(30)));
    EXPECT_THAT(ports_.keep_only({}, now_ + std::chrono::seconds(29)), IsEmpty());
    EXPECT_FALSE(listener(SOCK_STREAM, 8080)) << "the manager's answer is on its way";
    EXPECT_THAT(ports_.keep_only({}, now_ + std::chrono::seconds(31)), IsEmpty());
    EXPECT_TRUE(listener(SOCK_STREAM, 8080));
}

}  // namespace
}  // namespace warren::agent
