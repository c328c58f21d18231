#include <google/protobuf/text_format.h>

#include <set>

#include "manager/addressing.h"
#include "overlay/model.h"
#include "tests/unit/manager/core_fixture.h"

// Subnets and addresses: which are chosen, which are refused, and when one comes round again.
namespace warren::manager {
namespace {

using base::Code;
using testing::AllOf;
using testing::HasSubstr;

class AddressesTest : public CoreTest {
  protected:
    base::Result<v1::Network> create_from(const std::string& text) {
        v1::NetworkCreateRequest request;
        EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
        return core_->network_create(request);
    }
    v1::Endpoint endpoint(const std::string& name) {
        const auto list = core_->endpoint_list({}).value();
        for (const auto& endpoint : list.endpoints()) {
            if (endpoint.name() == name) {
                return endpoint;
            }
        }
        return {};
    }
    v1::EndpointReply connect_with_mac(const Joined& joined, const std::string& name, const std::string& mac) {
        v1::EndpointRequest request;
        request.mutable_connect()->set_network("net1");
        request.mutable_connect()->set_netns("/run/netns/" + name);
        request.mutable_connect()->set_mac(raw(base::parse_mac("", mac).value()));
        return ask(joined, request);
    }
    std::string ip_of_endpoint(const std::string& name) { return endpoint(name).ip(); }
    // As after a hello that says what the host has.
    Joined with_host_networks(const std::vector<std::string>& networks) {
        auto joined = own_session();
        auto hello = hello_of("192.0.2.1");
        hello.mutable_hello()->mutable_host_networks()->Add(networks.begin(), networks.end());
        joined.agent = std::make_shared<Agent>();
        joined.session =
            core_
                ->session_opened({.cluster = founded_.cluster, .node = founded_.node, .role = certs::Role::kManager},
                                 joined.agent)
                .value();
        core_->session_message(joined.session, hello);
        (void)core_->run();
        return joined;
    }
};

TEST_F(AddressesTest, ComeOutOfTheRangeAndNeverOutOfWhatIsReserved) {
    const auto m1 = own_session();
    const auto made = create_from(R"(name: "net1" subnets: "10.1.0.0/24" ip_ranges: "10.1.0.128/30"
                                     aux_addresses: "printer=10.1.0.129" aux_addresses: "router=10.1.0.9")");
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->subnets(0).ip_range(), "10.1.0.128/30");
    EXPECT_EQ(made->subnets(0).aux_addresses().at("printer"), "10.1.0.129");
    for (const auto* name : {"a", "b", "c"}) {
        ASSERT_EQ(connect(m1, "net1", name).error(), "");
    }
    EXPECT_EQ(ip_of_endpoint("a"), "10.1.0.128/24");
    EXPECT_EQ(ip_of_endpoint("b"), "10.1.0.130/24");
    EXPECT_EQ(ip_of_endpoint("c"), "10.1.0.131/24");
    EXPECT_EQ(connect(m1, "net1", "d").error(), "all addresses of the range 10.1.0.128/30 are taken");
    EXPECT_THAT(connect(m1, "net1", "d", {"10.1.0.9"}).error(), HasSubstr("--ip 10.1.0.9: is reserved for 'router'"));
    EXPECT_EQ(connect(m1, "net1", "d", {"10.1.0.7"}).error(), "") << "outside of the range by choice";
    open();
    EXPECT_EQ(core_->network_list({})->networks(0).subnets(0).ip_range(), "10.1.0.128/30") << "forgotten by a restart";
}

TEST_F(AddressesTest, BadChoicesAreRefusedAndChangeNothing) {
    (void)own_session();
    const struct {
        const char* request;
        const char* says;
    } cases[] = {
        {R"(ip_ranges: "10.1.0.0/25")", "--ip-range: needs the --subnet that it belongs to"},
        {R"(aux_addresses: "a=10.1.0.9")", "--aux-address: needs the --subnet that it belongs to"},
        {R"(subnets: "10.1.0.0/24" ip_ranges: "10.2.0.0/25")", "--ip-range 10.2.0.0/25: must be a part of the subnet"},
        {R"(subnets: "10.1.0.0/24" ip_ranges: "10.1.0.0/25" ip_ranges: "10.1.0.128/25")",
         "--ip-range 10.1.0.128/25: the subnet 10.1.0.0/24 has one already"},
        {R"(gateways: "10.1.0.9")", "--gateway: needs the --subnet that it belongs to"},
        {R"(subnets: "10.1.0.0/24" gateways: "10.1.0.9" gateways: "10.1.0.8")",
         "--gateway 10.1.0.8: the subnet 10.1.0.0/24 has one already"},
        {R"(subnets: "10.1.0.0/24" subnets: "10.2.0.0/24" gateways: "10.3.0.1")",
         "--gateway 10.3.0.1: must be in one of the network's subnets 10.1.0.0/24, 10.2.0.0/24"},
        {R"(subnets: "10.1.0.0/24" subnets: "10.1.0.0/16")",
         "--subnet 10.1.0.0/16: overlaps 10.1.0.0/24 of the same command; choose another one"},
        {R"(subnets: "10.1.0.0/24" subnets: "fd01::/64" subnets: "fd02::/64")",
         "--subnet fd02::/64: has no IPv4 subnet to go with"},
        {R"(subnets: "fe80::/64")", "--subnet fe80::/64: must not be in the link-local range"},
        {R"(subnets: "10.1.0.0/24" subnets: "fd01::/64" aux_addresses: "a=fd01::1")", "fd01::1: is the gateway"},
        {R"(ipv6: true options: "mtu=1200")", "--opt mtu=1200: must be at least 1280 where there is IPv6"},
        {R"(subnets: "10.1.0.0/24" subnets: "10.2.0.0/24" options: "multicast")",
         "--opt multicast: is for networks of one IPv4 subnet; this one has 2"},
        {R"(options: "vni=0")", "--opt vni=0: must be a number from 1 to 16777215, or several with commas between"},
        {R"(options: "vni=5,x")", "--opt vni=5,x: must be a number"},
        {R"(options: "vni=5,6")", "--opt vni: names 2, and the network needs 1: one for each of its IPv4 subnets"},
        {R"(subnets: "10.1.0.0/24" ip_ranges: "x")", "--ip-range 'x'"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "10.1.0.9")", "--aux-address '10.1.0.9': must be NAME=IP"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "=10.1.0.9")", "--aux-address '=10.1.0.9': must be NAME=IP"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "a=b")", "--aux-address 'b'"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "a=10.2.0.9")", "--aux-address 10.2.0.9: must be in the network's"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "a=10.1.0.1")", "--aux-address 10.1.0.1: is the gateway"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "a=10.1.0.9" aux_addresses: "b=10.1.0.9")", "10.1.0.9: given twice"},
        {R"(subnets: "10.1.0.0/24" aux_addresses: "a=10.1.0.8" aux_addresses: "a=10.1.0.9")",
         "the name is given twice"},
    };
    for (const auto& it : cases) {
        const auto refused = create_from(std::string(R"(name: "net1" )") + it.request);
        ASSERT_FALSE(refused) << it.request;
        EXPECT_THAT(refused.error().message(), HasSubstr(it.says)) << it.request;
    }
    EXPECT_EQ(core_->network_list({})->networks_size(), 0);
}

TEST_F(AddressesTest, EachPartOfANetworkHasASubnetOfEitherFamilyAndAVni) {
    const auto m1 = own_session();
    const auto made = create_from(R"(name: "net1" subnets: "10.1.0.0/24" subnets: "fd01::/64" subnets: "10.2.0.0/24"
                                     ipv6: true gateways: "10.2.0.9" aux_addresses: "printer=fd01::2")");
    ASSERT_TRUE(made) << made.error().message();
    ASSERT_EQ(made->subnets_size(), 4);
    EXPECT_EQ(made->subnets(1).subnet(), "fd01::/64");
    EXPECT_EQ(made->subnets(2).gateway(), "10.2.0.9");
    EXPECT_EQ(made->subnets(3).subnet(), fmt::format("{}/64", local_prefix(founded_.cluster).address));
    EXPECT_EQ(made->subnets(0).vni(), made->subnets(1).vni());
    EXPECT_NE(made->subnets(0).vni(), made->subnets(2).vni());
    EXPECT_EQ(made->vnis_size(), 2);
    EXPECT_THAT(create("net2", {"vni=" + std::to_string(made->vnis(1))}).error().message(),
                HasSubstr("another network has it"));
    const auto more = create_from(R"(name: "net2" ipv6: true)");
    const auto own = local_prefix(founded_.cluster);
    EXPECT_TRUE(own.contains(base::parse_prefix("", more->subnets(1).subnet()).value().address)) << own.text();
    EXPECT_NE(more->subnets(1).subnet(), made->subnets(3).subnet());

    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    EXPECT_EQ(endpoint("a").ip(), "10.1.0.2/24");
    EXPECT_EQ(endpoint("a").ipv6(), "fd01::3/64");
    ASSERT_EQ(connect(m1, "net1", "b", {"10.2.0.7"}).error(), "");
    EXPECT_EQ(endpoint("b").ipv6().substr(0, 2), "fd");
    EXPECT_THAT(connect(m1, "net1", "c", {"10.1.0.7", "10.1.0.8"}).error(), HasSubstr("a second one of this family"));
    EXPECT_THAT(connect(m1, "net1", "c", {"10.2.0.8", "fd01::9"}).error(), HasSubstr("is not beside 10.2.0.8"));
    EXPECT_THAT(connect(m1, "net1", "c", {"fd01::3"}).error(), HasSubstr("--ip fd01::3: is taken by another endpoint"));
    EXPECT_THAT(connect(m1, "net1", "c", {"10.9.0.3"}).error(),
                HasSubstr("--ip 10.9.0.3: must be in one of the network's subnets 10.1.0.0/24, fd01::/64"));
    ASSERT_EQ(disconnect(m1, "net1", "a").error(), "");
    ASSERT_EQ(connect(m1, "net1", "d").error(), "");
    EXPECT_EQ(endpoint("d").ipv6(), "fd01::4/64") << "the other one rests";
}

TEST_F(AddressesTest, WhenOnePartIsFullTheNextOneIsTaken) {
    const auto m1 = own_session();
    ASSERT_TRUE(create_from(R"(name: "net1" subnets: "10.1.0.0/29" subnets: "10.2.0.0/29")"));
    for (const auto* name : {"a", "b", "c", "d", "e", "f"}) {
        ASSERT_EQ(connect(m1, "net1", name).error(), "");
    }
    EXPECT_EQ(endpoint("e").ip(), "10.1.0.6/29");
    EXPECT_EQ(endpoint("f").ip(), "10.2.0.2/29");
}

TEST_F(AddressesTest, AVniThatSomebodyChoseRestsAsOthersDo) {
    (void)own_session();
    ASSERT_TRUE(create("net1", {"vni=7001"}));
    EXPECT_EQ(core_->network_list({})->networks(0).vnis(0), 7001U);
    v1::NetworkRemoveRequest remove;
    remove.set_network("net1");
    ASSERT_TRUE(core_->network_remove(remove));
    now_ += 1h;
    EXPECT_THAT(create("net2", {"vni=7001"}).error().message(), HasSubstr("it is free in 23h"));
    now_ += 23h;
    EXPECT_TRUE(create("net2", {"vni=7001"}));
}

TEST_F(AddressesTest, OneThatWasFreedRestsForAMinute) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/29"));
    for (const auto* name : {"a", "b", "c", "d", "e"}) {
        ASSERT_EQ(connect(m1, "net1", name).error(), "");
    }
    ASSERT_EQ(disconnect(m1, "net1", "b").error(), "");
    now_ += 59s;
    EXPECT_THAT(
        connect(m1, "net1", "f").error(),
        AllOf(HasSubstr("all addresses of the subnet 10.1.0.0/29 are taken"),
              HasSubstr("freed within the last minute (1 of them) and rest: try again, or choose one with --ip")));
    ASSERT_EQ(disconnect(m1, "net1", "c").error(), "");
    EXPECT_EQ(connect(m1, "net1", "c", {"10.1.0.4"}).error(), "") << "whoever asks for it gets it back";
    now_ += 2s;
    EXPECT_EQ(connect(m1, "net1", "f").error(), "");
    EXPECT_EQ(ip_of_endpoint("f"), "10.1.0.3/29");
}

TEST_F(AddressesTest, AChoiceDoesNotMoveWhereTheNextOnesComeFrom) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    ASSERT_EQ(connect(m1, "net1", "a").error(), "");
    ASSERT_EQ(connect(m1, "net1", "b", {"10.1.0.200"}).error(), "");
    ASSERT_EQ(connect(m1, "net1", "c").error(), "");
    EXPECT_EQ(ip_of_endpoint("c"), "10.1.0.3/24");
}

TEST_F(AddressesTest, ANetworkHasNotWhatAHostHas) {
    const auto m1 =
        with_host_networks({"10.128.0.0/24 the host's route via eth1", "10.9.9.9/32 the resolver",
                            "10.0.0.0/8 the host's route via vpn", "192.0.2.0/24 the host's route via eth0"});
    const auto refused = create("net1", {}, "10.128.0.0/16");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kConflict);
    EXPECT_THAT(refused.error().message(),
                HasSubstr("--subnet 10.128.0.0/16: overlaps 10.128.0.0/24 of the host's route via eth1 of node"));
    EXPECT_THAT(create("net1", {}, "10.9.9.0/24").error().message(),
                HasSubstr("--subnet 10.9.9.0/24: overlaps 10.9.9.9/32 of the resolver of node"));
    EXPECT_EQ(core_->network_list({})->networks_size(), 0);
    EXPECT_TRUE(create("chosen", {}, "10.5.0.0/16")) << "out of a route for much more, by choice";
    // All of the pool is in the route for much more: what no host has itself is taken.
    const auto made = create("auto");
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->subnets(0).subnet(), "10.128.1.0/24");
}

TEST_F(AddressesTest, WhatAHostHasIsFollowed) {
    const auto m1 = with_host_networks({"10.128.0.0/24 the host's route via eth1"});
    v1::FromAgent message;
    message.mutable_host_networks()->add_networks("10.200.0.0/24 the host's route via vpn");
    core_->session_message(m1.session, message);
    (void)core_->run();
    EXPECT_THAT(create("net1", {}, "10.200.0.0/16").error().message(), HasSubstr("the host's route via vpn of node"));
    EXPECT_EQ(core_->network_list({})->networks_size(), 0);
    EXPECT_TRUE(create("net1", {}, "10.128.0.0/24")) << "the host has it no more";
}

TEST_F(AddressesTest, NamesMacsAndContainersAreFoundAmongManyAfterChanges) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    ASSERT_EQ(connect(m1, "net1", "a", {"10.1.0.3"}).error(), "");
    EXPECT_THAT(connect(m1, "net1", "a").error(), HasSubstr("--netns /run/netns/a: is in network 'net1' already"));
    v1::EndpointRequest same;
    same.mutable_connect()->set_network("net1");
    same.mutable_connect()->set_netns("/run/netns/other");
    same.mutable_connect()->set_name("a");
    EXPECT_THAT(ask(m1, same).error(), HasSubstr("--name 'a': taken by endpoint"));
    EXPECT_THAT(connect_with_mac(m1, "b", "02:57:0a:01:00:03").error(),
                HasSubstr("--mac 02:57:0a:01:00:03: taken by endpoint 'a'"));
    ASSERT_EQ(disconnect(m1, "net1", "a").error(), "");
    EXPECT_EQ(connect_with_mac(m1, "b", "02:57:0a:01:00:03").error(), "") << "what is gone has nothing any more";
}

TEST_F(AddressesTest, WhoeverHasTheMacAddressThatFollowsFromAnAddressKeepsNobodyFromThatAddress) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    ASSERT_EQ(connect_with_mac(m1, "a", "02:57:0a:01:00:03").error(), "");
    for (const auto* name : {"b", "c"}) {
        ASSERT_EQ(connect(m1, "net1", name).error(), "");
    }
    std::set<std::string> macs;
    std::set<std::string> ips;
    const auto list = core_->endpoint_list({}).value();
    for (const auto& endpoint : list.endpoints()) {
        macs.insert(endpoint.mac());
        ips.insert(endpoint.ip());
    }
    EXPECT_EQ(macs.size(), 3U);
    EXPECT_THAT(ips, testing::Contains("10.1.0.3/24"));
}

TEST_F(AddressesTest, AGatewaysMacAddressIsNoEndpoints) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    const auto id = base::parse_id<base::NetworkId>("", core_->network_list({})->networks(0).id()).value();
    const auto gateway = overlay::gateway_mac(id, 0).text();
    EXPECT_EQ(connect_with_mac(m1, "a", gateway).error(),
              "--mac " + gateway + ": is that of a gateway of network 'net1'; choose another one");
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 0);
    const auto beside = overlay::gateway_mac(id, 1).text();
    EXPECT_EQ(connect_with_mac(m1, "a", beside).error(), "") << "the network has one bridge";
}

TEST_F(AddressesTest, WhatAnEndpointOffersIsToldToAllMembersAndShown) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    v1::EndpointRequest request;
    request.mutable_connect()->set_network("net1");
    request.mutable_connect()->set_netns("/run/netns/web");
    for (const auto* service : {"http:80/tcp", "http:8080/tcp", "dns:53/udp"}) {
        request.mutable_connect()->add_services(service);
    }
    ASSERT_EQ(ask(m1, request).error(), "");
    const auto* told = m1.agent->last(v1::FromManager::kSnapshot);
    ASSERT_NE(told, nullptr);
    EXPECT_THAT(told->snapshot().content().endpoints(0).services(),
                testing::ElementsAre("http:80/tcp", "http:8080/tcp", "dns:53/udp"));
    EXPECT_THAT(core_->endpoint_list({})->endpoints(0).services(),
                testing::ElementsAre("http:80/tcp", "http:8080/tcp", "dns:53/udp"));
    open();
    EXPECT_EQ(core_->endpoint_list({})->endpoints(0).services_size(), 3) << "forgotten by a restart";
}

TEST_F(AddressesTest, WhatIsNoServiceIsRefusedAndChangesNothing) {
    const auto m1 = own_session();
    ASSERT_TRUE(create("net1", {}, "10.1.0.0/24"));
    const struct {
        std::vector<std::string> services;
        const char* says;
    } cases[] = {
        {{"http"}, "--service 'http': a name and a port are needed; it is NAME:PORT[/tcp|udp]"},
        {{"dns:53/udp", "http:80", "http:80/tcp"}, "--service http:80/tcp: given twice; once is enough"},
    };
    for (const auto& it : cases) {
        v1::EndpointRequest request;
        request.mutable_connect()->set_network("net1");
        request.mutable_connect()->set_netns("/run/netns/web");
        request.mutable_connect()->mutable_services()->Add(it.services.begin(), it.services.end());
        EXPECT_THAT(ask(m1, request).error(), HasSubstr(it.says));
    }
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 0);
}

class TakeOverTest : public AddressesTest {
  protected:
    // `db` is on w1, and so is its only one; w2 is a member, too.
    void SetUp() override {
        m1_ = own_session();
        w1_ = begin_session(join("w1", "192.0.2.2"), "192.0.2.2");
        w2_ = begin_session(join("w2", "192.0.2.3"), "192.0.2.3");
        ASSERT_TRUE(create("net1", {"encrypted"}, "10.1.0.0/24"));
        ASSERT_EQ(connect(m1_, "net1", "web").error(), "");
        v1::EndpointRequest request = asking(false);
        request.mutable_connect()->set_mac(raw(base::parse_mac("", "02:00:00:00:00:07").value()));
        ASSERT_EQ(ask(w1_, request).error(), "");
        acknowledge(m1_);
    }
    static v1::EndpointRequest asking(bool take_over) {
        v1::EndpointRequest request;
        request.mutable_connect()->set_network("net1");
        request.mutable_connect()->set_netns("/run/netns/db");
        request.mutable_connect()->set_name("db");
        request.mutable_connect()->set_take_over(take_over);
        return request;
    }
    void silence(const Joined& joined) {
        core_->session_closed(joined.session);
        (void)core_->run();
    }
    std::vector<std::string> members() {
        std::vector<std::string> names;
        const auto network = inspect();
        for (const auto& member : network.member_nodes()) {
            names.push_back(member.node());
        }
        return names;
    }
    v1::Endpoint db() {
        const auto list = core_->endpoint_list({}).value();
        for (const auto& endpoint : list.endpoints()) {
            if (endpoint.name() == "db") {
                return endpoint;
            }
        }
        return {};
    }

    Joined m1_, w1_, w2_;
};

TEST_F(TakeOverTest, WhoSaysSoIsTheEndpointFromNowOn) {
    EXPECT_THAT(ask(w2_, asking(false)).error(), AllOf(HasSubstr("--name 'db': taken by endpoint"),
                                                       HasSubstr("on node 'w1'"), HasSubstr("--take-over")));
    const auto before = db();
    ASSERT_EQ(ask(w2_, asking(true)).error(), "");
    const auto now = db();
    EXPECT_EQ(now.ip(), before.ip());
    EXPECT_EQ(now.mac(), "02:00:00:00:00:07") << "which all others have in their caches";
    EXPECT_EQ(now.node(), "w2");
    EXPECT_NE(now.id(), before.id());
    EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 2);
    EXPECT_THAT(members(), testing::UnorderedElementsAre("m1", "w2"));
    EXPECT_NE(w1_.agent->last(v1::FromManager::kGone), nullptr) << "where it was nobody is told";
    EXPECT_TRUE(std::ranges::any_of(m1_.agent->messages, [](const auto& message) {
        return message.has_delta() && message.delta().endpoints_gone_size() == 1 &&
               message.delta().endpoints_size() == 1;
    })) << "one goes and one comes in one step";
    // What the former member knows is replaced.
    const auto epochs = core_->key_list({})->epochs_size();
    EXPECT_EQ(epochs, 2);
}

TEST_F(TakeOverTest, WhatNobodyHasIsThereToBeHad) {
    auto request = asking(true);
    request.mutable_connect()->set_name("new");
    EXPECT_EQ(ask(w2_, request).error(), "");
    EXPECT_EQ(endpoint("new").node(), "w2");
    EXPECT_EQ(db().node(), "w1");
}

TEST_F(TakeOverTest, BeingSilentForAWhileEndsNothingByItself) {
    silence(w1_);
    now_ += 11min;
    (void)core_->run();
    EXPECT_THAT(members(), testing::UnorderedElementsAre("m1", "w1"));
    EXPECT_EQ(db().node(), "w1");
    // But then it gives way to the same elsewhere, by name.
    w2_ = begin_session(w2_.node, "192.0.2.3");
    EXPECT_EQ(connect(w2_, "net1", "other").error(), "");
    EXPECT_EQ(db().node(), "w1");
    EXPECT_EQ(ask(w2_, asking(false)).error(), "");
    EXPECT_EQ(db().node(), "w2");
}

TEST_F(TakeOverTest, ItsTimeBeginsAnewWithAManagerThatBegins) {
    silence(w1_);
    now_ += 9min;
    EXPECT_NE(ask(w2_, asking(false)).error(), "");
    open();
    w2_ = begin_session(w2_.node, "192.0.2.3");
    now_ += 9min;
    EXPECT_NE(ask(w2_, asking(false)).error(), "") << "this manager has not listened for as long";
    now_ += 2min;
    EXPECT_EQ(ask(w2_, asking(false)).error(), "");
}

TEST_F(TakeOverTest, AContainerThatIsMadeAnewOnItsNodeStaysAMember) {
    const auto before = told_membership(m1_, w1_.node);
    auto request = asking(true);
    request.mutable_connect()->set_netns("/run/netns/db-again");
    const auto ip = db().ip();
    ASSERT_EQ(ask(w1_, request).error(), "");
    EXPECT_EQ(db().ip(), ip);
    EXPECT_EQ(db().netns(), "/run/netns/db-again");
    EXPECT_EQ(told_membership(m1_, w1_.node), before);
    EXPECT_EQ(core_->key_list({})->epochs_size(), 1) << "nobody has left";
}

TEST_F(TakeOverTest, AnotherAddressIsTakenIfOneIsAskedForAndWhatCannotBeChangesNothing) {
    auto request = asking(true);
    request.mutable_connect()->add_ips(raw(ip("10.1.0.2")));
    EXPECT_THAT(ask(w2_, request).error(), HasSubstr("--ip 10.1.0.2: is taken by another endpoint"));
    EXPECT_EQ(db().node(), "w1");
    request.mutable_connect()->set_ips(0, raw(ip("10.1.0.99")));
    EXPECT_EQ(ask(w2_, request).error(), "");
    EXPECT_EQ(db().ip(), "10.1.0.99/24");
    EXPECT_EQ(db().mac(), "02:57:0a:01:00:63");
}

}  // namespace
}  // namespace warren::manager
