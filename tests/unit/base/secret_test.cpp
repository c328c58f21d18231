#include "base/secret.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>
#include <type_traits>
#include <utility>

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
    EXPECT_TRUE(key == Key());  // NOLINT(bugprone-use-after-move): that nothing is left is the point
}

TEST(Secret, IsWipedWhenItGoes) {
    alignas(Key) std::array<std::byte, sizeof(Key)> memory{};
    auto* key = new (memory.data()) Key{std::span<const std::uint8_t, 4>(kTestVector)};
    key->~Key();
    EXPECT_EQ(memory, (std::array<std::byte, sizeof(Key)>{}));
}

}  // namespace
}  // namespace warren::base
