#include "xfrm/checks.h"

#include <gmock/gmock.h>
#include <netinet/in.h>

#include <fstream>

#include "tests/unit/xfrm/world.h"
#include "xfrm/desired.h"

namespace warren::xfrm {
namespace {

using ::testing::HasSubstr;

// A tree like /proc/sys.
class Sysctls : public ::testing::Test {
  protected:
    void set(const std::string& path, const std::string& value) const {
        const auto file = directory_.path() / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << value << "\n";
    }
    [[nodiscard]] const std::filesystem::path& root() const { return directory_.path(); }

  private:
    ScratchDirectory directory_;
};

TEST_F(Sysctls, UnprivilegedPortsMustStartAbove1023) {
    set("net/ipv4/ip_unprivileged_port_start", "1024");
    EXPECT_TRUE(check_unprivileged_ports(root()).has_value());
    set("net/ipv4/ip_unprivileged_port_start", "600");
    const auto refused = check_unprivileged_ports(root());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), base::Code::kPrecondition);
    EXPECT_THAT(refused.error().message(), HasSubstr("net.ipv4.ip_unprivileged_port_start is 600"));
}

TEST_F(Sysctls, NothingMaySwitchPoliciesOffOnTheUnderlay) {
    EXPECT_TRUE(check_device("eth0", root()).has_value());
    for (const char* path :
         {"net/ipv4/conf/all/disable_xfrm", "net/ipv4/conf/eth0/disable_policy", "net/ipv6/conf/eth0/disable_policy"}) {
        set(path, "1");
        const auto refused = check_device("eth0", root());
        ASSERT_FALSE(refused) << path;
        std::string dotted = path;
        std::replace(dotted.begin(), dotted.end(), '/', '.');
        EXPECT_THAT(refused.error().message(), HasSubstr(dotted + " is 1"));
        set(path, "0");
    }
    set("net/ipv4/conf/lo/disable_policy", "1");  // the kernel's default there
    EXPECT_TRUE(check_device("eth0", root()).has_value());
}

TEST_F(Sysctls, WhatIsNoNumberIsAnError) {
    set("net/ipv4/ip_unprivileged_port_start", "many");
    EXPECT_FALSE(check_unprivileged_ports(root()).has_value());
}

TEST(CheckVtep, RefusesIpv6LinkLocal) {
    EXPECT_TRUE(check_vtep(must(base::parse_ip("vtep", "10.0.0.1"))).has_value());
    EXPECT_TRUE(check_vtep(must(base::parse_ip("vtep", "2001:db8::1"))).has_value());
    const auto refused = check_vtep(must(base::parse_ip("vtep", "fe80::1")));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("fe80::1"));
}

Policy foreign(Direction direction, Action action, std::uint32_t priority, Selector selector = {}) {
    return {.direction = direction, .selector = selector, .action = action, .priority = priority};
}

TEST(CheckForeignPolicies, OursAndThoseBehindOursAreFine) {
    std::vector<Policy> there;
    for (const std::uint16_t index : std::initializer_list<std::uint16_t>{7, 8}) {
        const auto ours = desired_policies(test_network(index));
        there.insert(there.end(), ours.begin(), ours.end());
    }
    there.push_back(foreign(Direction::kOut, Action::kAllow, 366911));  // charon's
    there.push_back(foreign(Direction::kIn, Action::kBlock, 1500));     // blocks what we block
    there.push_back(foreign(Direction::kIn, Action::kAllow, 0, {.protocol = IPPROTO_TCP}));
    there.push_back(foreign(Direction::kOut, Action::kAllow, 0,
                            {.protocol = IPPROTO_UDP, .destination_port = {.port = 4789, .mask = 0xffff}}));
    there.push_back(foreign(Direction::kOut, Action::kAllow, 0,
                            {.protocol = IPPROTO_UDP, .source_port = {.port = 500, .mask = 0xffff}}));
    EXPECT_TRUE(check_foreign_policies(test_network(), there).has_value());
}

TEST(CheckForeignPolicies, OnesBeforeOursAreRefusedByName) {
    const Selector port{.protocol = IPPROTO_UDP, .destination_port = {.port = 10007, .mask = 0xffff}};
    const Selector tunnel{.source = {.address = must(base::parse_ip("ip", "10.0.0.0")), .length = 8},
                          .destination = {.address = must(base::parse_ip("ip", "10.0.0.0")), .length = 8}};
    for (const Policy& policy :
         {foreign(Direction::kOut, Action::kAllow, 1000, port), foreign(Direction::kOut, Action::kBlock, 1000, port),
          foreign(Direction::kIn, Action::kAllow, 2000, port), foreign(Direction::kOut, Action::kAllow, 0, tunnel)}) {
        const auto refused = check_foreign_policies(test_network(), std::span(&policy, 1));
        ASSERT_FALSE(refused) << text(policy);
        EXPECT_EQ(refused.error().code(), base::Code::kConflict);
        EXPECT_THAT(refused.error().message(), HasSubstr("10007"));
        EXPECT_THAT(refused.error().message(), HasSubstr(text(policy)));
    }
}

TEST(CheckForeignPolicies, ATunnelBetweenOtherHostsIsFineUpToThePriorityOfTheBlocks) {
    const Selector elsewhere{.source = {.address = must(base::parse_ip("ip", "192.0.2.0")), .length = 24},
                             .destination = {.address = must(base::parse_ip("ip", "198.51.100.0")), .length = 24},
                             .protocol = IPPROTO_TCP};
    const Policy policy = foreign(Direction::kOut, Action::kAllow, 0, elsewhere);
    EXPECT_TRUE(check_foreign_policies(test_network(), std::span(&policy, 1)).has_value());
}

}  // namespace
}  // namespace warren::xfrm
