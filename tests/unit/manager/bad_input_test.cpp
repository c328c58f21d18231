#include <google/protobuf/text_format.h>

#include "tests/unit/manager/core_fixture.h"

// What networks and endpoints are refused for, in all words: which field, which value, which rule. Nothing is written
// for it.
namespace warren::manager {
namespace {

using base::Code;

struct Bad {
    std::string_view request;  // in protobuf's text format, without the name
    std::string_view says;
    Code code = Code::kInvalid;
};

class BadInputTest : public CoreTest {
  protected:
    void SetUp() override {
        m1_ = own_session();
        ASSERT_TRUE(core_->network_create(
            request_of<v1::NetworkCreateRequest>(R"(name: "net1" options: "encrypted" options: "vni=7001"
                subnets: "10.1.0.0/24" aux_addresses: "router=10.1.0.9")")));
        ASSERT_EQ(connect(m1_, "net1", "web", {"10.1.0.7"}).error(), "");
        acknowledge(m1_);
        before_ = written();
    }
    void TearDown() override {
        EXPECT_EQ(written(), before_) << "what was refused has left something";
        EXPECT_EQ(core_->endpoint_list({})->endpoints_size(), 1);
    }

    std::uint64_t written() { return cluster_.store->revision()->value; }

    template <typename Request>
    static Request request_of(std::string_view text) {
        Request request;
        EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(std::string(text), &request)) << text;
        return request;
    }
    void expect_no_network(const std::vector<Bad>& cases) {
        for (const auto& bad : cases) {
            auto request = request_of<v1::NetworkCreateRequest>(bad.request);
            request.set_name("net2");
            const auto refused = core_->network_create(request);
            ASSERT_FALSE(refused) << bad.request;
            EXPECT_EQ(refused.error().message(), bad.says);
            EXPECT_EQ(refused.error().code(), bad.code) << bad.says;
        }
        EXPECT_EQ(core_->network_list({})->networks_size(), 1);
    }
    void expect_no_update(const std::string& network, const std::vector<std::string>& options, std::string_view says) {
        const auto refused = update(options, network);
        ASSERT_FALSE(refused) << says;
        EXPECT_EQ(refused.error().message(), says);
    }
    // In a container that is in no network yet.
    void expect_no_endpoint(const v1::ConnectEndpoint& wanted, std::string_view says) {
        v1::EndpointRequest request;
        *request.mutable_connect() = wanted;
        request.mutable_connect()->set_network("net1");
        request.mutable_connect()->set_netns("/run/netns/spare");
        EXPECT_EQ(ask(m1_, request).error(), says);
    }

    Joined m1_;
    std::uint64_t before_ = 0;
};

TEST_F(BadInputTest, LabelsHaveAKeyEachOfItsOwn) {
    expect_no_network({
        {R"(labels: "=value")", "--label '=value': must be KEY or KEY=VALUE"},
        {R"(labels: "")", "--label '': must be KEY or KEY=VALUE"},
        {R"(labels: "a=1" labels: "b" labels: "a=2")", "--label 'a=2': the key is given twice; give each KEY once"},
        {R"(labels: "a" labels: "a")", "--label 'a': the key is given twice; give each KEY once"},
    });
}

TEST_F(BadInputTest, AVniIsOneOfTheNetworkAlone) {
    constexpr std::string_view kRule = ": must be a number from 1 to 16777215, or several with commas between them";
    const auto zero = "--opt vni=0" + std::string(kRule);
    const auto large = "--opt vni=16777216" + std::string(kRule);
    expect_no_network({
        {R"(options: "vni=0")", zero},
        {R"(options: "vni=16777216")", large},
        {R"(options: "vni=7,7")", "--opt vni=7,7: 7 is given twice; each subnet needs one of its own"},
        {R"(subnets: "10.2.0.0/24" subnets: "10.3.0.0/24" options: "vni=9,9")",
         "--opt vni=9,9: 9 is given twice; each subnet needs one of its own"},
        {R"(options: "vni=7001")", "--opt vni=7001: another network has it; choose another one, or none",
         Code::kConflict},
        {R"(subnets: "10.2.0.0/24" subnets: "10.3.0.0/24" options: "vni=7002,7001")",
         "--opt vni=7001: another network has it; choose another one, or none", Code::kConflict},
    });
    // The first one of the two is free still.
    ASSERT_TRUE(create("net2", {"vni=7002"}));
    before_ = written();
}

TEST_F(BadInputTest, MulticastIsOnOrOff) {
    expect_no_network({
        {R"(options: "multicast=on")", "--opt multicast=on: must be true or false"},
        {R"(options: "multicast=")", "--opt multicast=: must be true or false"},
    });
}

TEST_F(BadInputTest, AGatewayIsAHostAddressOfItsSubnet) {
    expect_no_network({
        {R"(subnets: "10.2.0.0/24" gateways: "x")", "--gateway 'x': must be an IPv4 or IPv6 address"},
        {R"(subnets: "10.2.0.0/24" gateways: "10.2.0.0")",
         "--gateway 10.2.0.0: must be a host address of the subnet 10.2.0.0/24"},
        {R"(subnets: "10.2.0.0/24" gateways: "10.2.0.255")",
         "--gateway 10.2.0.255: must be a host address of the subnet 10.2.0.0/24"},
        {R"(subnets: "10.2.0.0/24" subnets: "fd01::/64" gateways: "fd01::")",
         "--gateway fd01::: must be a host address of the subnet fd01::/64"},
    });
}

TEST_F(BadInputTest, ARangeIsPartOfItsSubnet) {
    expect_no_network({
        {R"(subnets: "10.2.0.0/24" ip_ranges: "x")", "--ip-range 'x': must be ADDRESS/LENGTH, such as 10.1.0.0/24"},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.0/23")",
         "--ip-range 10.2.0.0/23: must be a part of the subnet 10.2.0.0/24"},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.3.0.0/25")",
         "--ip-range 10.3.0.0/25: must be a part of the subnet 10.2.0.0/24"},
    });
}

TEST_F(BadInputTest, ANetworkHasAddressesToGiveOut) {
    const auto none = [](const std::string& what) {
        return what +
               ": must have an address to give out, beside the network, broadcast, gateway and reserved ones; choose a "
               "larger one";
    };
    const auto network = none("--ip-range 10.2.0.0/32");
    const auto first = none("--ip-range 10.2.0.0/31");
    const auto broadcast = none("--ip-range 10.2.0.255/32");
    const auto gateway = none("--ip-range 10.2.0.9/32");
    const auto reserved = none("--ip-range 10.2.0.8/31");
    const auto anycast = none("--ip-range fd01::/127");
    const auto whole = none("--subnet 10.2.0.0/29");
    expect_no_network({
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.0/32")", network},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.0/31")", first},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.255/32")", broadcast},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.9/32" gateways: "10.2.0.9")", gateway},
        {R"(subnets: "10.2.0.0/24" ip_ranges: "10.2.0.8/31" aux_addresses: "a=10.2.0.8" aux_addresses: "b=10.2.0.9")",
         reserved},
        {R"(subnets: "10.2.0.0/24" subnets: "fd01::/64" ip_ranges: "fd01::/127")", anycast},
        {R"(subnets: "10.2.0.0/29" aux_addresses: "a=10.2.0.2" aux_addresses: "b=10.2.0.3" aux_addresses: "c=10.2.0.4"
            aux_addresses: "d=10.2.0.5" aux_addresses: "e=10.2.0.6")",
         whole},
    });
}

TEST_F(BadInputTest, OneAddressIsARange) {
    auto request = request_of<v1::NetworkCreateRequest>(
        R"(name: "net2" subnets: "10.2.0.0/24" ip_ranges: "10.2.0.0/31" gateways: "10.2.0.9")");
    ASSERT_TRUE(core_->network_create(request));
    before_ = written();
}

TEST_F(BadInputTest, AReservedAddressIsAHostAddressWithAName) {
    expect_no_network({
        {R"(subnets: "10.2.0.0/24" aux_addresses: "10.2.0.9")", "--aux-address '10.2.0.9': must be NAME=IP"},
        {R"(subnets: "10.2.0.0/24" aux_addresses: "=10.2.0.9")", "--aux-address '=10.2.0.9': must be NAME=IP"},
        {R"(subnets: "10.2.0.0/24" aux_addresses: "a=b")", "--aux-address 'b': must be an IPv4 or IPv6 address"},
        {R"(subnets: "10.2.0.0/24" aux_addresses: "a=")", "--aux-address '': must be an IPv4 or IPv6 address"},
        {R"(subnets: "10.2.0.0/24" aux_addresses: "a=10.3.0.9")",
         "--aux-address 10.3.0.9: must be in the network's subnet 10.2.0.0/24"},
    });
}

TEST_F(BadInputTest, AnUpdateIsWholeOrNone) {
    const auto before = inspect().SerializeAsString();
    expect_no_update("nope", {"mtu=1300"}, "network 'nope': not found; see: warren network ls");
    expect_no_update(
        "net1", {},
        "network 'net1': nothing to change: give --opt KEY=VALUE with one of cipher, encap, replay-window, "
        "key-rotation, rekey-after-packets, rekey-after-bytes, multicast, mtu");
    expect_no_update("net1", {"colour=red"},
                     "network 'net1': --opt colour: unknown option; known are cipher, encap, replay-window, "
                     "key-rotation, rekey-after-packets, rekey-after-bytes, multicast, mtu");
    expect_no_update("net1", {"multicast=maybe"}, "network 'net1': --opt multicast=maybe: must be true or false");
    expect_no_update("net1", {"vni=7"},
                     "network 'net1': --opt vni: can't be changed: its VXLAN devices have the old one; make another "
                     "network");
    expect_no_update("net1", {"encrypted=false"},
                     "network 'net1': --opt encrypted: can't be changed: a network is encrypted or plain from its "
                     "beginning; make another network");
    for (const auto* bad : {"multicast=maybe", "vni=7", "key-rotation=1h"}) {
        EXPECT_FALSE(update({"key-rotation=2h", "mtu=1300", "multicast=true", bad})) << bad;
    }
    EXPECT_EQ(inspect().SerializeAsString(), before);
}

TEST_F(BadInputTest, MulticastIsForNetworksOfOnePart) {
    ASSERT_TRUE(core_->network_create(
        request_of<v1::NetworkCreateRequest>(R"(name: "two" subnets: "10.2.0.0/24" subnets: "10.3.0.0/24")")));
    before_ = written();
    expect_no_update("two", {"mtu=1300", "multicast"},
                     "network 'two': --opt multicast: is for networks of one IPv4 subnet; this one has 2");
    EXPECT_FALSE(inspect("two").multicast());
}

TEST_F(BadInputTest, AliasesAreNames) {
    constexpr auto kRule =
        "--alias '{}': must be 1 to 63 letters, digits, '_', '.' or '-', and begin with a letter or digit";
    for (const std::string alias : {"a/b", "", "-a", "a b"}) {
        v1::ConnectEndpoint request;
        request.add_aliases("good");
        request.add_aliases(alias);
        expect_no_endpoint(request, fmt::format(kRule, alias));
    }
}

TEST_F(BadInputTest, AnEndpointHasOneAddressOfEachFamilyThatIsFreeAndOfTheNetwork) {
    const struct {
        std::vector<std::string> ips;
        std::string_view says;
    } cases[] = {
        {{"10.1.0.8", "10.1.0.10"},
         "--ip 10.1.0.10: a second one of this family after 10.1.0.8: an endpoint has one of each"},
        {{"10.1.0.9"}, "--ip 10.1.0.9: is reserved for 'router' (--aux-address); choose another one"},
        {{"10.9.9.9"}, "--ip 10.9.9.9: must be in the network's subnet 10.1.0.0/24"},
        {{"fd01::9"}, "--ip fd01::9: must be in the network's subnet 10.1.0.0/24"},
        {{"10.1.0.7"},
         "--ip 10.1.0.7: is taken by another endpoint of the network; choose another one, or none for the next that is "
         "free"},
    };
    for (const auto& bad : cases) {
        v1::ConnectEndpoint request;
        for (const auto& address : bad.ips) {
            request.add_ips(raw(ip(address)));
        }
        expect_no_endpoint(request, bad.says);
        // Nor is the one of that name taken over before the rest is found to be right.
        request.set_name("web");
        request.set_take_over(true);
        if (bad.ips.front() != "10.1.0.7") {  // its own
            expect_no_endpoint(request, bad.says);
        }
    }
}

TEST_F(BadInputTest, AMacAddressIsOneEndpoints) {
    v1::ConnectEndpoint request;
    request.set_mac(raw(base::parse_mac("", "02:57:0a:01:00:07").value()));
    expect_no_endpoint(request, "--mac 02:57:0a:01:00:07: taken by endpoint 'web'; choose another one");
}

TEST_F(BadInputTest, NothingOfAnInternalNetworkIsPublished) {
    ASSERT_TRUE(core_->network_create(request_of<v1::NetworkCreateRequest>(R"(name: "inside" internal: true)")));
    before_ = written();
    v1::EndpointRequest request;
    request.mutable_connect()->set_network("inside");
    request.mutable_connect()->set_netns("/run/netns/spare");
    request.mutable_connect()->add_publish("8080:80/tcp");
    EXPECT_EQ(ask(m1_, request).error(), "--publish 8080:80/tcp: network 'inside' is internal: nothing gets in or out");
}

}  // namespace
}  // namespace warren::manager
