#include "agent/host_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/own_network.h"

namespace warren::agent {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

base::IpAddress ip(const char* text) {
    return base::parse_ip("ip", text).value();
}

class HostResolvers : public testing::Test {
  protected:
    void TearDown() override {
        for (const auto& file : {conf_, behind_}) {
            fs::remove(file);
        }
    }
    [[nodiscard]] std::vector<base::IpAddress> with(std::string_view conf, std::string_view behind) const {
        EXPECT_TRUE(base::write_file_atomic(conf_, conf, 0600));
        EXPECT_TRUE(base::write_file_atomic(behind_, behind, 0600));
        return host_resolvers(conf_, behind_);
    }

    const std::string stem_ = testing::TempDir() + "/resolvers-" + std::to_string(::getpid());
    const fs::path conf_ = stem_ + ".conf";
    const fs::path behind_ = stem_ + ".behind";
};

TEST_F(HostResolvers, AreThoseOfTheFile) {
    EXPECT_THAT(host_resolvers(conf_, behind_), IsEmpty());
    EXPECT_THAT(with("nameserver 10.9.9.9\nnameserver 127.0.0.1\nnameserver fd00::53\n", "nameserver 10.8.8.8\n"),
                ElementsAre(ip("10.9.9.9"), ip("fd00::53")));
}

TEST_F(HostResolvers, AreWhomAStubOfTheHostAsks) {
    EXPECT_THAT(with("nameserver 127.0.0.53\noptions edns0\n", "nameserver 10.8.8.8\nnameserver ::1\n"),
                ElementsAre(ip("10.8.8.8")));
    EXPECT_THAT(with("nameserver 127.0.0.53\n", ""), IsEmpty());
    EXPECT_THAT(with("# none\n", "nameserver 10.8.8.8\n"), IsEmpty()) << "who has no stub asks nobody behind it";
}

TEST(HostNetworks, AreRoutesAndResolversButNotOurOwnBridge) {
    enter_own_network();
    for (const auto* command : {"ip link add eth1 type veth peer name other", "ip link set eth1 up",
                                "ip address add 10.77.0.9/24 dev eth1", "ip route add 10.77.0.128/25 dev eth1",
                                "ip route add 10.0.0.0/8 dev eth1", "ip link add warren_gw type bridge",
                                "ip link set warren_gw up", "ip address add 172.16.0.1/20 dev warren_gw"}) {
        ASSERT_EQ(std::system(command), 0) << command;
    }
    EXPECT_THAT(
        host_networks({ip("10.9.9.9"), ip("fd00::53")}),
        testing::IsSupersetOf(
            {testing::MatchesRegex("10.0.0.0/8 .*eth1.*"), testing::MatchesRegex("10.77.0.0/24 .*eth1.*"),
             testing::MatchesRegex("10.9.9.9/32 the resolver"), testing::MatchesRegex("fd00::53/128 the resolver")}));
    EXPECT_THAT(host_networks({}), testing::Each(testing::Not(testing::HasSubstr("warren_gw"))));
    EXPECT_THAT(host_networks({}), testing::Each(testing::Not(testing::HasSubstr("10.77.0.128")))) << "said already";
}

}  // namespace
}  // namespace warren::agent
