#include "agent/resolv_conf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace warren::agent {
namespace {

namespace fs = std::filesystem;

base::IpAddress ip(const char* text) {
    return base::parse_ip("ip", text).value();
}

class ResolvConfTest : public testing::Test {
  protected:
    ~ResolvConfTest() override { fs::remove_all(directory_); }
    [[nodiscard]] std::string content(const std::string& name) const {
        std::ifstream file(directory_ / name / "resolv.conf");
        std::ostringstream text;
        text << file.rdbuf();
        return file ? text.str() : "none";
    }

    fs::path directory_ = fs::path(testing::TempDir()) / ("resolv-" + std::to_string(::getpid()));
    ResolvConf ours_{"/run/warren", directory_};
};

TEST_F(ResolvConfTest, NamesWhomToAsk) {
    ours_.want({{"web", {ip("10.128.0.1"), ip("10.128.1.1")}}}, false);
    EXPECT_EQ(content("web"),
              "# Written by warrend in /run/warren; goes with the container's last network.\n"
              "nameserver 10.128.0.1\nnameserver 10.128.1.1\noptions ndots:0\n");
    ours_.want({{"web", {ip("10.128.1.1")}}}, false);
    EXPECT_EQ(content("web").find("10.128.0.1"), std::string::npos);
    const auto many = std::vector<base::IpAddress>(5, ip("10.128.0.1"));
    ours_.want({{"many", many}}, false);
    const auto text = content("many");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << "resolvers take three";
}

TEST(NetnsName, IsThatOfAPlaceThatIpNetnsHas) {
    EXPECT_EQ(netns_name("/run/netns/web"), "web");
    EXPECT_EQ(netns_name("/var/run/netns/web"), "web");
    for (const auto* other : {"/proc/77/ns/net", "/run/netns/", "/run/netns/..", "/run/netns/a/b", "web"}) {
        EXPECT_EQ(netns_name(other), "") << other;
    }
}

// Who was started by `ip netns exec` has this file open, as its /etc/resolv.conf.
TEST_F(ResolvConfTest, IsChangedInItsPlace) {
    ours_.want({{"web", {ip("10.128.0.1")}}}, false);
    std::error_code none;
    fs::create_hard_link(directory_ / "web" / "resolv.conf", directory_ / "seen", none);
    ours_.want({{"web", {ip("10.128.1.1")}}}, false);
    std::ifstream seen(directory_ / "seen");
    std::ostringstream text;
    text << seen.rdbuf();
    EXPECT_EQ(text.str(), content("web"));
    EXPECT_NE(text.str().find("10.128.1.1"), std::string::npos);
}

TEST_F(ResolvConfTest, ALinkIsSomebodyElses) {
    fs::create_directories(directory_ / "web");
    fs::create_symlink(directory_ / "not-there-yet", directory_ / "web" / "resolv.conf");
    ours_.want({{"web", {ip("10.128.0.1")}}, {"db", {ip("10.128.0.1")}}}, false);
    EXPECT_TRUE(fs::is_symlink(directory_ / "web" / "resolv.conf"));
    EXPECT_FALSE(fs::exists(directory_ / "not-there-yet"));
    fs::create_directory_symlink(directory_ / "db", directory_ / "other");
    ours_.want({{"db", {ip("10.128.0.1")}}}, true);
    EXPECT_NE(content("db"), "none") << "not by the way of a link";
    EXPECT_TRUE(fs::is_symlink(directory_ / "other"));
}

TEST_F(ResolvConfTest, GoesWithTheLastNetworkAndWithTheDirectoryThatWasMadeForIt) {
    ours_.want({{"web", {ip("10.128.0.1")}}, {"db", {ip("10.128.0.1")}}}, false);
    std::ofstream(directory_ / "db" / "hosts") << "127.0.0.1 localhost\n";
    ours_.want({{"web", {ip("10.128.0.1")}}}, true);
    EXPECT_NE(content("web"), "none");
    EXPECT_EQ(content("db"), "none");
    EXPECT_TRUE(fs::exists(directory_ / "db" / "hosts"));
    ours_.want({}, true);
    EXPECT_FALSE(fs::exists(directory_ / "web"));
}

TEST_F(ResolvConfTest, AFormerDaemonsStaysUntilAllContainersAreKnown) {
    ResolvConf("/run/warren", directory_).want({{"web", {ip("10.128.0.1")}}, {"old", {ip("10.128.0.1")}}}, true);
    ours_.want({}, false);
    EXPECT_NE(content("old"), "none");
    ours_.want({{"web", {ip("10.128.0.1")}}}, true);
    EXPECT_EQ(content("old"), "none");
    EXPECT_NE(content("web"), "none");
}

TEST_F(ResolvConfTest, WhatOthersWroteStays) {
    fs::create_directories(directory_ / "web");
    std::ofstream(directory_ / "web" / "resolv.conf") << "nameserver 9.9.9.9\n";
    ResolvConf("/run/other", directory_).want({{"db", {ip("10.9.0.1")}}}, false);
    ours_.want({{"web", {ip("10.128.0.1")}}, {"db", {ip("10.128.0.1")}}}, false);
    ours_.want({}, true);
    EXPECT_EQ(content("web"), "nameserver 9.9.9.9\n");
    EXPECT_NE(content("db").find("10.9.0.1"), std::string::npos) << "another daemon's";
}

}  // namespace
}  // namespace warren::agent
