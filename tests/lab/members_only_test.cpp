#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/ip.h"
#include "base/text.h"
#include "tests/lab/capture.h"
#include "tests/lab/expect.h"
#include "tests/lab/kernel_state.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

namespace warren::lab {
namespace {

using std::chrono::seconds;

// How often the host's daemon has logged that a message about the network came on its session.
size_t messages(const Host& host, const std::string& network_id) {
    return host.times_logged("from the manager, network " + network_id);
}

// Neither before it joins a network nor after it left does a node hear of it or hold anything of it.
TEST(MembersOnly, ANodeWithoutEndpointsHasNothingOfANetwork) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    auto& outsider = lab->host(3);
    const auto untouched = kernel_state(outsider);
    manager.warren_ok({"network", "create", "--opt", "encrypted", "secret"});
    const auto id = inspect(manager, "secret").id();
    const Container c1("c1");
    const Container c2("c2");
    const Container c3("c3");
    manager.connect("secret", c1);
    lab->host(2).connect("secret", c2);
    manager.warren_ok({"key", "rotate", "secret"});
    ASSERT_TRUE(eventually(seconds(10), [&] { return c1.ping(c2.ip()); }));
    EXPECT_GT(messages(lab->host(2), id), 0U) << "a member's messages are not seen: this test would prove nothing";
    EXPECT_EQ(messages(outsider, id), 0U);
    EXPECT_EQ(outsider.log_text().find(id), std::string::npos);
    EXPECT_EQ(kernel_state(outsider), untouched);
    EXPECT_EQ(outsider.ask<v1::StatusReply>({"status"}).networks_size(), 0);
    for (const auto* member : {&manager, &lab->host(2)}) {
        EXPECT_EQ(kernel_state(*member).find(outsider.address()), std::string::npos) << member->name();
    }

    outsider.connect("secret", c3);
    ASSERT_TRUE(eventually(seconds(10), [&] { return c3.ping(c1.ip()) && c3.ping(c2.ip()); }));
    outsider.warren_ok({"network", "disconnect", "secret", "c3"});
    const auto last = messages(outsider, id);
    EXPECT_GT(last, 0U);
    EXPECT_EQ(kernel_state(outsider), untouched);
    manager.warren_ok({"key", "rotate", "secret"});
    lab->host(2).warren_ok({"network", "disconnect", "secret", "c2"});
    EXPECT_EQ(messages(outsider, id), last) << "a former member hears of the network";
    EXPECT_EQ(kernel_state(outsider), untouched);
}

// Each with what it promises, whatever the other does.
TEST(SideBySide, PlainAndEncryptedNetworksDoNotMix) {
    const auto lab = cluster_of(2);
    auto& manager = lab->host(1);
    manager.warren_ok({"network", "create", "plain"});
    manager.warren_ok({"network", "create", "--opt", "encrypted", "red"});
    manager.warren_ok({"network", "create", "--opt", "encrypted", "--opt", "cipher=chacha20-poly1305", "blue"});
    Capture capture(lab->artefacts(), "underlay", kUnderlay);
    const auto plain = containers_on_all(*lab, "plain", "p");
    const auto red = containers_on_all(*lab, "red", "r");
    const auto blue = containers_on_all(*lab, "blue", "b");
    const auto reqid = [&](const char* name) { return reqid_of_port(inspect(manager, name).udp_port()); };
    EXPECT_NE(reqid("red"), reqid("blue"));
    EXPECT_EQ(sa_table(manager, reqid("red")).size(), 2U);
    EXPECT_EQ(sa_table(manager, reqid("blue")).size(), 2U);
    EXPECT_EQ(key_fingerprints(manager).size(), 4U) << "two networks share a key";

    // A frame of one network for an address of another reaches nobody.
    for (const auto& [from, to] : {std::pair(&plain[0], &red[1]), {&red[0], &plain[1]}, {&red[0], &blue[1]}}) {
        from->run({"ip", "route", "add", to->ip(), "dev", from->interface()});
        from->run({"ip", "neighbour", "add", to->ip(), "lladdr", to->mac(), "dev", from->interface()});
        EXPECT_FALSE(from->ping(to->ip())) << from->name() << " reaches " << to->name();
    }

    manager.warren_ok({"key", "rotate", "red"});
    lab->host(2).warren_ok({"network", "disconnect", "red", "r2"});
    EXPECT_TRUE(plain[0].ping(plain[1].ip()));
    EXPECT_TRUE(blue[0].ping(blue[1].ip()));
    lab->host(2).warren_ok({"network", "disconnect", "plain", "p2"});
    EXPECT_TRUE(blue[0].ping(blue[1].ip()));

    capture.stop();
    EXPECT_GT(capture.count("udp dst port 4789"), 0U);
    EXPECT_GT(capture.count("esp"), 0U);
    const std::string other = "ip and not esp and not tcp port 7443 and not udp dst port 4789";
    EXPECT_EQ(capture.count(other), 0U) << capture.show(other);
    // Inner addresses, as the inner IPv4 header has them behind UDP, VXLAN and Ethernet (8 + 8 + 14 + 12 and 16).
    const auto inner = [](const std::string& address) {
        const auto value = base::to_hex(base::parse_ip("inner address", address)->raw());
        return fmt::format("udp dst port 4789 and (udp[42:4] = 0x{0} or udp[46:4] = 0x{0})", value);
    };
    EXPECT_GT(capture.count(inner("10.128.0.2")), 0U) << "the filter finds nothing, so it proves nothing";
    EXPECT_EQ(capture.count(inner("10.128.1.2")), 0U);
    EXPECT_EQ(capture.count(inner("10.128.2.2")), 0U);
}

}  // namespace
}  // namespace warren::lab
