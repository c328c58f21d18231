#include "xfrm/codec.h"

#include <gmock/gmock.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <rapidcheck.h>

#include <fstream>

#include "base/text.h"
#include "tests/unit/xfrm/world.h"

// Against what a real kernel told iproute2 (fixtures/, made by capture-fixtures), and against lies.
namespace warren::xfrm {
namespace {

using Bytes = std::vector<std::byte>;

// The messages of fixtures/<name>.hex, each with its header.
std::vector<Bytes> fixture(const std::string& name) {
    std::vector<Bytes> messages;
    std::ifstream file(std::string(WARREN_FIXTURES) + "/" + name + ".hex");
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with('#')) {
            continue;
        }
        const auto raw = base::from_hex(line).value();
        netlink::Bytes rest = std::as_bytes(std::span(raw));
        while (!rest.empty()) {
            const netlink::Cut cut = must(netlink::cut_message(rest));
            messages.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(cut.step));
            rest = rest.subspan(cut.step);
        }
    }
    EXPECT_FALSE(messages.empty()) << name;
    return messages;
}

std::vector<Sa> sas() {
    std::vector<Sa> list;
    for (const Bytes& message : fixture("sas")) {
        const netlink::Received received = must(netlink::cut_message(message)).message;
        if (received.type == XFRM_MSG_NEWSA) {
            list.push_back(must(decode_sa(received)).value());
        }
    }
    return list;
}

base::IpAddress ip(const char* text) {
    return must(base::parse_ip("ip", text));
}

TEST(DecodeSa, OneAsOursIs) {
    const std::vector<Sa> list = sas();
    ASSERT_EQ(list.size(), 7U);
    const auto found =
        std::find_if(list.begin(), list.end(), [](const Sa& sa) { return sa.location.spi == Spi{0x50008007}; });
    ASSERT_NE(found, list.end());
    EXPECT_EQ(*found, (Sa{.location = {.destination = ip("10.0.0.1"), .spi = Spi{0x50008007}, .source = ip("10.0.0.2")},
                          .reqid = Reqid{0x57000007},
                          .protocol = IPPROTO_ESP,
                          .aead = "rfc4106(gcm(aes))",
                          .icv_bits = 128,
                          .key_bits = 160,
                          .esn = true,
                          .replay_window = 1024,
                          .soft = {.packets = 1000, .bytes = 5000}}));
    EXPECT_EQ(owner(*found), base::NetworkIndex{7});
}

TEST(DecodeSa, Ipv6AndChaCha) {
    const std::vector<Sa> list = sas();
    const auto found =
        std::find_if(list.begin(), list.end(), [](const Sa& sa) { return sa.location.spi == Spi{0x50008008}; });
    ASSERT_NE(found, list.end());
    EXPECT_EQ(found->location.destination, ip("2001:db8::1"));
    EXPECT_EQ(found->aead, "rfc7539esp(chacha20,poly1305)");
    EXPECT_EQ(found->key_bits, 288U);
    EXPECT_FALSE(found->restricted);
    EXPECT_EQ(found->soft, (SoftLimits{.packets = kNoLimit, .bytes = kNoLimit}));
}

TEST(DecodeSa, EspInUdpHasItsPort) {
    for (const Sa& sa : sas()) {
        if (sa.location.spi == Spi{0x60008007}) {
            EXPECT_EQ(sa.encap, base::UdpPort{7443});
            EXPECT_FALSE(sa.restricted);
        } else if (sa.location.spi == Spi{0x50008007}) {
            EXPECT_EQ(sa.encap, base::UdpPort{});
        }
    }
}

TEST(DecodeSa, WhatOursNeverHaveIsSeen) {
    for (const Sa& sa : sas()) {
        switch (sa.location.spi.value) {
            case 0x5000c007:  // a mark
                EXPECT_TRUE(sa.keyed_apart);
                EXPECT_EQ(owner(sa), std::nullopt);
                break;
            case 0x50010007:  // selector, hard limit, no ESN, short ICV
                EXPECT_TRUE(sa.restricted);
                EXPECT_FALSE(sa.esn);
                EXPECT_EQ(sa.icv_bits, 64U);
                EXPECT_EQ(sa.replay_window, 32U);
                break;
            case 0x60014007:  // in UDP between two ports
                EXPECT_TRUE(sa.restricted);
                break;
            case 0xc0000001:  // tunnel, CBC and HMAC, UDP encapsulation
                EXPECT_EQ(sa.mode, Mode::kTunnel);
                EXPECT_EQ(sa.aead, "");
                EXPECT_TRUE(sa.restricted);
                EXPECT_EQ(owner(sa), std::nullopt);
                break;
            default:
                EXPECT_FALSE(sa.restricted);
                EXPECT_FALSE(sa.keyed_apart);
        }
    }
}

TEST(DecodePolicy, OursAndForeignOnes) {
    std::vector<Policy> list;
    std::size_t passed_over = 0;
    for (const Bytes& message : fixture("policies")) {
        const netlink::Received received = must(netlink::cut_message(message)).message;
        if (received.type != XFRM_MSG_NEWPOLICY) {
            continue;
        }
        if (auto policy = must(decode_policy(received))) {
            list.push_back(*std::move(policy));
        } else {
            ++passed_over;
        }
    }
    EXPECT_EQ(passed_over, 1U);  // forward
    ASSERT_EQ(list.size(), 5U);
    for (const Policy& policy : list) {
        EXPECT_NE(policy.index, 0U);
        EXPECT_EQ(policy.templates.size(), 1U);
        if (owner(policy)) {
            EXPECT_EQ(owner(policy), base::NetworkIndex{7});
            EXPECT_EQ(policy.selector.destination_port, (PortMatch{.port = 10007, .mask = 0xffff}));
            EXPECT_EQ(policy.selector.protocol, IPPROTO_UDP);
            EXPECT_EQ(policy.priority, policy.action == Action::kAllow ? 1000U : 2000U);
            EXPECT_FALSE(policy.restricted);
            EXPECT_FALSE(policy.templates[0].pinned);
            EXPECT_TRUE(policy.templates[0].any_algorithm);
        } else if (policy.selector.family == base::Family::kIpv6) {
            EXPECT_TRUE(policy.templates[0].pinned);
            EXPECT_TRUE(policy.templates[0].optional);
            EXPECT_EQ(policy.selector.source.length, 32);
        } else if (policy.selector.destination.text() == "10.2.0.0/16") {
            EXPECT_TRUE(policy.keyed_apart);
        } else {
            EXPECT_TRUE(policy.restricted);  // a time limit
        }
    }
}

TEST(DecodeEvent, WhatTheMonitorSaw) {
    std::vector<Event> events;
    for (const Bytes& message : fixture("events")) {
        if (auto event = must(decode_event(must(netlink::cut_message(message)).message))) {
            events.push_back(*std::move(event));
        }
    }
    ASSERT_EQ(events.size(), 11U);
    EXPECT_EQ(std::get<SaChanged>(events[0]).sa.location.spi, Spi{0x50008007});
    const auto& gone = std::get<SaGone>(events[2]);
    EXPECT_EQ(gone.location,
              (SaLocation{.destination = ip("10.0.0.2"), .spi = Spi{0x50004007}, .source = ip("10.0.0.1")}));
    EXPECT_EQ(gone.reqid, Reqid{0x57000007});
    EXPECT_TRUE(std::holds_alternative<PoliciesChanged>(events[3]));
    EXPECT_TRUE(std::holds_alternative<PoliciesChanged>(events[4]));
    const auto& soft = std::get<SaExpired>(events[5]);
    EXPECT_FALSE(soft.hard);
    EXPECT_EQ(soft.reqid, Reqid{0x57000007});
    EXPECT_EQ(soft.location.spi, Spi{0x50008007});
    EXPECT_TRUE(std::get<SaExpired>(events[6]).hard);
    EXPECT_EQ(std::get<SasFlushed>(events[8]).protocol, IPPROTO_ESP);
}

// ---- Lies ----

void decode_all(std::uint16_t type, netlink::Bytes payload) {
    const netlink::Received received{.type = type, .payload = payload};
    static_cast<void>(decode_sa(received));
    static_cast<void>(decode_policy(received));
    for (const std::uint16_t any : std::initializer_list<std::uint16_t>{XFRM_MSG_NEWSA, XFRM_MSG_DELSA, XFRM_MSG_EXPIRE,
                                                                        XFRM_MSG_FLUSHSA, XFRM_MSG_NEWPOLICY, type}) {
        static_cast<void>(decode_event({.type = any, .payload = payload}));
    }
}

std::vector<Bytes> all_payloads() {
    std::vector<Bytes> payloads;
    for (const char* name : {"sas", "policies", "events"}) {
        for (const Bytes& message : fixture(name)) {
            payloads.emplace_back(message.begin() + static_cast<std::ptrdiff_t>(sizeof(nlmsghdr)), message.end());
        }
    }
    return payloads;
}

TEST(DecodeLies, EveryLengthIsSurvivedAndTooShortIsAnError) {
    for (const Bytes& payload : all_payloads()) {
        for (std::size_t length = 0; length <= payload.size(); ++length) {
            const Bytes cut(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(length));
            decode_all(XFRM_MSG_NEWSA, cut);
            if (length < sizeof(xfrm_usersa_info)) {
                EXPECT_FALSE(decode_sa({.type = XFRM_MSG_NEWSA, .payload = cut}).has_value());
            }
        }
    }
}

TEST(DecodeLies, AnyBytesAreSurvived) {
    const std::vector<Bytes> payloads = all_payloads();
    EXPECT_TRUE(rc::check([&](std::uint16_t type, std::uint32_t which, const std::vector<std::uint32_t>& hits) {
        Bytes payload = payloads[which % payloads.size()];
        for (const std::uint32_t hit : hits) {
            if (!payload.empty()) {
                payload[(hit >> 8U) % payload.size()] = static_cast<std::byte>(hit);
            }
        }
        decode_all(type, payload);
    }));
}

TEST(DecodeLies, APrefixLongerThanAnAddressIsAnError) {
    for (const Bytes& message : fixture("policies")) {
        const netlink::Received received = must(netlink::cut_message(message)).message;
        if (received.type != XFRM_MSG_NEWPOLICY || !must(decode_policy(received))) {
            continue;
        }
        Bytes payload(received.payload.begin(), received.payload.end());
        payload[offsetof(xfrm_userpolicy_info, sel) + offsetof(xfrm_selector, prefixlen_s)] = std::byte{200};
        EXPECT_FALSE(decode_policy({.type = received.type, .payload = payload}).has_value());
    }
}

TEST(Wipe, LeavesNothing) {
    Bytes payload(100, std::byte{7});
    wipe({.type = XFRM_MSG_NEWSA, .payload = payload});
    EXPECT_EQ(payload, Bytes(100));
}

// ---- Encoding: only what a kernel cannot tell us; whether it takes our messages is asked of one elsewhere ----

TEST(Encode, AKeyIsInItsMessageOnce) {
    keymgr::SaKey key;
    key.length = 20;
    std::fill_n(key.bytes.reveal_mutable().begin(), 20, std::uint8_t{0xa5});
    const netlink::Message message = encode(AddSa{.location = {.destination = ip("10.0.0.1"), .source = ip("10.0.0.2")},
                                                  .replay_window = 1024,
                                                  .key = std::move(key)});
    const auto bytes = message.bytes();
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), std::byte{0xa5}), 20);
}

}  // namespace
}  // namespace warren::xfrm
