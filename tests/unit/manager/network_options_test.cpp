#include "manager/network_options.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>
#include <vector>

#include "keymgr/shown.h"

namespace warren::manager {
namespace {

using Options = std::vector<std::string>;

TEST(NetworkOptions, EncryptedIsReadAsItIsWritten) {
    EXPECT_TRUE(parse_network_options(Options{"encrypted"})->encrypted);
    EXPECT_TRUE(parse_network_options(Options{"encrypted=true"})->encrypted);
    EXPECT_FALSE(parse_network_options(Options{"encrypted=false"})->encrypted);
    EXPECT_FALSE(parse_network_options(Options{})->encrypted);
}

TEST(NetworkOptions, AllAtOnce) {
    const auto options = parse_network_options(
        Options{"encrypted", "cipher=chacha20-poly1305", "encap=udp:4501", "replay-window=4096", "key-rotation=90m",
                "rekey-after-packets=5000", "rekey-after-bytes=1000000", "mtu=1280"});
    ASSERT_TRUE(options) << options.error().message();
    EXPECT_EQ(*options, (NetworkOptions{.encrypted = true,
                                        .cipher = keymgr::Cipher::kChaCha20Poly1305,
                                        .encap = base::UdpPort{4501},
                                        .replay_window = 4096,
                                        .key_rotation = std::chrono::minutes(90),
                                        .rekey_after_packets = 5000,
                                        .rekey_after_bytes = 1'000'000,
                                        .mtu = base::Mtu{1280}}));
}

struct Refused {
    Options options;
    std::string message;
};
// What names the test: not the bytes of pointers.
void PrintTo(const Refused& refused, std::ostream* out) {
    *out << refused.message;
}

class NetworkOptionsRefused : public testing::TestWithParam<Refused> {};

TEST_P(NetworkOptionsRefused, SaysWhatIsWrong) {
    const auto options = parse_network_options(GetParam().options);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code(), base::Code::kInvalid);
    EXPECT_EQ(options.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NetworkOptionsRefused,
    testing::Values(
        Refused{{"crypt"},
                "--opt crypt: unknown option; known are encrypted, cipher, encap, replay-window, "
                "key-rotation, rekey-after-packets, rekey-after-bytes, multicast, mtu, vni"},
        Refused{{"encrypted=yes"}, "--opt encrypted=yes: must be true or false"},
        Refused{{"encrypted", "encrypted=false"}, "--opt encrypted: given twice"},
        Refused{{"encrypted", "replay-window=31"}, "--opt replay-window=31: must be a number from 32 to 4096"},
        Refused{{"encrypted", "replay-window"}, "--opt replay-window=: must be a number from 32 to 4096"},
        Refused{{"encrypted", "key-rotation=59s"}, "--opt key-rotation=59s: must be from 1m to 365d, or 0 for never"},
        Refused{{"encrypted", "key-rotation=366d"}, "--opt key-rotation=366d: must be from 1m to 365d, or 0 for never"},
        Refused{{"encrypted", "rekey-after-packets=999"},
                "--opt rekey-after-packets=999: must be a number from 1000 to 4294967296"},
        Refused{{"encrypted", "rekey-after-bytes=2199023255552"},
                "--opt rekey-after-bytes=2199023255552: must be a number from 1000000 to 1099511627776"},
        Refused{{"key-rotation=1h"}, "--opt key-rotation: only for encrypted networks; add --opt encrypted"},
        Refused{{"encrypted", "cipher=des"},
                "--opt cipher 'des': must be aes-128-gcm, aes-256-gcm or chacha20-poly1305, or auto"},
        Refused{{"encrypted", "encap"}, "--opt encap=: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        Refused{{"encrypted", "encap=udp:"},
                "--opt encap=udp:: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        Refused{{"encrypted", "encap=udp:0"},
                "--opt encap=udp:0: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        Refused{{"encrypted", "encap=udp:65536"},
                "--opt encap=udp:65536: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        Refused{{"encrypted", "encap=udp4500"},
                "--opt encap=udp4500: must be none, udp, or udp:PORT with a port from 1 to 65535"},
        Refused{{"encap=udp"}, "--opt encap: only for encrypted networks; add --opt encrypted"},
        Refused{{"mtu=100000"}, "--opt mtu=100000: must be a number from 576 to 65535, or auto"},
        Refused{{"cipher=aes-128-gcm"}, "--opt cipher: only for encrypted networks; add --opt encrypted"}));

TEST(NetworkOptions, NeverIsAnInterval) {
    EXPECT_EQ(parse_network_options(Options{"encrypted", "key-rotation=0"})->key_rotation, base::Duration::zero());
}

TEST(NetworkOptions, AutoLeavesTheCipherToTheCluster) {
    EXPECT_TRUE(parse_network_options(Options{"encrypted", "cipher=auto"})->cipher_auto);
    const auto now = update_network_options({.encrypted = true, .cipher_auto = true}, Options{"cipher=aes-256-gcm"});
    EXPECT_FALSE(now->cipher_auto) << "an explicit choice wins";
    EXPECT_EQ(now->cipher, keymgr::Cipher::kAes256Gcm);
}

TEST(NetworkOptions, EspInUdpHasAPortOfItsOwn) {
    EXPECT_EQ(parse_network_options(Options{"encrypted", "encap=udp"})->encap, base::UdpPort{7443});
    EXPECT_EQ(update_network_options({.encrypted = true, .encap = base::UdpPort{1}}, Options{"encap=none"})->encap,
              base::UdpPort{});
    EXPECT_EQ(keymgr::encap_text({}), "none");
    EXPECT_EQ(keymgr::encap_text(base::UdpPort{7443}), "udp:7443");
    v1::ClusterSettings cluster;
    cluster.set_plain_port(4789);
    cluster.set_port_base(10000);
    const auto check = [&](std::uint16_t port) { return check_encap(cluster, {.encap = base::UdpPort{port}}); };
    for (const auto port : std::vector<std::uint16_t>{0, 4500, 9999, 26384}) {
        EXPECT_TRUE(check(port)) << port;
    }
    for (const auto port : std::vector<std::uint16_t>{4789, 10000, 26383}) {
        ASSERT_FALSE(check(port)) << port;
        EXPECT_EQ(
            check(port).error().message(),
            fmt::format("--opt encap=udp:{}: UDP ports 4789, and 10000 to 26383 belong to networks of this cluster; "
                        "choose another port",
                        port));
    }
}

TEST(NetworkOptions, TheRecordKeepsThoseOfEncryption) {
    const NetworkOptions options{.encrypted = true,
                                 .cipher = keymgr::Cipher::kAes256Gcm,
                                 .cipher_auto = true,
                                 .encap = base::UdpPort{4501},
                                 .replay_window = 64,
                                 .key_rotation = std::chrono::hours(1),
                                 .rekey_after_packets = 7000,
                                 .rekey_after_bytes = 8'000'000};
    v1::NetworkRecord record;
    record.set_encrypted(true);
    set_encryption(record, options);
    EXPECT_EQ(encryption_of(record), options);
}

TEST(NetworkOptions, MulticastIsForPlainAndEncryptedNetworks) {
    EXPECT_TRUE(parse_network_options(Options{"multicast"})->multicast);
    EXPECT_TRUE(parse_network_options(Options{"encrypted", "multicast=true"})->multicast);
    EXPECT_FALSE(parse_network_options(Options{"multicast=false"})->multicast);
    EXPECT_FALSE(parse_network_options(Options{})->multicast);
    EXPECT_EQ(parse_network_options(Options{"multicast=on"}).error().message(),
              "--opt multicast=on: must be true or false");
    EXPECT_TRUE(update_network_options({}, Options{"multicast"})->multicast);
    EXPECT_FALSE(update_network_options({.multicast = true}, Options{"multicast=false"})->multicast);
    for (const bool encrypted : {false, true}) {
        const NetworkOptions options{.encrypted = encrypted, .multicast = true};
        v1::NetworkRecord record;
        record.set_encrypted(encrypted);
        set_options(record, options);
        EXPECT_EQ(options_of(record), options);
    }
}

TEST(NetworkUpdate, ChangesWhatIsGivenAndNothingElse) {
    const NetworkOptions before{.encrypted = true, .replay_window = 64, .rekey_after_packets = 7000};
    const auto after = update_network_options(before, Options{"cipher=aes-256-gcm", "key-rotation=0"});
    ASSERT_TRUE(after) << after.error().message();
    auto wanted = before;
    wanted.cipher = keymgr::Cipher::kAes256Gcm;
    wanted.key_rotation = base::Duration::zero();
    EXPECT_EQ(*after, wanted);
}

class NetworkUpdateRefused : public testing::TestWithParam<Refused> {};

TEST_P(NetworkUpdateRefused, SaysWhy) {
    const auto options = update_network_options({.encrypted = true}, GetParam().options);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code(), base::Code::kInvalid);
    EXPECT_EQ(options.error().message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NetworkUpdateRefused,
    testing::Values(
        Refused{{},
                "nothing to change: give --opt KEY=VALUE with one of cipher, encap, replay-window, key-rotation, "
                "rekey-after-packets, rekey-after-bytes, multicast, mtu"},
        Refused{
            {"crypt=1"},
            "--opt crypt: unknown option; known are cipher, encap, replay-window, key-rotation, rekey-after-packets, "
            "rekey-after-bytes, multicast, mtu"},
        Refused{{"encrypted=false"},
                "--opt encrypted: can't be changed: a network is encrypted or plain from its beginning; make another "
                "network"},
        Refused{{"replay-window=4097"}, "--opt replay-window=4097: must be a number from 32 to 4096"},
        Refused{{"key-rotation=1h", "key-rotation=2h"}, "--opt key-rotation: given twice"},
        Refused{{"key-rotation=5x"}, "--opt key-rotation '5x': must be a duration such as 90s, 30m, 12h or 7d"}));

TEST(KeySettings, StragglersAreServedForAnIntervalAtMost) {
    v1::ClusterSettings cluster;
    cluster.set_straggler_limit_ms(3'600'000);
    const auto limit = [&](base::Duration interval) {
        return key_settings(cluster, {.encrypted = true, .key_rotation = interval}).straggler_limit;
    };
    using std::chrono::hours;
    using std::chrono::minutes;
    EXPECT_EQ(limit(hours(12)), hours(1));
    EXPECT_EQ(limit(minutes(10)), minutes(10));
    EXPECT_EQ(limit(base::Duration::zero()), hours(1));
    cluster.set_straggler_limit_ms(7000);
    EXPECT_EQ(limit(hours(12)), std::chrono::seconds(7));
}

}  // namespace
}  // namespace warren::manager
