#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/lab/addresses.h"
#include "tests/lab/expect.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_kind.h"

// A container whose host died is started on another one, under its name and address.
namespace warren::lab {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// The forwarding entries of a host's network for this MAC address, by bridge(8).
std::string entries(const Host& host, const v1::Network& network, const std::string& mac) {
    const auto space = (host.run_dir() / "netns" / network.id()).string();
    return run({"bash", "-c", "nsenter --net=$0 bridge fdb show dev vx0 | grep $1", space, mac}).out;
}

class TakeOver : public testing::TestWithParam<bool> {};

TEST_P(TakeOver, PeersReachTheNewOneAndTheOldHostDoesNotStealItBack) {
    const auto lab = cluster_of(3);
    auto& manager = lab->host(1);
    auto& old_host = lab->host(2);
    auto& new_host = lab->host(3);
    create_network(manager, GetParam(), {"net1"});
    const auto network = inspect(manager, "net1");
    const Container web("web");
    const Container witness("witness");
    const Container old_db("db");
    const Container new_db("db2");
    manager.connect("net1", web);
    new_host.connect("net1", witness);
    old_host.connect("net1", old_db, {"--mac", "02:00:00:00:00:07"});
    const auto address = old_db.ip();
    ASSERT_TRUE(eventually(seconds(10), [&] { return web.ping(address) && witness.ping(address); }));
    EXPECT_THAT(entries(manager, network, old_db.mac()), HasSubstr("dst 192.0.2.2"));

    // Without goodbye.
    old_host.must({"ip", "link", "set", "eth0", "down"});
    old_host.kill_daemon(SIGKILL);
    const auto refused = new_host.warren({"network", "connect", "net1", "--netns", "db2", "--name", "db"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("on node 'h2'; choose another one, or --take-over"));
    new_host.warren_ok({"network", "connect", "net1", "--netns", "db2", "--name", "db", "--take-over"});
    EXPECT_EQ(new_db.ip(), address);
    EXPECT_EQ(new_db.mac(), "02:00:00:00:00:07");
    EXPECT_TRUE(eventually(seconds(5), [&] { return web.ping(address) && witness.ping(address); }));
    EXPECT_THAT(entries(manager, network, new_db.mac()), HasSubstr("dst 192.0.2.3"));
    EXPECT_THAT(entries(manager, network, new_db.mac()), Not(HasSubstr("192.0.2.2"))) << "the old entry is left";

    // It comes back with its container in it, and finds that it is none any more.
    old_host.start_daemon();
    old_host.must({"ip", "link", "set", "eth0", "up"});
    EXPECT_TRUE(eventually(seconds(30), [&] {
        return old_db.run({"ip", "-brief", "link"}).out.find("eth") == std::string::npos;
    })) << old_db.run({"ip", "-brief", "link"}).out;
    EXPECT_TRUE(web.ping(address, 3));
    EXPECT_THAT(entries(manager, network, new_db.mac()), HasSubstr("dst 192.0.2.3"));
    EXPECT_TRUE(eventually(seconds(20), [&] { return settled(old_host) && settled(manager); }));
    EXPECT_EQ(old_host.run({"ip", "xfrm", "state"}).out, "") << "its keys";
}

// Neighbours on other hosts have the old MAC address in their tables, and would go on sending to it.
TEST_P(TakeOver, UnderAnotherMacAddressIsKnownToNeighboursAtOnce) {
    const auto lab = cluster_of(3);
    create_network(lab->host(1), GetParam(), {"--ipv6", "net1"});
    const Container web("web");
    const Container old_db("db");
    const Container new_db("db2");
    lab->host(1).connect("net1", web);
    lab->host(2).connect("net1", old_db, {"--mac", "02:00:00:00:00:07"});
    const auto endpoint = lab->host(1).ask<v1::Endpoint>({"endpoint", "inspect", "db"});
    const auto addresses = {without_length(endpoint.ip()), without_length(endpoint.ipv6())};
    for (const auto& address : addresses) {
        ASSERT_TRUE(eventually(seconds(10), [&] { return web.ping(address); })) << address;
    }
    lab->host(3).warren_ok(
        {"network", "connect", "net1", "--netns", "db2", "--name", "db", "--take-over", "--mac", "02:00:00:00:00:08"});
    EXPECT_EQ(new_db.mac(), "02:00:00:00:00:08");
    const auto neighbours = [&] { return web.run({"ip", "neighbour", "show", "dev", "eth0"}).out; };
    EXPECT_TRUE(eventually(seconds(2), [&] { return neighbours().find("02:00:00:00:00:07") == std::string::npos; }))
        << neighbours();
    for (const auto& address : addresses) {
        EXPECT_TRUE(web.ping(address)) << address;
    }
}

INSTANTIATE_TEST_SUITE_P(Networks, TakeOver, testing::Bool(), name_of_kind);

// What was taken over could not be given back.
TEST(TakeOverThatIsRefused, ForAnInterfaceThatTheContainerHasTakesNothing) {
    const auto lab = cluster_of(2);
    lab->host(1).warren_ok({"network", "create", "net1"});
    lab->host(1).warren_ok({"network", "create", "net2"});
    const Container web("web");
    const Container db("db");
    const Container next("db2");
    lab->host(1).connect("net1", web);
    lab->host(1).connect("net1", db);
    lab->host(2).connect("net2", next);
    const auto address = db.ip();
    ASSERT_TRUE(eventually(seconds(10), [&] { return web.ping(address); }));
    for (const auto* ifname : {"lo", "eth0"}) {
        const auto refused = lab->host(2).warren(
            {"network", "connect", "net1", "--netns", "db2", "--name", "db", "--take-over", "--ifname", ifname});
        EXPECT_EQ(refused.code, 1);
        EXPECT_THAT(refused.err, HasSubstr(std::string("--ifname ") + ifname +
                                           ": the container has an interface of that name already; choose another"));
    }
    EXPECT_EQ(lab->host(1).ask<v1::Endpoint>({"endpoint", "inspect", "db"}).node(), "h1");
    EXPECT_TRUE(web.ping(address, 3));
    // Its own link goes with what is taken over.
    lab->host(1).warren_ok(
        {"network", "connect", "net1", "--netns", "db", "--name", "db", "--take-over", "--ifname", db.interface()});
    EXPECT_TRUE(eventually(seconds(5), [&] { return web.ping(address); }));
}

}  // namespace
}  // namespace warren::lab
