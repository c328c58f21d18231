#include <gtest/gtest.h>

#include "tests/lab/expect.h"
#include "tests/lab/kernel_state.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// What is not ours stays, what is ours goes with the last endpoint.
namespace warren::lab {
namespace {

using std::chrono::seconds;

// What others could have on a host, as like ours as it gets: an SA with an SPI that is ours to give (of a slot not used
// here) between our VTEPs, policies over and under ours, links of our names, one with the mark of another cluster, nft
// tables of our name and of our hooks.
void place_foreign_objects(const Host& host, const std::string& peer) {
    const auto script = R"(set -e
        key='rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128'  # a test vector
        ip xfrm state add src $1 dst $2 proto esp spi 0x70004001 reqid 7 mode transport aead $key
        ip xfrm state add src $2 dst $1 proto esp spi 0xc0000001 reqid 7 mode tunnel aead $key
        ip xfrm policy add src $1 dst $2 proto udp dport 500 dir out priority 1000 tmpl proto esp reqid 7 mode transport
        ip xfrm policy add src 10.0.0.0/8 dst 10.0.0.0/8 dir in priority 366000
        ip link add vx0 type vxlan id 0x570000 dstport 4790 local $1
        ip link add br0 type bridge
        ip link set vx0 master br0 up
        ip link add dummy0 type dummy
        ip link set dummy0 alias warren:00112233445566778899aabbccddeeff:00112233445566778899aabbccddeeff
        ip address add 10.77.0.1/24 dev br0
        bridge fdb append 02:00:00:00:00:07 dev vx0 dst $2
        ip neighbour add 10.77.0.7 lladdr 02:00:00:00:00:07 dev br0 nud permanent
        nft 'table ip warren { set ports { type inet_service; elements = { 10001 }; }
             chain in { type filter hook input priority -301; udp dport @ports counter; }; }'
        nft 'table inet lab { chain out { type filter hook output priority 0; udp dport 4789 counter; }; }')";
    host.must({"bash", "-c", script, "foreign", host.address(), peer});
}

class Foreign : public testing::Test {
  protected:
    Foreign() {
        for (auto* host : {&one, &two}) {
            place_foreign_objects(*host, host == &one ? two.address() : one.address());
            before.push_back(kernel_state(*host));
        }
    }

    void expect_all_there(const std::string& when) {
        EXPECT_EQ(missing_lines(before[0], kernel_state(one)), "") << "gone from h1 " << when;
        EXPECT_EQ(missing_lines(before[1], kernel_state(two)), "") << "gone from h2 " << when;
    }
    void expect_nothing_else(const std::string& when) {
        for (size_t i = 0; i < before.size(); ++i) {
            const auto now = kernel_state(i == 0 ? one : two);
            EXPECT_EQ(missing_lines(now, before[i]), "") << "left on h" << i + 1 << " " << when;
            EXPECT_EQ(missing_lines(before[i], now), "") << "gone from h" << i + 1 << " " << when;
        }
    }

    std::unique_ptr<Lab> lab = cluster_of(2);
    Host& one = lab->host(1);
    Host& two = lab->host(2);
    std::vector<std::string> before;
};

TEST_F(Foreign, ObjectsAreUntouchedAndOursGoWithTheLastEndpoint) {
    ASSERT_NE(before[0].find("0x70004001"), std::string::npos) << "the kernel's state is not read: " << before[0];
    one.warren_ok({"network", "create", "--opt", "encrypted", "secret"});
    one.warren_ok({"network", "create", "plain"});
    const auto secret = containers_on_all(*lab, "secret", "s");
    const auto plain = containers_on_all(*lab, "plain", "p");
    expect_all_there("after connect");
    one.warren_ok({"key", "rotate", "secret"});
    expect_all_there("after a rotation");
    // A start is when what nobody knows is taken down.
    two.kill_daemon(SIGKILL);
    two.start_daemon();
    ASSERT_TRUE(eventually(seconds(10), [&] { return settled(two); }));
    expect_all_there("after a restart of the daemon");

    const auto refused = one.warren({"network", "rm", "secret"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_NE(refused.err.find("network 'secret' is in use by 2 endpoints"), std::string::npos) << refused.err;
    EXPECT_EQ(secret[0].ping(secret[1].ip()), true) << "a refused rm did harm";

    one.warren_ok({"network", "disconnect", "secret", "s1"});
    two.warren_ok({"network", "disconnect", "secret", "s2"});
    EXPECT_TRUE(sa_table(one).empty());
    EXPECT_TRUE(plain[0].ping(plain[1].ip())) << "another network suffered";
    one.warren_ok({"network", "disconnect", "plain", "p1"});
    two.warren_ok({"network", "disconnect", "plain", "p2"});
    expect_nothing_else("after the last disconnect");
    one.warren_ok({"network", "rm", "secret"});
    one.warren_ok({"network", "rm", "plain"});
    expect_nothing_else("at the end");
}

}  // namespace
}  // namespace warren::lab
