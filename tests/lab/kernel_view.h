#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/lab/lab.h"

// What iproute2 and nft, not Warren, say about a host's kernel.
namespace warren::lab {

struct Sa {
    std::string source;
    std::string destination;
    uint32_t spi = 0;
    uint32_t reqid = 0;
    uint64_t received = 0;  // the sequence numbers, extended
    uint64_t sent = 0;
    uint64_t packets = 0;
    std::string added;  // as iproute2 prints it, to the second

    [[nodiscard]] unsigned slot() const { return (spi >> 28U) & 3U; }  // of the epoch, by the SPI's layout
};

// Warren's SAs of a host (reqids 0x57000000/8), larval ones left out.
std::vector<Sa> sa_table(const Host& host);
// Those of one encrypted network.
std::vector<Sa> sa_table(const Host& host, uint32_t reqid);
// An SA's key as the kernel gives it to root, for a decoder that is not ours.
struct SaKey {
    std::string source;
    std::string destination;
    uint32_t spi = 0;
    std::string algorithm;  // "rfc4106(gcm(aes))"
    std::string key;        // hexadecimal, the last 4 bytes are the salt
};
// Those of Warren's SAs of a host.
std::vector<SaKey> sa_keys(const Host& host);
// A fingerprint of each SA's key and salt. The key itself is read and dropped.
std::set<size_t> key_fingerprints(const Host& host);
// How many keys are in both.
size_t keys_in_both(const std::set<size_t>& one, const std::set<size_t>& other);
// The kernel's error counters of XFRM, all of them.
std::map<std::string, uint64_t> xfrm_stat(const Host& host);
// Packets that a counter of the table `inet warren` has seen: sent_clear, received_clear, forwarded.
uint64_t barrier_counter(const Host& host, const std::string& name);

// The reqid of an encrypted network, from its port: the index is in both.
uint32_t reqid_of_port(uint32_t udp_port);

}  // namespace warren::lab
