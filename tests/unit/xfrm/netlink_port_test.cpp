#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include "netlink/namespace.h"
#include "netlink/requester.h"
#include "tests/unit/xfrm/world.h"
#include "xfrm/desired.h"

// Policies in a real kernel, in a namespace of the test's own, with ip(8) as the judge. SAs need a kernel with ESP:
// kernel_test.cpp.
namespace warren::xfrm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class NetlinkPort : public ::testing::Test {
  protected:
    void SetUp() override {
        auto made = netlink::Namespace::create_anonymous();
        if (!made) {
            GTEST_SKIP() << "needs root: " << made.error().message();
        }
        where_.emplace(*std::move(made));
        port_ = must(netlink::run_in(*where_, [] { return make_netlink_port(); }));
        engine_ = must(Engine::open({.run_dir = directory_.path()}, *port_));
    }

    std::string shell(const std::string& command) const {
        std::string out;
        must(netlink::run_in(*where_, [&]() -> base::Status {
            std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
            std::array<char, 4096> buffer{};
            while (pipe != nullptr && std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
                out += buffer.data();
            }
            if (pipe != nullptr) {
                ::pclose(pipe);
            }
            return {};
        }));
        return out;
    }

    std::optional<netlink::Namespace> where_;
    std::unique_ptr<KernelPort> port_;
    ScratchDirectory directory_;
    std::unique_ptr<Engine> engine_;
};

TEST_F(NetlinkPort, TheFourPoliciesAreInTheKernelAsMeant) {
    const Outcome outcome = engine_->apply_policies(test_network());
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.added, 4U);
    const std::string shown = shell("ip -s xfrm policy");
    EXPECT_THAT(shown, HasSubstr("src 10.0.0.1/32 dst 0.0.0.0/0 proto udp sport 512 dport 10007"));
    EXPECT_THAT(shown, HasSubstr("src 0.0.0.0/0 dst 10.0.0.1/32 proto udp sport 512 dport 10007"));
    EXPECT_THAT(shown, HasSubstr("proto udp sport 512 dport 10007"));
    EXPECT_THAT(shown, HasSubstr("dir in action block"));
    EXPECT_THAT(shown, HasSubstr("dir out action block"));
    EXPECT_THAT(shown, HasSubstr("reqid 1459617799(0x57000007) mode transport"));
    EXPECT_THAT(shown, HasSubstr("enc-mask ffffffff auth-mask ffffffff comp-mask ffffffff"));
    // ip(8) hides the port masks, so the dump has to tell: it must be as wanted in every bit.
    EXPECT_EQ(engine_->apply_policies(test_network()).kept, 4U);
    const std::vector<Policy> dumped = must(port_->dump_policies());
    for (const Policy& wanted : desired_policies(test_network())) {
        EXPECT_TRUE(std::any_of(dumped.begin(), dumped.end(), [&](const Policy& policy) {
            return same_policy(wanted, policy);
        })) << text(wanted);
    }
}

TEST_F(NetlinkPort, RemovingANetworkLeavesTheOthersAndTheForeign) {
    ASSERT_TRUE(complete(engine_->apply_policies(test_network(7))));
    ASSERT_TRUE(complete(engine_->apply_policies(test_network(8))));
    shell(
        "ip xfrm policy add src 192.0.2.1/32 dst 192.0.2.2/32 dir out "
        "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 7 mode tunnel");
    const std::string get = "ip xfrm policy get src 192.0.2.1/32 dst 192.0.2.2/32 dir out";
    const std::string foreign = shell(get);
    ASSERT_THAT(foreign, HasSubstr("reqid 7"));
    EXPECT_EQ(engine_->remove_policies(base::NetworkIndex{7}).deleted, 4U);
    const std::string shown = shell("ip xfrm policy");
    EXPECT_THAT(shown, Not(HasSubstr("10007")));
    EXPECT_THAT(shown, HasSubstr("10008"));
    EXPECT_EQ(shell(get), foreign);
}

TEST_F(NetlinkPort, OwnChangesRaiseNoEventsAndForeignOnesDo) {
    ASSERT_TRUE(complete(engine_->apply_policies(test_network())));
    EXPECT_TRUE(must(engine_->handle_events()).empty());
    shell("ip xfrm policy flush");
    const Findings findings = must(engine_->handle_events());
    EXPECT_THAT(findings.policies, ::testing::ElementsAre(base::NetworkIndex{7}));
    EXPECT_EQ(findings.by, 0U) << "iproute2 leaves the field empty that the kernel copies";
    EXPECT_EQ(engine_->apply_policies(test_network()).added, 4U);
    EXPECT_TRUE(must(engine_->handle_events()).empty());
}

TEST_F(NetlinkPort, WhoSaysWhoHeIsIsKnown) {
    ASSERT_TRUE(complete(engine_->apply_policies(test_network())));
    const auto other = must(netlink::run_in(*where_, [] { return make_netlink_port(); }));
    const std::vector<Policy> policies = must(other->dump_policies());
    const Operation deletion = DeletePolicy{.direction = policies.at(0).direction, .index = policies.at(0).index};
    ASSERT_TRUE(other->apply(std::span(&deletion, 1)).at(0).done());
    const auto by = must(engine_->handle_events()).by;
    EXPECT_EQ(must(netlink::run_in(*where_,
                                   [&]() -> base::Result<std::optional<std::string>> {
                                       return netlink::find_requester(netlink::Protocol::kXfrm, by);
                                   })),
              fmt::format("process {} (xfrm_test)", ::getpid()));
}

TEST_F(NetlinkPort, AnAlteredPolicyIsReplacedInPlace) {
    ASSERT_TRUE(complete(engine_->apply_policies(test_network())));
    shell(
        "ip xfrm policy update src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 10007 dir in action allow priority 2000 "
        "tmpl proto esp reqid 0x57000007 mode transport level use");
    EXPECT_THAT(shell("ip xfrm policy"), HasSubstr("level use"));
    ASSERT_FALSE(must(engine_->handle_events()).empty());
    const Outcome outcome = engine_->apply_policies(test_network());
    EXPECT_TRUE(complete(outcome));
    EXPECT_EQ(outcome.updated, 1U);
    EXPECT_THAT(shell("ip xfrm policy"), Not(HasSubstr("level use")));
}

TEST_F(NetlinkPort, AForeignPolicyInOurPlaceIsRefusedByName) {
    shell("ip xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 10007 dir in action allow");
    const std::string before = shell("ip xfrm policy");
    const Outcome outcome = engine_->apply_policies(test_network());
    ASSERT_EQ(outcome.failed.size(), 1U);
    EXPECT_THAT(outcome.failed[0].message(), HasSubstr("in block any -> any udp any -> 10007"));
    EXPECT_EQ(engine_->remove_policies(base::NetworkIndex{7}).deleted, 3U);
    EXPECT_EQ(shell("ip xfrm policy"), before);
}

TEST_F(NetlinkPort, Ipv6) {
    Network network = test_network();
    network.self.vtep = must(base::parse_ip("vtep", "2001:db8::1"));
    EXPECT_TRUE(complete(engine_->apply_policies(network)));
    EXPECT_THAT(shell("ip -6 xfrm policy"), HasSubstr("src 2001:db8::1/128 dst ::/0"));
    EXPECT_EQ(engine_->apply_policies(network).kept, 4U);
    EXPECT_EQ(engine_->remove_policies(base::NetworkIndex{7}).deleted, 4U);
    EXPECT_EQ(shell("ip -6 xfrm policy"), "");
}

TEST_F(NetlinkPort, ManyNetworks) {
    for (std::uint16_t index = 1; index <= 100; ++index) {
        ASSERT_TRUE(complete(engine_->apply_policies(test_network(index))));
    }
    EXPECT_EQ(must(port_->dump_policies()).size(), 400U);
    EXPECT_TRUE(complete(engine_->remove_unknown({})));
    EXPECT_EQ(must(port_->dump_policies()).size(), 0U);
}

// This machine's kernel may have no ESP; then the answer must say so, for that SA alone.
TEST_F(NetlinkPort, EveryOperationHasItsOwnAnswer) {
    std::vector<Operation> operations;
    operations.emplace_back(DeleteSa{
        .location = {.destination = test_member(1).vtep, .spi = Spi{0x40004007}, .source = test_member(2).vtep}});
    operations.emplace_back(AddPolicy{desired_policies(test_network())[0]});
    operations.emplace_back(DeletePolicy{.direction = Direction::kIn, .index = 0x7ffffff8});
    const std::vector<Answer> answers = port_->apply(operations);
    ASSERT_EQ(answers.size(), 3U);
    EXPECT_EQ(answers[0].error->sys_errno(), ESRCH);
    EXPECT_TRUE(answers[1].done());
    EXPECT_EQ(answers[2].error->sys_errno(), ENOENT);
    EXPECT_EQ(answers[2].kind, Answer::Kind::kRefused);
}

}  // namespace
}  // namespace warren::xfrm
