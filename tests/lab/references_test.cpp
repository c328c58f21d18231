#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "tests/lab/expect.h"
#include "tests/lab/lab.h"
#include "tests/lab/network_kind.h"

// What an operator calls things by, and what he is shown of networks.
namespace warren::lab {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

// Whatever has a name and an id is called by its name, by its id and by the least of its id that is not another's.
template <typename Things>
std::vector<std::string> ways_to_call(const std::string& name, const Things& all) {
    const auto it = std::ranges::find_if(all, [&](const auto& thing) { return thing.name() == name; });
    if (it == all.end()) {
        ADD_FAILURE() << name << " is not listed";
        return {};
    }
    std::size_t digits = 1;
    while (std::ranges::count_if(
               all, [&](const auto& thing) { return thing.id().starts_with(it->id().substr(0, digits)); }) > 1) {
        ++digits;
    }
    return {name, it->id(), it->id().substr(0, digits)};
}

google::protobuf::RepeatedPtrField<v1::Network> networks(const Host& manager, const Argv& filter = {}) {
    Argv argv{"network", "ls"};
    argv.insert(argv.end(), filter.begin(), filter.end());
    return manager.ask<v1::NetworkListReply>(argv).networks();
}
google::protobuf::RepeatedPtrField<v1::Endpoint> endpoints(const Host& manager, const std::string& network) {
    return manager.ask<v1::EndpointListReply>({"endpoint", "ls", network}).endpoints();
}
template <typename Things>
std::vector<std::string> names_of(const Things& things) {
    std::vector<std::string> names;
    for (const auto& thing : things) {
        names.push_back(thing.name());
    }
    return names;
}

TEST(References, LeadToANetworkInWhateverIsAskedAndChanged) {
    const auto lab = cluster_of(2);
    const auto& manager = lab->host(1);
    for (const auto* name : {"net1", "net2", "net3"}) {
        create_network(manager, true, {name});
    }
    const auto containers = containers_on_all(*lab, "net1");
    const auto id = inspect(manager, "net1").id();
    std::uint32_t epoch = inspect(manager, "net1").active_epoch();
    hours schedule{1};
    for (const auto& net1 : ways_to_call("net1", networks(manager))) {
        SCOPED_TRACE(net1);
        EXPECT_EQ(inspect(manager, net1).id(), id);
        EXPECT_THAT(names_of(endpoints(manager, net1)), UnorderedElementsAre("c1", "c2"));

        manager.warren_ok({"network", "update", net1, "--opt", fmt::format("key-rotation={}h", (++schedule).count())});
        EXPECT_EQ(inspect(manager, "net1").key_rotation_ms(), milliseconds(schedule).count());
        manager.warren_ok({"key", "rotate", net1});
        EXPECT_EQ(inspect(manager, "net1").active_epoch(), ++epoch);

        const auto keys = manager.ask<v1::KeyStatusReply>({"key", "status", net1});
        ASSERT_EQ(keys.networks_size(), 1);
        EXPECT_EQ(keys.networks(0).network(), "net1");
        const auto told = manager.ask<v1::KeyHistoryReply>({"key", "history", net1});
        EXPECT_EQ(told.network(), "net1");
        EXPECT_EQ(told.rotations().rbegin()->epoch(), epoch);
        // Which a worker's daemon answers by what it knows itself.
        EXPECT_EQ(lab->host(2).ask<v1::NetworkVerifyReply>({"network", "verify", net1}).verdict(), "encrypted");
    }
    for (const auto* other : {"net2", "net3"}) {
        EXPECT_EQ(inspect(manager, other).active_epoch(), 1U) << other;
        EXPECT_EQ(inspect(manager, other).key_rotation_ms(), milliseconds(hours(12)).count()) << other;
    }
}

TEST(References, LeadToNetworksEndpointsAndNodesForWhoeverComesAndGoes) {
    const auto lab = cluster_of(2);
    const auto& manager = lab->host(1);
    const auto& worker = lab->host(2);
    for (const auto* name : {"net1", "net2", "one", "two", "three"}) {
        create_network(manager, false, {name});
    }
    const Container store("store");
    const Container web("web");
    worker.connect("net1", store);
    const auto ways = ways_to_call("net1", networks(manager));
    for (std::size_t way = 0; way < ways.size(); ++way) {
        SCOPED_TRACE(ways[way]);
        worker.connect(ways[way], web);
        const auto both = endpoints(manager, "net1");
        EXPECT_THAT(names_of(both), UnorderedElementsAre("store", "web"));
        const auto to_web = ways_to_call("web", both);
        for (const auto& it : to_web) {
            const auto shown = manager.ask<v1::Endpoint>({"endpoint", "inspect", it});
            EXPECT_EQ(shown.id(), to_web[1]) << it;
            EXPECT_EQ(shown.network(), "net1") << it;
        }
        worker.warren_ok({"network", "disconnect", ways[way], to_web[way]});
        EXPECT_THAT(names_of(endpoints(manager, "net1")), ElementsAre("store"));
    }

    const auto nodes = manager.ask<v1::NodeListReply>({"node", "ls"}).nodes();
    const auto to_worker = ways_to_call("h2", nodes);
    for (const auto& it : to_worker) {
        EXPECT_EQ(manager.ask<v1::Node>({"node", "inspect", it}).id(), to_worker[1]) << it;
    }

    const auto all = networks(manager);
    manager.warren_ok(
        {"network", "rm", ways_to_call("one", all)[0], ways_to_call("two", all)[1], ways_to_call("three", all)[2]});
    EXPECT_THAT(names_of(networks(manager)), UnorderedElementsAre("net1", "net2"));
}

TEST(References, ThatMayMeanSeveralAreRefusedAndANameGoesFirst) {
    const auto lab = cluster_of(1);
    const auto& manager = lab->host(1);
    // Of seventeen ids two begin with the same digit.
    std::map<char, unsigned> of_digit;
    std::string digit;
    for (int i = 1; digit.empty(); ++i) {
        const auto name = fmt::format("net{}", i);
        create_network(manager, true, {name});
        const auto first = inspect(manager, name).id().front();
        digit = ++of_digit[first] == 2 ? std::string(1, first) : "";
    }
    const Container web("web");
    for (const auto& network : networks(manager, {"--filter", "id=" + digit})) {
        manager.connect(network.name(), web);  // a daemon knows the networks that it is in
    }
    const auto before = names_of(networks(manager));
    for (const auto& command :
         {Argv{"network", "inspect", digit}, Argv{"network", "rm", digit},
          Argv{"network", "update", digit, "--opt", "key-rotation=5h"},
          Argv{"network", "connect", digit, "--netns", web.name(), "--name", "another"},
          Argv{"network", "disconnect", digit, "web"}, Argv{"network", "verify", digit}, Argv{"endpoint", "ls", digit},
          Argv{"key", "status", digit}, Argv{"key", "history", digit}, Argv{"key", "rotate", digit}}) {
        const auto refused = manager.warren(command);
        EXPECT_EQ(refused.code, 1) << command[0] << ' ' << command[1];
        EXPECT_THAT(refused.err, HasSubstr(fmt::format("network '{}': several ids begin with it", digit)))
            << command[0] << ' ' << command[1];
    }
    EXPECT_EQ(names_of(networks(manager)), before);

    create_network(manager, true, {digit});
    EXPECT_EQ(inspect(manager, digit).name(), digit);
    manager.warren_ok({"network", "rm", digit});
    EXPECT_EQ(names_of(networks(manager)), before);
}

TEST(Prune, RemovesWhatNobodyIsConnectedToAndNothingElse) {
    const auto lab = cluster_of(2);
    const auto& manager = lab->host(1);
    for (const bool encrypted : {true, false}) {
        for (const auto* name : {"used", "left", "new"}) {
            create_network(manager, encrypted, {fmt::format("{}-{}", name, encrypted ? "secret" : "plain")});
        }
    }
    const auto talking = containers_on_all(*lab, "used-secret");
    const Container alone("alone");
    lab->host(2).connect("used-plain", alone);
    for (const auto* network : {"left-secret", "left-plain"}) {
        const Container guest("guest");
        lab->host(2).connect(network, guest);
        lab->host(2).warren_ok({"network", "disconnect", network, "guest"});
    }

    const auto shown = manager.warren({"network", "prune"});
    EXPECT_EQ(shown.code, 0);
    EXPECT_THAT(shown.out, AllOf(HasSubstr("left-secret\n"), HasSubstr("left-plain\n"), HasSubstr("new-secret\n"),
                                 HasSubstr("new-plain\n"), Not(HasSubstr("used"))));
    EXPECT_EQ(networks(manager).size(), 6) << "without --force";
    EXPECT_EQ(manager.warren_ok({"network", "prune", "--force"}), shown.out);
    EXPECT_THAT(names_of(networks(manager)), UnorderedElementsAre("used-secret", "used-plain"));
    EXPECT_EQ(unreachable_pairs(talking), "");
    EXPECT_THAT(names_of(endpoints(manager, "used-plain")), ElementsAre("alone"));

    const auto again = manager.warren({"network", "prune", "--force"});
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_EQ(again.out, "");
    EXPECT_EQ(networks(manager).size(), 2);
}

TEST(Labels, AreShownAndFoundByAndOutliveTheManager) {
    const auto lab = cluster_of(1);
    auto& manager = lab->host(1);
    create_network(manager, true, {"--label", "team=blue", "--label", "shelf", "blue"});
    create_network(manager, false, {"--label", "team=red=and=more", "red"});
    create_network(manager, false, {"bare"});
    const auto found = [&](const std::string& label) {
        return names_of(networks(manager, {"--filter", "label=" + label}));
    };
    const auto expect_labels = [&] {
        EXPECT_THAT(inspect(manager, "blue").labels(), UnorderedElementsAre(Pair("team", "blue"), Pair("shelf", "")));
        EXPECT_THAT(inspect(manager, "red").labels(), ElementsAre(Pair("team", "red=and=more")));
        EXPECT_THAT(inspect(manager, "bare").labels(), testing::IsEmpty());
        EXPECT_THAT(manager.warren_ok({"network", "inspect", "blue"}), ContainsRegex("\nLabels: +shelf=, team=blue\n"));
        EXPECT_THAT(found("team=blue"), ElementsAre("blue"));
        EXPECT_THAT(found("team=red=and=more"), ElementsAre("red"));
        EXPECT_THAT(found("team"), UnorderedElementsAre("blue", "red"));
        EXPECT_THAT(found("shelf"), ElementsAre("blue"));
        EXPECT_THAT(found("team=green"), testing::IsEmpty());
    };
    expect_labels();
    manager.kill_daemon(SIGKILL);
    manager.start_daemon();
    expect_labels();
}

TEST(Inspect, SaysWhereEverybodyIsAndHowFarEachNodeHasCome) {
    const auto lab = cluster_of(2);
    const auto& manager = lab->host(1);
    create_network(manager, true, {"net1"});
    const Container web("web");
    const Container store("store");
    manager.connect("net1", web);
    lab->host(2).connect("net1", store, {"--alias", "db", "--service", "http:80", "--publish", "8080:80"});
    manager.warren_ok({"key", "rotate", "net1"});
    const auto all_have_come = [&] {
        const auto network = inspect(manager, "net1");
        return std::ranges::all_of(network.member_nodes(), [&](const v1::NetworkMember& member) {
            return member.acked_revision() == network.revision();
        });
    };
    ASSERT_TRUE(eventually(seconds(10), all_have_come));

    const auto network = inspect(manager, "net1");
    EXPECT_EQ(network.active_epoch(), 2U);
    ASSERT_EQ(network.member_nodes_size(), 2);
    for (const auto& member : network.member_nodes()) {
        EXPECT_TRUE(member.reachable()) << member.node();
        EXPECT_EQ(member.underlay_mtu(), 1500U) << member.node();
        EXPECT_EQ(member.installed_epoch(), 2U) << member.node();
        EXPECT_EQ(member.sending_epoch(), 2U) << member.node();
    }

    const auto shown = manager.warren_ok({"network", "inspect", "-v", "net1"});
    EXPECT_THAT(shown, ContainsRegex(fmt::format("\nMTU: +{}", network.mtu())));
    EXPECT_THAT(shown, ContainsRegex("\nActive epoch: +2\n"));
    EXPECT_THAT(shown, ContainsRegex(fmt::format("\nh1 +192.0.2.1 +ready +{} +1500 +2 +2 *\n", network.revision())));
    EXPECT_THAT(shown, ContainsRegex(fmt::format("\nh2 +192.0.2.2 +ready +{} +1500 +2 +2 *\n", network.revision())));
    EXPECT_THAT(shown, ContainsRegex(fmt::format(" +web +net1 +{}/24 +{} +h1 ", web.ip(), web.mac())));
    EXPECT_THAT(shown, ContainsRegex(fmt::format(" +store +net1 +{}/24 +{} +h2 ", store.ip(), store.mac())));
    EXPECT_THAT(shown, ContainsRegex("\nweb +h1 +192.0.2.1 "));
    EXPECT_THAT(shown, ContainsRegex("\nstore +h2 +192.0.2.2 +db +http:80/tcp +8080:80/tcp *\n"));
    EXPECT_THAT(manager.warren_ok({"network", "inspect", "net1"}), Not(HasSubstr("VTEP")));
}

}  // namespace
}  // namespace warren::lab
