#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/lab/capture.h"
#include "tests/lab/esp_packets.h"
#include "tests/lab/expect.h"
#include "tests/lab/kernel_view.h"
#include "tests/lab/lab.h"

// Whether what crosses the underlay is ESP and VXLAN to somebody else than the two ends of it. tshark decrypts AES-GCM.
// Debian 12's (4.0) has no ChaCha20-Poly1305, so for that one OpenSSL opens the ESP and tshark reads what is in it. Nor
// does it know extended sequence numbers, without which every ICV is wrong: that one is checked by OpenSSL for all.
namespace warren::lab {
namespace {

constexpr std::array kCiphers{"aes-128-gcm", "aes-256-gcm", "chacha20-poly1305"};
constexpr unsigned kPings = 3;
constexpr size_t kPingData = 56;

// A container and its host, as frames name them.
struct End {
    std::string vtep;
    std::string mac;
    std::string ip;
};

struct Network {
    uint32_t udp_port = 0;
    uint32_t vni = 0;
    std::vector<Container> containers;
    std::vector<End> ends;
};

Network make_network(Lab& lab, const std::string& cipher, const std::string& encap) {
    lab.host(1).warren_ok(
        {"network", "create", "--opt", "encrypted", "--opt", "encap=" + encap, "--opt", "cipher=" + cipher, cipher});
    auto containers = containers_on_all(lab, cipher, cipher.substr(0, 7));
    const auto network = inspect(lab.host(1), cipher);
    std::vector<End> ends;
    for (size_t i = 0; i < containers.size(); ++i) {
        ends.push_back({.vtep = lab.hosts()[i]->address(), .mac = containers[i].mac(), .ip = containers[i].ip()});
    }
    return {.udp_port = network.udp_port(),
            .vni = network.vnis(0),
            .containers = std::move(containers),
            .ends = std::move(ends)};
}

// The SA that the one host sends through to the other in this network.
SaKey outbound(const Host& from, const Host& to, const Network& network) {
    constexpr uint32_t kIndexMask = 0x3fff;  // of the network: it ends both SPI and reqid
    const auto index = reqid_of_port(network.udp_port) & kIndexMask;
    std::vector<SaKey> found;
    for (const auto& key : sa_keys(from)) {
        if (key.source == from.address() && key.destination == to.address() && (key.spi & kIndexMask) == index) {
            found.push_back(key);
        }
    }
    EXPECT_EQ(found.size(), 1U) << "outbound SAs from " << from.name() << " at port " << network.udp_port;
    return found.empty() ? SaKey() : found.front();
}

constexpr size_t kPatternDigits = 2 * (kPingData - 16);  // in hexadecimal, behind ping's time

// What has to be seen of a ping or its answer, in the words of frames_read().
std::string frame_of(const Network& network, uint32_t spi, const End& from, const End& to, const std::string& icmp,
                     const std::string& pattern) {
    constexpr size_t kInner = 8 + 8 + 14 + 20 + 8 + kPingData;  // UDP, VXLAN, Ethernet, IP, ICMP
    constexpr size_t kEspSize = kCiphertextAt + (kInner + 2 + 3) / 4 * 4 + kIcvSize;
    std::string data;
    while (data.size() < kPatternDigits) {
        data += pattern;
    }
    const bool four = from.vtep.find(':') == std::string::npos;
    const auto addresses = four ? fmt::format("{},{}|{},{}||", from.vtep, from.ip, to.vtep, to.ip)
                                : fmt::format("{}|{}|{}|{}", from.ip, to.ip, from.vtep, to.vtep);
    return fmt::format("SPI {:#x}, {} octets|{}|{}|{}|{}|{}|{}|{}", spi, kEspSize, network.udp_port, network.vni,
                       addresses, from.mac, to.mac, icmp, data);
}

// Pings from the first container to the second, and says what has to be seen of it.
std::vector<std::string> ping(const Network& network, const SaKey& there, const SaKey& back,
                              const std::string& pattern) {
    const auto& first = network.ends[0];
    const auto& second = network.ends[1];
    const auto output = network.containers[0].run({"ping", "-n", "-c", std::to_string(kPings), "-i", "0.05", "-p",
                                                   pattern, "-s", std::to_string(kPingData), second.ip});
    EXPECT_TRUE(output.ok()) << output.out;
    std::vector<std::string> frames;
    for (unsigned sequence = 1; sequence <= kPings; ++sequence) {
        frames.push_back(frame_of(network, there.spi, first, second, fmt::format("8|{}", sequence), pattern));
        frames.push_back(frame_of(network, back.spi, second, first, fmt::format("0|{}", sequence), pattern));
    }
    return frames;
}

bool is_aes(const SaKey& key) {
    return key.algorithm == "rfc4106(gcm(aes))";
}

// Every packet as tshark is to get it; a failure for each that OpenSSL does not open with its SA's key.
std::vector<Packet> for_tshark(const std::vector<Packet>& packets, const std::vector<SaKey>& keys) {
    std::vector<Packet> given;
    for (const auto& packet : packets) {
        const auto key = std::ranges::find_if(keys, [&](const SaKey& candidate) {
            return candidate.destination == packet.destination && candidate.spi == spi_of(packet);
        });
        const auto inside = key == keys.end() ? std::nullopt : opened(packet, *key);
        if (!inside) {
            ADD_FAILURE() << fmt::format("not opened: {} > {}, SPI {:#x}, sequence number {}", packet.source,
                                         packet.destination, spi_of(packet), sequence_of(packet));
        }
        given.push_back(!inside || is_aes(*key) ? packet : *inside);
    }
    return given;
}

void write_esp_sa(const std::filesystem::path& file, const std::vector<SaKey>& keys) {
    std::ofstream out(file);
    for (const auto& key : keys) {
        if (is_aes(key)) {
            out << fmt::format(R"("{}","{}","{}","{:#010x}","AES-GCM with 16 octet ICV [RFC4106]","0x{}","NULL","")"
                               "\n",
                               key.source.find(':') == std::string::npos ? "IPv4" : "IPv6", key.source, key.destination,
                               key.spi, key.key);
        }
    }
}

// A line for each ping: the packet's number and then, separated by bars, what frame_of() has from the port on.
// Once for all, since tshark takes seconds to start on a User-Mode Linux.
std::string tshark(const std::vector<Packet>& packets, const std::vector<SaKey>& keys,
                   const std::vector<Network>& networks) {
    const std::filesystem::path directory = "/run/lab/tshark";  // in memory: there are keys in it
    std::filesystem::create_directories(directory);
    write_esp_sa(directory / "esp_sa", keys);
    write_pcap(directory / "esp.pcap", packets);
    Argv argv{"env", "WIRESHARK_CONFIG_DIR=" + directory.string(), "tshark", "-n", "-r", directory / "esp.pcap",
              "-o",  "esp.enable_encryption_decode:TRUE"};
    for (const auto& network : networks) {
        argv.insert(argv.end(), {"-d", fmt::format("udp.port=={},vxlan", network.udp_port)});
    }
    argv.insert(argv.end(), {"-Y", "icmp and udp.srcport >= 512 and udp.srcport <= 1023", "-T", "fields", "-E",
                             "separator=|", "-E", "occurrence=a"});
    for (const auto* field : {"frame.number", "udp.dstport", "vxlan.vni", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst",
                              "eth.src", "eth.dst", "icmp.type", "icmp.seq", "data.data"}) {
        argv.insert(argv.end(), {"-e", field});
    }
    const auto output = run(argv, {}, std::chrono::seconds(60));
    EXPECT_TRUE(output.ok()) << output.err;
    return output.out;
}

// The pings that are in there, in the words of frame_of().
std::vector<std::string> frames_read(const std::vector<Packet>& packets, const std::vector<SaKey>& keys,
                                     const std::vector<Network>& networks) {
    std::istringstream text(tshark(for_tshark(packets, keys), keys, networks));
    std::vector<std::string> frames;
    for (std::string line; std::getline(text, line);) {
        const auto first = line.find('|');
        const auto last = line.rfind('|');
        const auto& packet = packets.at(std::stoul(line) - 1);
        const auto data = line.substr(last + 1);
        frames.push_back(fmt::format("SPI {:#x}, {} octets{}{}", spi_of(packet), packet.payload.size(),
                                     line.substr(first, last + 1 - first),
                                     data.substr(data.size() - std::min(data.size(), kPatternDigits))));
    }
    return frames;
}

// What is in the one more often than in the other.
std::vector<std::string> without(std::vector<std::string> one, std::vector<std::string> other) {
    std::ranges::sort(one);
    std::ranges::sort(other);
    std::vector<std::string> left;
    std::ranges::set_difference(one, other, std::back_inserter(left));
    return left;
}

struct Way {
    const char* name;
    Underlay underlay;
    const char* encap;
};
class Decoder : public testing::TestWithParam<Way> {};

TEST_P(Decoder, ReadsTheFramesThatWereSent) {
    const auto lab = cluster_of(2, {}, GetParam().underlay);
    std::vector<Network> networks;
    for (const auto* cipher : kCiphers) {
        networks.push_back(make_network(*lab, cipher, GetParam().encap));
    }
    Capture capture(lab->artefacts(), "esp", kUnderlay);
    std::vector<SaKey> keys;
    std::vector<std::string> sent;
    for (const std::string epoch : {"1", "2"}) {
        if (epoch == "2") {
            lab->host(1).warren_ok({"key", "rotate", "--all"});
        }
        for (size_t i = 0; i < networks.size(); ++i) {
            const auto there = outbound(lab->host(1), lab->host(2), networks[i]);
            const auto back = outbound(lab->host(2), lab->host(1), networks[i]);
            keys.insert(keys.end(), {there, back});
            const auto frames = ping(networks[i], there, back, fmt::format("{}{:x}", epoch, i + 0xa));
            sent.insert(sent.end(), frames.begin(), frames.end());
        }
    }
    capture.stop();
    std::set<std::string> different;
    for (const auto& key : keys) {
        different.insert(key.key);
    }
    EXPECT_EQ(different.size(), 2 * kCiphers.size() * 2) << "a key for each cipher, epoch and direction";
    const bool plain = std::string(GetParam().encap) == "none";
    const auto packets = plain ? esp_packets(capture, "") : esp_in_udp_packets(capture, 7443);
    const auto read = frames_read(packets, keys, networks);
    EXPECT_THAT(without(sent, read), testing::IsEmpty()) << "sent, but not read";
    EXPECT_THAT(without(read, sent), testing::IsEmpty()) << "read, but not sent";
}

INSTANTIATE_TEST_SUITE_P(Over, Decoder,
                         testing::Values(Way{"Ipv4", Underlay::kIpv4, "none"}, Way{"Ipv6", Underlay::kIpv6, "none"},
                                         Way{"UdpOverIpv4", Underlay::kIpv4, "udp"}),
                         [](const auto& given) { return std::string(given.param.name); });

}  // namespace
}  // namespace warren::lab
