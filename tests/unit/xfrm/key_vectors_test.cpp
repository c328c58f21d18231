// docs/key-vectors.txt, the openssl command and our own code have to agree: three implementations of one schedule.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/text.h"
#include "keymgr/key_schedule.h"
#include "xfrm/model.h"

namespace warren::xfrm {
namespace {

using Vector = std::map<std::string, std::string>;

std::vector<Vector> vectors() {
    std::vector<Vector> all;
    const auto file = base::read_file(WARREN_KEY_VECTORS);
    bool open = false;
    for (const auto line : base::split(file.value(), '\n')) {
        const auto equals = line.find(" = ");
        if (line.empty() || line.front() == '#' || equals == std::string_view::npos) {
            open = false;
            continue;
        }
        if (!open) {
            all.emplace_back();
            open = true;
        }
        all.back().emplace(line.substr(0, equals), line.substr(equals + 3));
    }
    return all;
}

template <typename IdType>
IdType id(const Vector& vector, const char* field) {
    return base::parse_id<IdType>(field, vector.at(field)).value();
}
base::MembershipId membership(const Vector& vector, const char* field) {
    return base::MembershipId{std::stoull(vector.at(field), nullptr, 16)};
}
std::uint16_t number(const Vector& vector, const char* field) {
    return static_cast<std::uint16_t>(std::stoul(vector.at(field)));
}

std::string ours(const Vector& vector) {
    const auto bytes = base::from_hex(vector.at("secret")).value();
    const keymgr::EpochSecret secret{std::span<const std::uint8_t, 32>(bytes)};
    const keymgr::SaIdentity sa{
        .network = id<base::NetworkId>(vector, "network"),
        .epoch = base::Epoch{static_cast<std::uint32_t>(std::stoul(vector.at("epoch")))},
        .sender = id<base::NodeId>(vector, "sender"),
        .sender_membership = membership(vector, "sender_membership"),
        .receiver = id<base::NodeId>(vector, "receiver"),
        .receiver_membership = membership(vector, "receiver_membership"),
    };
    const auto cipher = keymgr::parse_cipher("cipher", vector.at("cipher")).value();
    const auto key = keymgr::derive_sa_key(secret, id<base::ClusterId>(vector, "cluster"), cipher, sa);
    return base::to_hex(key.value().reveal());
}

std::string openssl(const Vector& vector) {
    const auto length = (vector.at("key").size() + vector.at("salt").size()) / 2;
    const std::string command = fmt::format(
        "openssl kdf -keylen {} -kdfopt digest:SHA256 -kdfopt hexkey:{} -kdfopt hexsalt:{} -kdfopt hexinfo:{} HKDF",
        length, vector.at("secret"), vector.at("cluster"), vector.at("info"));
    std::FILE* pipe = ::popen(command.c_str(), "re");
    std::array<char, 256> line{};
    const std::size_t got = std::fread(line.data(), 1, line.size(), pipe);
    ::pclose(pipe);
    std::string hex;
    for (const char c : std::string_view(line.data(), got)) {  // "24:94:85:...\n", in capitals
        if (std::isxdigit(static_cast<unsigned char>(c)) != 0) {
            hex += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        }
    }
    return hex;
}

TEST(KeyVectors, FileOpensslAndOurCodeAgree) {
    const auto all = vectors();
    ASSERT_GE(all.size(), 8U);
    for (const Vector& vector : all) {
        const std::string expected = vector.at("key") + vector.at("salt");
        EXPECT_EQ(ours(vector), expected) << vector.at("info");
        EXPECT_EQ(openssl(vector), expected) << vector.at("info");
    }
}

TEST(KeyVectors, SpisAgree) {
    for (const Vector& vector : vectors()) {
        const Spi spi = make_spi({.slot = base::EpochSlot{static_cast<std::uint8_t>(number(vector, "slot"))},
                                  .sender = base::NodeIndex{number(vector, "sender_index")},
                                  .network = base::NetworkIndex{number(vector, "network_index")}});
        EXPECT_EQ(fmt::format("{:08x}", spi.value), vector.at("spi"));
    }
}

}  // namespace
}  // namespace warren::xfrm
