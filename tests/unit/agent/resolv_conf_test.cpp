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
    ours_.write({{"/run/netns/web", {ip("10.128.0.1"), ip("10.128.1.1")}},
                 {"/proc/77/ns/net", {ip("10.128.0.1")}},
                 {"/run/netns/../etc", {ip("10.128.0.1")}}});
    EXPECT_EQ(content("web"),
              "# Written by warrend in /run/warren; goes with the container's last network.\n"
              "nameserver 10.128.0.1\nnameserver 10.128.1.1\noptions ndots:0\n");
    EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1);
    ours_.write({{"/run/netns/web", {ip("10.128.1.1")}}});
    EXPECT_EQ(content("web").find("10.128.0.1"), std::string::npos);
    const auto many = std::vector<base::IpAddress>(5, ip("10.128.0.1"));
    ours_.write({{"/var/run/netns/many", many}});
    const auto text = content("many");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << "resolvers take three";
}

TEST_F(ResolvConfTest, GoesWithTheLastNetworkAndWithTheDirectoryThatWasMadeForIt) {
    ours_.write({{"/run/netns/web", {ip("10.128.0.1")}}, {"/run/netns/db", {ip("10.128.0.1")}}});
    std::ofstream(directory_ / "db" / "hosts") << "127.0.0.1 localhost\n";
    ours_.remove_all_but({{"/run/netns/web", {}}});
    EXPECT_NE(content("web"), "none");
    EXPECT_EQ(content("db"), "none");
    EXPECT_TRUE(fs::exists(directory_ / "db" / "hosts"));
    ours_.remove_all_but({});
    EXPECT_FALSE(fs::exists(directory_ / "web"));
}

TEST_F(ResolvConfTest, WhatOthersWroteStays) {
    fs::create_directories(directory_ / "web");
    std::ofstream(directory_ / "web" / "resolv.conf") << "nameserver 9.9.9.9\n";
    ResolvConf("/run/other", directory_).write({{"/run/netns/db", {ip("10.9.0.1")}}});
    ours_.write({{"/run/netns/web", {ip("10.128.0.1")}}, {"/run/netns/db", {ip("10.128.0.1")}}});
    ours_.remove_all_but({});
    EXPECT_EQ(content("web"), "nameserver 9.9.9.9\n");
    EXPECT_NE(content("db").find("10.9.0.1"), std::string::npos) << "another daemon's";
}

}  // namespace
}  // namespace warren::agent
