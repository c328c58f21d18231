#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "tests/lab/capture.h"
#include "tests/lab/esp_packets.h"
#include "tests/lab/expect.h"
#include "tests/lab/flood.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// ESP that is sent again, damaged or made up, by somebody else on the underlay: dropped and counted, and no harm to the
// traffic of the members.
namespace warren::lab {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr unsigned kCopies = 5;
constexpr unsigned kPings = 3;
// The pings that are tampered with are longer than all else that crosses.
constexpr const char* kPingData = "300";
constexpr const char* kLong = "greater 320";

using Counters = std::map<std::string, uint64_t>;

class Tampered : public testing::Test {
  protected:
    void create_network(const Argv& options) {
        Argv argv{"network", "create", "--opt", "encrypted", "net1"};
        argv.insert(argv.end(), options.begin(), options.end());
        victim.warren_ok(argv);
        containers = containers_on_all(*lab, "net1");
        address = containers[0].ip();
        outsider = &lab->add_host();
    }

    Output ping(unsigned count) {
        return containers[1].run(
            {"ping", "-n", "-q", "-c", std::to_string(count), "-i", "0.01", "-W", "1", "-s", kPingData, address});
    }

    // ESP with pings to the victim, as it crosses the underlay.
    template <typename Send>
    std::vector<Packet> packets_of(const std::string& name, Send send) {
        Capture capture(lab->artefacts(), name, kUnderlay);
        send();
        capture.stop();
        return esp_packets(capture, fmt::format("src {} and dst {} and {}", peer.address(), victim.address(), kLong));
    }

    // Pings that came to the victim.
    std::vector<Packet> arrived(unsigned count) {
        return packets_of("arrived", [&] { EXPECT_TRUE(ping(count).ok()); });
    }

    // Pings that its IPsec has not seen: authentic, and with fresh sequence numbers. Only of these can be told whether
    // the ICV is looked at, since what was received before is dropped before that.
    std::vector<Packet> held_up(unsigned count) {
        victim.must(
            {"nft",
             "table ip lab { chain hold { type filter hook prerouting priority raw; ip protocol esp drop; }; }"});
        auto packets = packets_of("held-up", [&] { EXPECT_FALSE(ping(count).ok()); });
        victim.must({"nft", "delete", "table", "ip", "lab"});
        return packets;
    }

    // By how much the victim's error counters have risen since start_counting(), without those that have not.
    Counters risen() {
        Counters difference;
        for (const auto& [name, value] : xfrm_stat(victim)) {
            if (value != at_start.at(name)) {
                difference[name] = value - at_start.at(name);
            }
        }
        return difference;
    }
    void start_counting() { at_start = xfrm_stat(victim); }

    // Sends it five times from elsewhere; exactly that many are counted, all under this name.
    void expect_dropped(const Packet& packet, const std::string& counter) {
        send_packet(outsider->where(), packet, kCopies);
        sent[counter] += kCopies;
        if (!eventually(seconds(5), [&] { return risen() == sent; })) {
            ADD_FAILURE() << testing::PrintToString(risen()) << " and not " << testing::PrintToString(sent);
            sent = risen();
        }
    }

    // `warren status` has the kernel's number and says what it means.
    void expect_in_status(const std::string& counter, const std::string& meaning) {
        const auto status = victim.ask<v1::StatusReply>({"status"});
        const auto found = std::ranges::find_if(status.counters(), [&](const auto& c) { return c.name() == counter; });
        ASSERT_NE(found, status.counters().end()) << counter;
        EXPECT_EQ(found->value(), xfrm_stat(victim).at(counter)) << counter;
        EXPECT_NE(found->meaning(), "") << counter;
        EXPECT_NE(found->meaning().find(meaning), std::string::npos) << counter << ": " << found->meaning();
    }

    std::unique_ptr<Lab> lab = cluster_of(2);
    Host& victim = lab->host(1);
    Host& peer = lab->host(2);
    Host* outsider = nullptr;
    std::vector<Container> containers;
    std::string address;  // of the victim's container
    Counters at_start;
    Counters sent;  // by the counter that it is expected under
};

struct Case {
    const char* what;
    const char* counter;
    std::function<void(Packet& packet)> tamper;
};

constexpr const char* kUnknownSpi = "XfrmInNoStates";
constexpr const char* kReplayed = "XfrmInStateSeqError";
constexpr const char* kNotAuthentic = "XfrmInStateProtoError";
constexpr const char* kNoHeader = "XfrmInHdrError";

// Flips a bit, counted from the packet's end if the position is negative.
auto flip(int at, uint8_t bit) {
    return [=](Packet& packet) {
        const auto size = static_cast<int>(packet.payload.size());
        packet.payload.at(static_cast<size_t>(at < 0 ? size + at : at)) ^= bit;
    };
}

auto cut_to(int size) {
    return [=](Packet& packet) {
        const auto whole = static_cast<int>(packet.payload.size());
        packet.payload.resize(static_cast<size_t>(size < 0 ? whole + size : size));
    };
}

auto put(size_t at, uint32_t value) {
    return [=](Packet& packet) {
        for (size_t i = 0; i < 4; ++i) {
            packet.payload.at(at + i) = static_cast<uint8_t>(value >> (24 - 8 * i));
        }
    };
}

// What is done to a packet that the victim has not seen.
const std::vector<Case>& cases() {
    constexpr int kIcv = -static_cast<int>(kIcvSize);
    constexpr int kHeader = kIvAt;
    constexpr int kFirst = kCiphertextAt;
    static const std::vector<Case> table{
        {"a bit of the SPI: another network", kUnknownSpi, flip(kSpiAt + 3, 0x01)},
        {"a bit of the SPI: another sender", kUnknownSpi, flip(kSpiAt + 1, 0x01)},
        {"a bit of the SPI: another epoch", kUnknownSpi, flip(kSpiAt, 0x20)},
        {"SPI 0", kUnknownSpi, put(kSpiAt, 0)},
        {"an SPI of nobody", kUnknownSpi, put(kSpiAt, 0xdeadbeef)},
        {"a bit of the sequence number", kNotAuthentic, flip(kSequenceAt, 0x80)},
        {"a sequence number of the future", kNotAuthentic, put(kSequenceAt, 1'000'000)},
        {"the last sequence number", kNotAuthentic, put(kSequenceAt, 0xffffffff)},
        {"the first bit of the IV", kNotAuthentic, flip(kIvAt, 0x80)},
        {"the last bit of the IV", kNotAuthentic, flip(kFirst - 1, 0x01)},
        {"the first bit of the ciphertext", kNotAuthentic, flip(kFirst, 0x80)},
        {"a bit amid the ciphertext", kNotAuthentic, flip(kFirst + 100, 0x10)},
        {"a bit of the padding's length", kNotAuthentic, flip(kIcv - 2, 0x01)},
        {"a bit of the next header", kNotAuthentic, flip(kIcv - 1, 0x01)},
        {"the first bit of the ICV", kNotAuthentic, flip(kIcv, 0x80)},
        {"the last bit of the ICV", kNotAuthentic, flip(-1, 0x01)},
        {"cut within the SPI", kNoHeader, cut_to(3)},
        {"cut within the sequence number", kNoHeader, cut_to(kHeader - 1)},
        {"cut before the IV", kNotAuthentic, cut_to(kHeader)},
        {"cut within the IV", kNotAuthentic, cut_to(kFirst - 1)},
        {"cut before the ciphertext", kNotAuthentic, cut_to(kFirst)},
        {"cut to what could be an ICV only", kNotAuthentic, cut_to(kFirst + static_cast<int>(kIcvSize))},
        {"cut amid the ciphertext", kNotAuthentic, cut_to(kFirst + 100)},
        {"cut before the ICV", kNotAuthentic, cut_to(kIcv)},
        {"cut by a word", kNotAuthentic, cut_to(-4)},
        {"cut by an octet", kNotAuthentic, cut_to(-1)},
        {"a word more", kNotAuthentic, [](Packet& packet) { packet.payload.insert(packet.payload.end(), 4, 0); }},
        {"a bit of the ciphertext, from another address", kNotAuthentic,
         [](Packet& packet) {
             flip(kFirst, 0x01)(packet);
             packet.source = "192.0.2.3";
         }},
    };
    return table;
}

TEST_F(Tampered, IsDroppedAndCountedAndDisturbsNobody) {
    // So wide, and the flood so thin, that the packets held up stay within it on a slow machine too.
    create_network({"--opt", "replay-window=4096"});
    const auto seen = arrived(kPings);
    const auto held = held_up(kPings);
    ASSERT_EQ(seen.size(), kPings);
    ASSERT_EQ(held.size(), kPings);
    auto floods = flood_all_pairs(*lab, {&containers[0], &containers[1]}, milliseconds(100));
    Capture inside(lab->artefacts(), "inside", containers[0].interface(), containers[0].where());
    start_counting();

    for (const auto& [what, counter, tamper] : cases()) {
        SCOPED_TRACE(what);
        auto packet = held[0];
        tamper(packet);
        expect_dropped(packet, counter);
    }
    for (auto packet : seen) {
        SCOPED_TRACE("one that arrived, again");
        expect_dropped(packet, kReplayed);
        packet.source = outsider->address();
        expect_dropped(packet, kReplayed);
    }
    auto taken = held[0];
    put(kSequenceAt, sequence_of(seen[0]))(taken);
    expect_dropped(taken, kReplayed);
    const auto long_ping = fmt::format("icmp and dst {} and {}", address, kLong);
    EXPECT_FALSE(inside.sees(long_ping, milliseconds(0)));

    // The way that all these came is a way into the container, and none of them has moved the replay window: what the
    // packet was made from is let in, once.
    send_packet(outsider->where(), held[0]);
    EXPECT_TRUE(inside.sees(long_ping));
    expect_dropped(held[0], kReplayed);

    EXPECT_EQ(losses(floods), "");
    inside.stop();
    EXPECT_EQ(inside.count(long_ping), 1U);
    const auto else_filter = fmt::format("ip and dst {} and not (icmp and less 98)", address);
    EXPECT_EQ(inside.count(else_filter), 1U) << inside.show(else_filter);
    EXPECT_EQ(risen(), sent);
    expect_in_status(kUnknownSpi, "SPI nobody has");
    expect_in_status(kReplayed, "replayed");
    expect_in_status(kNotAuthentic, "failed its integrity check");
    expect_in_status(kNoHeader, "");  // no more than where to look it up
}

// A sequence number from before the window can only be one of the next 2^32 (RFC 4303 section A2.2): the kernel takes
// the upper half of the extended one for higher by one, and so the ICV is wrong.
TEST_F(Tampered, AReplayFromBeforeTheWindowIsDroppedToo) {
    constexpr unsigned kWindow = 32;
    create_network({"--opt", fmt::format("replay-window={}", kWindow)});
    const auto seen = arrived(kWindow + 10);
    ASSERT_EQ(seen.size(), kWindow + 10);
    Capture inside(lab->artefacts(), "inside", containers[0].interface(), containers[0].where());
    start_counting();
    expect_dropped(seen.front(), kNotAuthentic);
    expect_dropped(seen.back(), kReplayed);
    EXPECT_TRUE(containers[1].ping(address));
    inside.stop();
    EXPECT_EQ(inside.count(fmt::format("icmp and dst {} and {}", address, kLong)), 0U);
    expect_in_status(kNotAuthentic, "failed its integrity check");
    expect_in_status(kReplayed, "replayed");
}

}  // namespace
}  // namespace warren::lab
