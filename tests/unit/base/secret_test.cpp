#include "base/secret.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren::base {
namespace {

using Key = Secret<4>;
constexpr std::array<std::uint8_t, 4> kTestVector{1, 2, 3, 4};

static_assert(!std::is_copy_constructible_v<Key> && !std::is_copy_assignable_v<Key>);
static_assert(std::is_nothrow_move_constructible_v<Key>);
static_assert(!fmt::is_formattable<Key>::value);

TEST(Secret, IsWipedWhenMovedFrom) {
    const std::span<const std::uint8_t, 4> bytes(kTestVector);
    Key key(bytes);
    const Key taken = std::move(key);
    EXPECT_TRUE(taken == Key(bytes));
    EXPECT_TRUE(
        key ==
        Key());  // NOLINT(bugprone-use-after-move,clang-analyzer-cplusplus.Move): that nothing is left is the point
}

TEST(Secret, IsWipedWhenItGoes) {
    std::span<const std::uint8_t> memory;  // of a pool that is never given back
    {
        const Key key{std::span<const std::uint8_t, 4>(kTestVector)};
        memory = key.reveal();
        ASSERT_EQ(memory[3], 4);
    }
    EXPECT_TRUE(std::ranges::all_of(memory, [](auto byte) { return byte == 0; }));
}

// Flags of the mapping that holds the address, as the kernel names them.
std::string flags_of(const void* address) {
    std::ifstream maps("/proc/self/smaps");
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    bool inside = false;
    for (std::string line; std::getline(maps, line);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
            inside = begin <= wanted && wanted < end;
        } else if (inside && line.starts_with("VmFlags:")) {
            return line + " ";
        }
    }
    return "";
}

TEST(Secret, OfAnySizeIsLeftOutOfCoreDumps) {
    const Key small{std::span<const std::uint8_t, 4>(kTestVector)};
    for (const std::size_t size : {1U, 33U, 4096U, 4097U, 1U << 20U}) {
        const SecretBytes bytes(size);
        EXPECT_NE(flags_of(bytes.reveal().data()).find(" dd "), std::string::npos) << size;
    }
    EXPECT_NE(flags_of(small.reveal().data()).find(" dd "), std::string::npos);
    EXPECT_EQ(flags_of(&small).find(" dd "), std::string::npos) << "the test sees no difference";
}

TEST(Secret, PiecesDoNotOverlap) {
    std::vector<SecretBytes> pieces;
    for (std::size_t i = 0; i < 3000; ++i) {
        const std::size_t size = 1 + i % 200;
        pieces.emplace_back(std::vector<std::uint8_t>(size, static_cast<std::uint8_t>(i)));
    }
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        for (const auto byte : pieces[i].reveal()) {
            ASSERT_EQ(byte, static_cast<std::uint8_t>(i));
        }
    }
}

TEST(Secret, IsZerosWhenNew) {
    { SecretBytes used(std::vector<std::uint8_t>(64, 0xff)); }
    const SecretBytes fresh(64);
    EXPECT_TRUE(std::ranges::all_of(fresh.reveal(), [](auto byte) { return byte == 0; }));
    Key key;
    key.reveal_mutable()[2] = 7;
    EXPECT_EQ(key.reveal()[2], 7);
}

}  // namespace
}  // namespace warren::base
