#include "dns/zone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace warren::dns {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

base::IpAddress ip(const char* text) {
    return base::parse_ip("ip", text).value();
}

const Zone kNet1("net1", {base::parse_prefix("subnet", "10.128.0.0/24").value()},
                 {{.name = "web", .aliases = {"www"}, .ips = {ip("10.128.0.2")}},
                  {.name = "Db", .aliases = {"www", "store.v2"}, .ips = {ip("10.128.0.3")}},
                  {.name = "strange..name", .aliases = {"."}, .ips = {ip("10.128.0.4")}}});
const Zone kNet2("net2", {base::parse_prefix("subnet", "10.128.1.0/24").value()},
                 {{.name = "web", .aliases = {}, .ips = {ip("10.128.1.2")}},
                  {.name = "mail", .aliases = {}, .ips = {ip("10.128.1.3")}}});
const Zone kSix("six", {base::parse_prefix("subnet", "fd00::/64").value()},
                {{.name = "web6", .aliases = {}, .ips = {ip("fd00::2")}}});

Query query(const std::string& name, Type type = Type::kA) {
    return {.question = Question{.name = name, .type = type, .internet = true, .wire = {}}};
}
Answer asked(const std::string& name, Type type = Type::kA, std::uint64_t dice = 0) {
    const std::array zones{&kNet1, &kNet2, &kSix};
    return answer(query(name, type), zones, dice);
}
std::vector<std::string> data(const Answer& answer) {
    std::vector<std::string> list;
    for (const auto& record : answer.records) {
        const auto* address = std::get_if<base::IpAddress>(&record.data);
        const auto* service = std::get_if<ServiceLocation>(&record.data);
        list.push_back(address != nullptr   ? address->text()
                       : service != nullptr ? service->target + ":" + std::to_string(service->port)
                                            : std::get<std::string>(record.data));
    }
    return list;
}

TEST(ZoneAnswer, ANameAloneIsOfTheFirstNetworkThatHasIt) {
    EXPECT_THAT(data(asked("web")), ElementsAre("10.128.0.2"));
    EXPECT_THAT(data(asked("mail")), ElementsAre("10.128.1.3"));
    EXPECT_TRUE(asked("web").authoritative);
    EXPECT_EQ(asked("web").records[0].ttl, std::chrono::seconds(5));
    const std::array other_way{&kNet2, &kNet1};
    EXPECT_THAT(data(answer(query("web"), other_way, 0)), ElementsAre("10.128.1.2"));
}

TEST(ZoneAnswer, ANameHasTheAddressesOfBothFamilies) {
    const Zone zone(
        "both",
        {base::parse_prefix("subnet", "10.9.0.0/24").value(), base::parse_prefix("subnet", "fd09::/64").value()},
        {{.name = "web", .aliases = {"www"}, .ips = {ip("10.9.0.2"), ip("fd09::2")}}});
    const std::array zones{&zone};
    for (const auto* name : {"web", "www.both"}) {
        EXPECT_THAT(data(answer(query(name), zones, 1)), ElementsAre("10.9.0.2"));
        EXPECT_THAT(data(answer(query(name, Type::kAaaa), zones, 1)), ElementsAre("fd09::2"));
    }
    EXPECT_THAT(data(answer(query("2.0.9.10.in-addr.arpa", Type::kPtr), zones, 0)), ElementsAre("web.both"));
    const auto* const reverse = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.0.d.f.ip6.arpa";
    EXPECT_THAT(data(answer(query(reverse, Type::kPtr), zones, 0)), ElementsAre("web.both"));
    EXPECT_TRUE(zone.covers(ip("fd09::77")));
    EXPECT_FALSE(zone.covers(ip("fd0a::77")));
}

TEST(ZoneAnswer, WithItsNetworkItIsOfThatOne) {
    EXPECT_THAT(data(asked("web.net2")), ElementsAre("10.128.1.2"));
    EXPECT_THAT(data(asked("www.net1")), UnorderedElementsAre("10.128.0.2", "10.128.0.3"));
    EXPECT_EQ(asked("mail.net1").rcode, Rcode::kNameError);
    EXPECT_EQ(asked("web.net3").rcode, Rcode::kRefused) << "no network of the asker's";
}

TEST(ZoneAnswer, SeveralAddressesTakeTurns) {
    EXPECT_THAT(data(asked("www", Type::kA, 0)), ElementsAre("10.128.0.2", "10.128.0.3"));
    EXPECT_THAT(data(asked("www", Type::kA, 1)), ElementsAre("10.128.0.3", "10.128.0.2"));
}

TEST(ZoneAnswer, OfManyAddressesItHasAHundredThatTurn) {
    std::vector<Host> hosts;
    for (std::uint32_t i = 2; i < 250; ++i) {
        hosts.push_back(
            {.name = "c" + std::to_string(i), .aliases = {"all"}, .ips = {base::IpAddress::v4(0x0a800000U + i)}});
    }
    const Zone large("large", {base::parse_prefix("subnet", "10.128.0.0/24").value()}, hosts);
    const std::array zones{&large};
    const auto first = answer(query("all"), zones, 0);
    EXPECT_EQ(first.records.size(), 100U);
    EXPECT_EQ(data(first).front(), "10.128.0.2");
    EXPECT_EQ(data(answer(query("all"), zones, 200)).front(), "10.128.0.202");
}

TEST(ZoneAnswer, ANameWithoutSuchARecordIsNoUnknownName) {
    const auto none = asked("web", Type::kAaaa);
    EXPECT_EQ(none.rcode, Rcode::kNoError);
    EXPECT_THAT(none.records, IsEmpty());
    EXPECT_THAT(data(asked("web6", Type::kAaaa)), ElementsAre("fd00::2"));
    EXPECT_THAT(data(asked("web6", Type::kA)), IsEmpty());
    EXPECT_EQ(asked("nobody").rcode, Rcode::kNameError);
    EXPECT_EQ(asked("nobody.net1", Type::kAaaa).rcode, Rcode::kNameError);
    EXPECT_THAT(data(asked("web", Type::kAny)), ElementsAre("10.128.0.2"));
}

TEST(ZoneAnswer, CaseDoesNotCountAndDotsInNamesDo) {
    EXPECT_THAT(data(asked("db")), ElementsAre("10.128.0.3")) << "questions come in lower case";
    EXPECT_THAT(data(asked("store.v2")), ElementsAre("10.128.0.3"));
    EXPECT_THAT(data(asked("store.v2.net1")), ElementsAre("10.128.0.3"));
    EXPECT_EQ(asked("web\\.net1").rcode, Rcode::kNameError) << "one label, whatever is in it";
    EXPECT_EQ(asked("strange..name").rcode, Rcode::kRefused) << "no name in DNS";
}

TEST(ZoneAnswer, AnAddressLeadsBackToItsName) {
    EXPECT_THAT(data(asked("3.0.128.10.in-addr.arpa", Type::kPtr)), ElementsAre("db.net1"));
    EXPECT_THAT(data(asked("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", Type::kPtr)),
                ElementsAre("web6.six"));
    EXPECT_THAT(data(asked("3.0.128.10.in-addr.arpa", Type::kA)), IsEmpty());
    EXPECT_EQ(asked("9.0.128.10.in-addr.arpa", Type::kPtr).rcode, Rcode::kNameError) << "ours, and nobody has it";
    EXPECT_EQ(asked("4.0.128.10.in-addr.arpa", Type::kPtr).rcode, Rcode::kNameError) << "its name is none in DNS";
    for (const auto* other : {"1.2.0.192.in-addr.arpa", "3.00.128.10.in-addr.arpa", "256.0.128.10.in-addr.arpa",
                              "0.128.10.in-addr.arpa", "2.ip6.arpa", "in-addr.arpa"}) {
        EXPECT_EQ(asked(other, Type::kPtr).rcode, Rcode::kRefused) << other;
    }
}

const Zone kShop("shop", {base::parse_prefix("subnet", "10.128.2.0/24").value()},
                 {{.name = "Front1",
                   .aliases = {"front", "front.all"},
                   .ips = {ip("10.128.2.2")},
                   .services = {{.name = "_http._tcp", .port = 80}, {.name = "_http._tcp", .port = 8080}}},
                  {.name = "front2",
                   .aliases = {"front"},
                   .ips = {ip("10.128.2.3")},
                   .services = {{.name = "_http._tcp", .port = 80}, {.name = "_quic._udp", .port = 443}}},
                  {.name = "idle", .aliases = {"front"}, .ips = {ip("10.128.2.4")}},
                  {.name = "strange..name",
                   .aliases = {},
                   .ips = {ip("10.128.2.5")},
                   .services = {{.name = "_ftp._tcp", .port = 21}}}});
Answer in_shop(const std::string& name, Type type = Type::kSrv, std::uint64_t dice = 0) {
    const std::array zones{&kShop};
    return answer(query(name, type), zones, dice);
}

TEST(ZoneServices, AreWhereTheEndpointsAreThatOfferThem) {
    EXPECT_THAT(data(in_shop("_http._tcp.front1")), ElementsAre("front1.shop:80", "front1.shop:8080"));
    EXPECT_THAT(data(in_shop("_quic._udp.front2.shop")), ElementsAre("front2.shop:443"));
    EXPECT_THAT(data(in_shop("_http._tcp.front")), ElementsAre("front1.shop:80", "front1.shop:8080", "front2.shop:80"));
    EXPECT_THAT(data(in_shop("_http._tcp.front.all.shop")), ElementsAre("front1.shop:80", "front1.shop:8080"));
    EXPECT_THAT(data(in_shop("_http._tcp.shop")), ElementsAre("front1.shop:80", "front1.shop:8080", "front2.shop:80"));
    EXPECT_THAT(data(in_shop("_quic._udp")), ElementsAre("front2.shop:443"));
    EXPECT_THAT(data(in_shop("_quic._udp.front2", Type::kAny)), ElementsAre("front2.shop:443"));
    EXPECT_TRUE(in_shop("_http._tcp.front1").authoritative);
    EXPECT_EQ(in_shop("_http._tcp.front1").records[0].ttl, std::chrono::seconds(5));
    EXPECT_THAT(in_shop("_ftp._tcp.shop").records, IsEmpty()) << "its endpoint has no name in DNS";
}

TEST(ZoneServices, ComeWithTheAddressesOfTheirEndpoints) {
    const auto found = in_shop("_http._tcp.front");
    EXPECT_THAT(data({.records = found.additional}), ElementsAre("10.128.2.2", "10.128.2.3")) << "each once";
    EXPECT_EQ(found.additional[0].name, "front1.shop");
    EXPECT_THAT(in_shop("_http._tcp.front", Type::kA).additional, IsEmpty());
}

TEST(ZoneServices, TakeTurnsAndAreAHundredAtMost) {
    EXPECT_THAT(data(in_shop("_http._tcp.front", Type::kSrv, 2)),
                ElementsAre("front2.shop:80", "front1.shop:80", "front1.shop:8080"));
    std::vector<Host> hosts;
    for (std::uint32_t i = 2; i < 250; ++i) {
        hosts.push_back({.name = "c" + std::to_string(i),
                         .aliases = {},
                         .ips = {base::IpAddress::v4(0x0a800000U + i)},
                         .services = {{.name = "_http._tcp", .port = 80}}});
    }
    const Zone large("large", {base::parse_prefix("subnet", "10.128.0.0/24").value()}, hosts);
    const std::array zones{&large};
    const auto many = answer(query("_http._tcp.large", Type::kSrv), zones, 0);
    EXPECT_EQ(many.records.size(), 100U);
    EXPECT_EQ(many.additional.size(), 100U);
}

TEST(ZoneServices, OfWhatIsThereNothingElseIsKnownAndWhatIsNotThereDoesNotExist) {
    for (const auto* name : {"_http._tcp.front1", "_tcp.front1", "_tcp.front.shop", "_tcp.shop", "_udp"}) {
        EXPECT_EQ(in_shop(name, Type::kA).rcode, Rcode::kNoError) << name;
        EXPECT_THAT(in_shop(name, Type::kA).records, IsEmpty()) << name;
    }
    EXPECT_THAT(in_shop("_tcp.front1").records, IsEmpty());
    for (const auto* name :
         {"_http._tcp.idle", "_tcp.idle", "_udp.front1", "_https._tcp.front1", "_http._udp.front1", "_http._tcp.nobody",
          "_http._tcp.nobody.shop", "_x._http._tcp.front1", "_http.front1", "_ftp._tcp", "_ftp._tcp.front.all"}) {
        EXPECT_EQ(in_shop(name).rcode, Rcode::kNameError) << name;
    }
    EXPECT_EQ(in_shop("_http._tcp.example.org").rcode, Rcode::kRefused) << "whose name is none of ours";
    EXPECT_EQ(in_shop("http._tcp.front1.com").rcode, Rcode::kRefused);
}

TEST(ZoneServices, AnEndpointThatIsCalledLikeTheNetworkGoesFirst) {
    const Service http{.name = "_http._tcp", .port = 80};
    const Zone zone("one", {base::parse_prefix("subnet", "10.128.0.0/24").value()},
                    {{.name = "one", .aliases = {}, .ips = {ip("10.128.0.2")}, .services = {http}},
                     {.name = "two", .aliases = {}, .ips = {ip("10.128.0.3")}, .services = {http, {"_ftp._tcp", 21}}}});
    const std::array zones{&zone};
    EXPECT_THAT(data(answer(query("_http._tcp.one", Type::kSrv), zones, 0)), ElementsAre("one.one:80"));
    EXPECT_THAT(data(answer(query("_http._tcp", Type::kSrv), zones, 0)), ElementsAre("one.one:80", "two.one:80"));
    EXPECT_THAT(data(answer(query("_ftp._tcp.one", Type::kSrv), zones, 0)), ElementsAre("two.one:21"));
}

TEST(ZoneServices, AreOfTheNetworkThatIsAskedFirst) {
    const Zone other("other", {base::parse_prefix("subnet", "10.128.3.0/24").value()},
                     {{.name = "front",
                       .aliases = {},
                       .ips = {ip("10.128.3.2")},
                       .services = {{.name = "_http._tcp", .port = 1}, {.name = "_ssh._tcp", .port = 22}}}});
    const std::array zones{&kShop, &other};
    EXPECT_EQ(data(answer(query("_http._tcp.front", Type::kSrv), zones, 0)).size(), 3U);
    EXPECT_THAT(data(answer(query("_ssh._tcp.front", Type::kSrv), zones, 0)), ElementsAre("front.other:22"));
    EXPECT_THAT(data(answer(query("_http._tcp.other", Type::kSrv), zones, 0)), ElementsAre("front.other:1"));
}

TEST(ZoneServices, AreNotHandedOnOfANetworkThatTheAskerIsNotIn) {
    EXPECT_TRUE(kShop.is_about(*query("_http._tcp.shop").question));
    EXPECT_TRUE(kShop.is_about(*query("_http._tcp.front.all").question));
    EXPECT_FALSE(kShop.is_about(*query("_http._tcp.example.org").question));
}

TEST(ZoneAnswer, NothingElseIsAnswered) {
    EXPECT_EQ(asked("example.org").rcode, Rcode::kRefused);
    EXPECT_EQ(asked("").rcode, Rcode::kRefused) << "the root";
    const std::array zones{&kNet1};
    EXPECT_EQ(answer({.opcode = 5}, zones, 0).rcode, Rcode::kNotImplemented);
    EXPECT_EQ(answer({.malformed = true}, zones, 0).rcode, Rcode::kFormatError);
    auto chaos = query("version.bind");
    chaos.question->internet = false;
    EXPECT_EQ(answer(chaos, zones, 0).rcode, Rcode::kRefused);
    auto newer = query("web");
    newer.edns = Query::Edns{.version = 1};
    EXPECT_EQ(answer(newer, zones, 0).rcode, Rcode::kBadVersion);
}

}  // namespace
}  // namespace warren::dns
